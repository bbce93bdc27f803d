"""Calls that a volume refuses: a clear message, and nothing is changed."""

from __future__ import annotations

import pytest
from volume_tools import state, used_volume

from clonesim.errors import ClonesimError, FileNameError, ParameterError


@pytest.fixture
def vol():
    return used_volume()


NO_FILE = "no such file. Files are made by create()."
KINDS = (
    "numbered files stand in folders of their own, so a number cannot become a name or a name a number. "
    "Create a new file instead."
)
SIZE = "a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes."
REFUSED = [
    ("create", ("a", 1), FileNameError, "name='a': the file exists already. Delete it first, or append to it."),
    ("create", (7, 1), FileNameError, "name=7: the file exists already. Delete it first, or append to it."),
    ("create", ("b", -1), ParameterError, "size=-1: allowed are 0 B to 64 TiB. Check the unit."),
    ("create", ("b", "1 MB"), ParameterError, f"size='1 MB': {SIZE} Did you mean MiB?"),
    ("create", ("b", 1.5), ParameterError, f"size=1.5: {SIZE} Write for example '16 MiB'."),
    ("append", ("a", 0), ParameterError, "size=0: allowed are 1 B to 64 TiB. Check the unit."),
    ("append", ("a", -4096), ParameterError, "size=-4096: allowed are 1 B to 64 TiB. Check the unit."),
    ("append", ("b", 1), FileNameError, f"name='b': {NO_FILE}"),
    ("append", (8, 1), FileNameError, f"name=8: {NO_FILE}"),
    ("overwrite", ("b", 0, 1), FileNameError, f"name='b': {NO_FILE}"),
    ("overwrite", ("a", 0, 0), ParameterError, "size=0: allowed are 1 B to 64 TiB. Check the unit."),
    ("overwrite", ("a", -1, 1), ParameterError, "offset=-1: allowed are 0 B to 64 TiB. Check the unit."),
    (
        "overwrite",
        ("a", 1058816, 1),
        ParameterError,
        "offset=1058816: an overwrite of 1 B must end inside the file, at 1058816 B at most. "
        "Append what lies behind the end.",
    ),
    ("delete", ("b",), FileNameError, f"name='b': {NO_FILE}"),
    ("delete", (-1,), FileNameError, f"name=-1: {NO_FILE}"),
    ("rename", ("b", "c"), FileNameError, f"name='b': {NO_FILE}"),
    ("rename", ("a", 8), FileNameError, f"name=8: {KINDS}"),
    ("rename", ("a", 7), FileNameError, f"name=7: {KINDS}"),
    ("rename", (7, "b"), FileNameError, f"name='b': {KINDS}"),
    ("rename", (7, "a"), FileNameError, f"name='a': {KINDS}"),
    ("extents", ("b",), FileNameError, f"name='b': {NO_FILE}"),
    ("size", (2**40,), FileNameError, f"name={2**40}: {NO_FILE}"),
]
BAD_NAMES = ["", "a/b", "x" * 256, "\U0001f600" * 128, -1, 2**24, 1.5, None, True, b"a"]


@pytest.mark.parametrize(("call", "arguments", "kind", "message"), REFUSED, ids=lambda v: str(v)[:30])
def test_refused_calls_change_nothing(vol, call, arguments, kind, message):
    before = state(vol)
    with pytest.raises(kind) as caught:
        getattr(vol, call)(*arguments)
    assert str(caught.value) == message
    assert isinstance(caught.value, ClonesimError)
    assert state(vol) == before
    vol.check_invariants()


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
@pytest.mark.parametrize("call", ["create", "rename"])
def test_bad_names_are_refused(vol, call, name):
    before = state(vol)
    with pytest.raises(FileNameError) as caught:
        vol.create(name, 1) if call == "create" else vol.rename("a", name)
    allowed = "a name is 1 to 255 characters without '/', or a number from 0 to 16777215. Choose another name."
    assert str(caught.value) == f"name={name!r}: {allowed}"
    assert state(vol) == before

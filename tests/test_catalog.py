"""Every parameter has a unit, a default, a range, a source and a kind; kernels carry one stamp."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from clonesim.errors import ParameterError
from clonesim.scenario import catalog

ROOT = Path(__file__).resolve().parents[1]
ALL = [(topic, parameter) for topic in catalog.topics() for parameter in catalog.parameters(topic).values()]


def test_the_catalog_is_not_empty():
    assert len(ALL) > 60
    assert {"formats", "guests", "locks"} <= set(catalog.topics())


@pytest.mark.parametrize(("topic", "parameter"), ALL, ids=[f"{t}:{p.name}" for t, p in ALL])
def test_every_parameter_has_a_source(topic, parameter):
    assert parameter.kind in catalog.KINDS
    assert parameter.unit in catalog.UNITS
    assert parameter.source in catalog.sources()
    assert parameter.kind != "assumed" or parameter.note, "an assumption needs its reason"
    if isinstance(parameter.default, tuple):
        assert set(parameter.default) <= set(parameter.range)
    elif isinstance(parameter.default, (str, bool)):
        assert parameter.default in parameter.range
    else:
        assert len(parameter.range) == 2
        assert parameter.range[0] <= parameter.default <= parameter.range[1]


def test_every_source_says_what_it_is_and_is_used():
    used = {parameter.source for _, parameter in ALL}
    for key, source in catalog.sources().items():
        assert {"title", "where", "conf"} <= source.keys(), key
        assert source["conf"] in {"read", "code", "measured", "derived", "recalled"}, key
    assert used <= set(catalog.sources())


def test_an_entry_without_a_source_is_refused():
    entry = {"default": 1, "unit": "1", "range": [0, 2], "kind": "assumed"}
    with pytest.raises(ParameterError, match=r"x\.y=.*a catalog entry needs .*source.* Add source\."):
        catalog._parameter("x.y", entry)


def test_kernels_carry_the_stamp_of_all_kernel_sources():
    """Numba's cache does not notice an edited callee in another file; the stamp makes every cached kernel new."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "stamp_kernels.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_kernels_stand_in_kernel_files_only():
    for path in (ROOT / "clonesim").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if re.search(r"^@(njit|inner|entry)\b", text, re.MULTILINE):
            assert path.name.endswith("kernel.py"), path
            assert "KERNELS = " in text, path


def test_the_page_of_the_catalog_is_up_to_date():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "catalog_tables.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_entry_has_what_it_is_the_same_as():
    ten, eleven = catalog.group("guests", "windows-10"), catalog.group("guests", "windows-11")
    assert eleven == ten
    xp, server = catalog.group("desktops", "windows-xp"), catalog.group("desktops", "windows-server")
    assert xp.keys() == server.keys()
    assert server["policy"] == xp["policy"]
    assert server["disk"] != xp["disk"]


def test_names_in_the_catalog_are_those_of_the_program():
    """The scenario stands below the guest and the delta, so the names of their kinds stand in both."""
    from clonesim.delta import FORMATS
    from clonesim.guest import POLICIES
    from clonesim.guest.make import GUESTS
    from clonesim.lun.backing import BACKINGS

    desktop = catalog.group("desktops", "windows-xp")
    assert set(desktop["policy"].range) == set(POLICIES)
    assert set(desktop["os"].range) == set(GUESTS)
    generic = catalog.group("platforms", "generic")
    assert generic["format"].range == FORMATS
    assert set(generic["backing"].range) == set(BACKINGS)
    assert catalog.value("scenario", "delta.parent") == "flat"
    assert set(catalog.parameters("scenario")["delta.parent"].range) == {"flat", *FORMATS}
    assert catalog.parameters("scenario")["guest.name"].range == catalog.names("desktops")
    assert catalog.parameters("scenario")["workload.name"].range == catalog.names("workloads")
    assert catalog.parameters("scenario")["platform.name"].range == catalog.names("platforms")


def test_platforms_have_what_the_generic_one_has_at_most():
    for name in catalog.names("platforms"):
        own, all_ = catalog.group("platforms", name), catalog.group("platforms", "generic")
        for kind in ("format", "backing"):
            assert set(own[kind].range) <= set(all_[kind].range), (name, kind)

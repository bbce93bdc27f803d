"""Messages of errors, whatever value they tell."""

import pytest

from clonesim.errors import LONGEST_SHOWN, InventoryError, ParameterError, ProbeError, TraceError


def test_a_value_is_told_as_it_is() -> None:
    assert str(ParameterError("clones", -1, "1 or more", "Ask for one.")) == "clones=-1: 1 or more. Ask for one."
    assert "'" + "a" * 300 + "'" in str(ParameterError("name", "a" * 300, "shorter"))


@pytest.mark.parametrize("value", ["x" * 5000, ["x" * 500] * 10, "\0" * 5000], ids=["text", "list", "escapes"])
def test_a_long_value_is_cut(value: object) -> None:
    made = (
        ParameterError("name", value, "allowed", "Remedy."),
        ProbeError("a.json", "steps", value, "allowed", "Remedy."),
        TraceError("a.csv", "is wrong", "Remedy.", 3, "time", value),
        InventoryError("a.csv", "is wrong", "Remedy.", "vInfo", 3, "vm", value),
    )
    for error in made:
        assert len(str(error)) < LONGEST_SHOWN + 200
        assert f"... ({len(repr(value))} characters)" in str(error)
        assert "Remedy." in str(error)

"""When a refresh saves space, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from clonesim.planning.image_ages import COLUMNS, break_even
from clonesim.planning.kept_rows import Found
from clonesim.strategy_words import interval_words

GIB = 2.0**30


def found(set_back: list[dict[str, list[float]]], hourly: list[list[float]], written: float = 1e9) -> Found:
    return Found([{"written_a_day_bytes": written}] * len(set_back), set_back, hourly, {})


def base(*per_hour: float, hours: int = 100) -> Found:
    """Grows evenly, a replicate with each rate."""
    return found([{}] * len(per_hour), [[k * rate for k in range(hours)] for rate in per_hour], 5e8)


def test_the_interval_is_when_the_base_has_grown_as_much() -> None:
    refreshed = found([{"1": [4.0, 24 * GIB], "2": [2.0, 30 * GIB]}, {"1": [2.0, 24.5 * GIB]}], [[], []], 2e9)
    table = break_even({"linked-clone": base(GIB, 2 * GIB), "refresh": refreshed}, "linked-clone")
    assert list(table.columns) == list(COLUMNS)
    young, old = table.to_dict("records")
    assert (young["strategy"], young["age_low_d"], young["age_high_d"], young["resets"]) == ("refresh", 15, 30, 6)
    assert young["hour_after_bytes"] == pytest.approx(24.25 * GIB)
    assert (young["interval_d_low"], young["interval_d_high"]) == (13 / 24, 1.0)  # 24.5 / 2 is after 12 hours
    assert young["interval_d"] == pytest.approx((13 / 24 + 1) / 2)
    assert (young["written_a_day_bytes"], young["base_written_a_day_bytes"]) == (2e9, 5e8)
    assert (old["age_low_d"], old["resets"], old["interval_d"]) == (30, 2, 30 / 24)
    assert np.isneginf(old["hour_after_bytes_low"])  # one replicate


def test_a_base_that_stays_small_gives_no_interval() -> None:
    refreshed = found([{"3": [1.0, 1000 * GIB]}], [[]])
    table = break_even({"linked-clone": base(GIB), "refresh": refreshed}, "linked-clone")
    assert np.isinf(table["interval_d"].iloc[0])
    assert interval_words(table, "refresh") == ["On an image of 45 to 60 d no refresh saves space within the run."]


def test_without_a_base_that_is_left_alone_there_is_nothing_to_tell() -> None:
    refreshed = found([{"1": [4.0, GIB]}], [[]])
    for others in ({"refresh": refreshed}, {"linked-clone": refreshed}):
        table = break_even(others, "linked-clone")
        assert table.empty
        assert list(table.columns) == list(COLUMNS)
        assert interval_words(table, "refresh") == []
    assert break_even({"linked-clone": base(GIB)}, "linked-clone").empty


def test_words_tell_of_the_oldest_image() -> None:
    refreshed = found([{"1": [4.0, 24 * GIB], "2": [2.0, 36 * GIB]}], [[]])
    table = break_even({"linked-clone": base(GIB), "refresh": refreshed}, "linked-clone")
    assert interval_words(table, "refresh") == [
        "On an image of 30 to 45 d, refreshing more often than every 1.50 d saves no space."
    ]
    assert interval_words(table, "recompose") == []

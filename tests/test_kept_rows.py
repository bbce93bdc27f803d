"""A comparison that was interrupted goes on, and comes to the same bits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pool_tools import WITHOUT, small

from clonesim.errors import ParameterError
from clonesim.planning import compare as module
from clonesim.planning.alternatives import alternatives
from clonesim.planning.compare import Comparison, compare
from clonesim.planning.kept_rows import Found, Shelf
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

ASKED = "refresh, refresh+array-dedup, persistent-disk"
ASKS: dict[str, Any] = {"seed": 3, "replicates": 2, "clones": 2, "processes": 1}


def scenario() -> Scenario:
    tables = {"pool": {"clones": 8, "days": 2}, "guest": {"disk": "12 GiB"}}
    return small(WITHOUT, platform={"name": "generic"}, **tables)


class InterruptedHereError(Exception):
    """As if somebody pressed a key."""


def same(one: Comparison, other: Comparison) -> None:
    for name in ("frame", "differences", "samples", "break_even"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert one.label == other.label


def test_an_interrupted_comparison_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare(scenario(), ASKED, **ASKS)
    seen: list[tuple[int, int]] = []

    def stopped(done: int, total: int) -> None:
        seen.append((done, total))
        if done > 0.7 * total:  # within the last of three simulations
            raise InterruptedHereError

    with pytest.raises(InterruptedHereError):
        compare(scenario(), ASKED, progress=stopped, resume=tmp_path, **ASKS)
    assert len(list(tmp_path.glob("*.json"))) == 3  # of four alternatives
    simulated: list[Scenario] = []
    real = module.replicates_of

    def counted(made: Scenario, *rest: Any) -> Any:
        simulated.append(made)
        return real(made, *rest)

    monkeypatch.setattr(module, "replicates_of", counted)
    told: list[tuple[int, int]] = []
    again = compare(scenario(), ASKED, progress=lambda *at: told.append(at), resume=tmp_path, **ASKS)
    same(again, whole)
    assert [[one.name for one in made.strategy] for made in simulated] == [["persistent-disk"]]
    assert told[-1] == (seen[-1][1], seen[-1][1])
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    same(compare(scenario(), ASKED, resume=tmp_path, **ASKS), whole)
    assert len(simulated) == 1


def test_what_is_another_question_is_not_taken(tmp_path: Path) -> None:
    (one, *_), _ = alternatives(scenario(), "refresh", 2)
    (other, *_), _ = alternatives(load_scenario(scenario(), pool={"days": 3}), "refresh", 2)
    found = Found([{"x": 1.0}], [{}], [[]], {})
    Shelf(tmp_path, 1, 2, 2).put(one, found)
    assert Shelf(tmp_path, 1, 2, 2).get(one) == found
    for shelf in (Shelf(tmp_path, 2, 2, 2), Shelf(tmp_path, 1, 3, 2), Shelf(tmp_path, 1, 2, 3), Shelf(None, 1, 2, 2)):
        assert shelf.get(one) is None
    assert Shelf(tmp_path, 1, 2, 2).get(other) is None


def test_numbers_keep_every_bit() -> None:
    values = {"a": 0.1 + 0.2, "b": 1e-310, "c": math.inf, "d": 2.0**53 + 1}
    found = Found([values], [{"1": [3.0, 1 / 3]}], [[0.1]], {"binding": "x", "clones_per_lun": 3})
    assert Found.read(found.text()) == found
    assert math.isnan(Found.read(Found([{"a": math.nan}], [], [], {}).text()).rows[0]["a"])


def test_refused(tmp_path: Path) -> None:
    (one, *_), _ = alternatives(scenario(), "refresh", 2)
    shelf = Shelf(tmp_path, 1, 2, 2)
    shelf.put(one, Found([], [], [], {}))
    path = next(tmp_path.glob("*.json"))
    for text in ("{", '{"rows": []}', "[1]"):
        path.write_text(text)
        with pytest.raises(ParameterError, match=r"the file is damaged\. Delete it\."):
            shelf.get(one)
    with pytest.raises(ParameterError, match=r"a folder is needed that can be written to\. Name another one\."):
        Shelf(path, 1, 2, 2)

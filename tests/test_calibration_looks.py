"""Which dates are compared, and since when clones have been growing."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from calibration_tools import frame

from clonesim.errors import ParameterError
from clonesim.planning.calibration_looks import looks_of
from clonesim.planning.growth_history import HistoryError, history_of

GIB = 2**30
LINE = GIB * np.linspace(0.1, 8, 80)[None, :] * np.ones((4, 1))
SINCE = "Give since=, the day on which the clones were made, refreshed or recomposed (--since on the command line)."


def looks(table, since=None):
    return looks_of(history_of(table), since)


@pytest.mark.parametrize("since", ["2026-01-05", dt.date(2026, 1, 5), pd.Timestamp("2026-01-05", tz="UTC")])
def test_ages_count_from_the_day_that_is_named(since):
    found = looks(frame(LINE, [7, 14, 28]), since)
    assert found.age.tolist() == [7, 14, 28]
    assert found.size[:, 1] == pytest.approx(LINE[:, 13])
    assert found.born == pd.Timestamp("2026-01-05")
    assert found.notes == ()


def test_one_later_week_is_enough():
    found = looks(frame(LINE, [7]), "2026-01-05")
    assert found.age.tolist() == [7]
    assert found.size.shape == (4, 1)


def test_hours_count():
    table = frame(LINE, [7]).assign(date=pd.Timestamp("2026-01-12 18:00"))
    assert looks(table, "2026-01-05").age.tolist() == [7.75]


def test_a_small_first_size_is_the_beginning():
    born = frame(LINE * 0 + GIB / 10, [1], "2026-01-04")
    found = looks(pd.concat([born, frame(LINE, [7, 14])]))
    assert found.born == pd.Timestamp("2026-01-05")
    assert found.age.tolist() == [7, 14]
    assert found.notes == ("Clones are taken to have been made on the first measured day, 2026-01-05.",)


def test_old_clones_need_their_age():
    with pytest.raises(HistoryError) as error:
        looks(frame(LINE, [42, 49]))
    told = "it does not tell since when the clones, 4.20 GiB when first measured, have been growing"
    assert str(error.value) == f"measured history: {told}. {SINCE}"


def test_numbered_days_count_from_the_beginning():
    found = looks(frame(LINE, [7, 14], start=None))
    assert found.age.tolist() == [7, 14]
    assert found.notes == ("Days are taken to count from the day on which the clones were made.",)
    assert looks(frame(LINE, [7, 14], start=None), 2).age.tolist() == [5, 12]


def test_a_reset_of_most_is_the_beginning():
    old, new = frame(LINE, [20, 27], "2025-12-08"), frame(LINE, [5, 12], "2026-01-06")
    found = looks(pd.concat([old, new]))
    assert found.born == pd.Timestamp("2026-01-08")  # in the middle of 2026-01-04 and 2026-01-11
    assert found.age.tolist() == [3, 10]
    assert found.notes == ("Clones were set back about 2026-01-08; what was measured before does not count.",)


def test_resets_on_many_days_are_refused():
    rows = []
    for clone in range(6):
        for day in range(0, 70, 7):
            age = day - 7 * clone if day >= 7 * clone + 7 else day + 30
            rows.append((f"c{clone}", day, (0.2 + 0.1 * age) * GIB))
    table = pd.DataFrame(rows, columns=["clone", "day", "bytes"])
    with pytest.raises(HistoryError) as error:
        looks(table)
    told = "clones were set back on different days. Calibrate clones that were made together, one group at a time."
    assert str(error.value) == f"measured history: {told}"


def test_dates_of_few_clones_and_clones_of_few_dates_are_left_out():
    table = frame(LINE, [7, 14, 21])
    odd = table[(table["clone"] == "vdi-000") & (table["date"] == "2026-01-19")].assign(date=pd.Timestamp("2026-01-22"))
    gone = table[~((table["clone"] == "vdi-003") & (table["date"] > "2026-01-13"))]
    found = looks(pd.concat([gone, odd]), "2026-01-05")
    assert found.age.tolist() == [7, 14, 21]
    assert found.who.tolist() == [0, 1, 2]
    assert found.notes == ("1 of 4 clones are left out: not measured on all compared dates.",)


def test_a_missing_size_lies_between_its_neighbours():
    table = frame(LINE, [7, 14, 21])
    found = looks(table[~((table["clone"] == "vdi-001") & (table["date"] == "2026-01-19"))], "2026-01-05")
    assert found.size[1, 1] == pytest.approx((LINE[1, 6] + LINE[1, 20]) / 2)


def test_few_dates_are_compared_and_the_last_always():
    found = looks(frame(LINE, list(range(7, 71, 7))), "2026-01-05").chosen()
    assert found.age.tolist() == [7, 35, 70]
    assert found.size.shape == (4, 3)


@pytest.mark.parametrize(
    ("since", "message"),
    [
        ("yesterday", "since='yesterday': a date such as 2026-01-05 is needed."),
        (5, "since=5: a date such as 2026-01-05 is needed."),
        ("2026-03-01", "since='2026-03-01': the last measurement is of 2026-01-19. Give an earlier day."),
        (
            "1999-01-01",
            "since='1999-01-01 00:00:00': that is 9880 days before the last measurement, 3650 are",
        ),
    ],
)
def test_bad_days_of_birth_are_refused(since, message):
    with pytest.raises(ParameterError) as error:
        looks(frame(LINE, [7, 14]), since)
    assert str(error.value).startswith(message)


def test_nothing_after_the_beginning_is_refused():
    with pytest.raises(HistoryError) as error:
        looks(frame(LINE, [7]), "2026-01-12")
    told = "no clone was measured a day or longer after 2026-01-12. Measure once more, a week after they were made."
    assert str(error.value) == f"measured history: {told}"
    assert error.value.weeks == 1

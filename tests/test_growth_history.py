"""What a history is: columns, times, resets; and what is no history."""

import numpy as np
import pandas as pd
import pytest
from growth_tools import GIB, MIB, frame, weekly

from clonesim.errors import ParameterError
from clonesim.planning.growth_history import HistoryError, history_of


def test_dates_become_days_since_the_first_one():
    measured = frame([0, 7.5, 14], [1 * GIB, 2 * GIB, 3 * GIB], start="2026-03-02 12:00")
    found = history_of(measured)
    assert found.dated
    assert found.origin == pd.Timestamp("2026-03-02")
    assert found.day.tolist() == [0.5, 8.0, 14.5]
    assert found.when(found.last) == pd.Timestamp("2026-03-16 12:00")
    assert found.size.tolist() == [1 * GIB, 2 * GIB, 3 * GIB]


def test_dates_with_zones_are_put_into_utc():
    measured = pd.DataFrame({"clone": "a", "bytes": 1, "date": ["2026-03-02T12:00+02:00", "2026-03-03T12:00+02:00"]})
    assert history_of(measured).day.tolist() == [10 / 24, 1 + 10 / 24]


def test_rows_in_any_order_and_measured_twice():
    one, other = frame([7, 0, 7], [30, 10, 20]), frame([0], [5], clone=1)
    found = history_of(pd.concat([one, other]).sample(frac=1, random_state=3))
    assert found.names.tolist() == ["vdi-000", "vdi-001"]
    assert found.size.tolist() == [10, 30, 5]  # of two at one time the larger
    assert found.notes == ("1 rows measure a clone again at the same time; the larger size counts.",)


def test_rows_without_a_size_or_a_time_are_left_out_and_told():
    measured = frame([0, 7, 14], [1.0, np.nan, 3.0])
    found = history_of(measured)
    assert found.size.tolist() == [1.0, 3.0]
    assert found.notes == ("1 rows without clone, time or size are left out.",)


def test_the_newest_lun_counts():
    measured = frame(weekly(3), [1, 2, 3])
    measured["lun"] = ["old", "new", None]
    found = history_of(measured)
    assert found.luns.tolist() == ["new"]


@pytest.mark.parametrize(
    ("sizes", "resets"),
    [
        ([1 * GIB, 3 * GIB, 1 * GIB, 2 * GIB], 1),  # a refresh
        ([1 * GIB, 3 * GIB, 2.5 * GIB, 3 * GIB], 0),  # a drop by less than a fifth
        ([100 * MIB, 120 * MIB, 70 * MIB, 90 * MIB], 0),  # 50 MiB: noise, however large a share
        ([1 * GIB, 2 * GIB, 0.1 * GIB, 2 * GIB, 0.1 * GIB], 2),
    ],
)
def test_resets(sizes, resets):
    measured = pd.concat([frame(weekly(len(sizes)), sizes), frame(weekly(2), [9 * GIB, 9 * GIB], clone=1)])
    found = history_of(measured)
    assert found.resets == resets
    assert found.episode[-1] == resets + 1  # the other clone has a life of its own


def test_until_forgets_what_came_later():
    measured = pd.concat([frame(weekly(4), [4 * GIB, GIB, 2 * GIB, 3 * GIB]), frame([21], [7], clone=1)])
    found = history_of(measured).until(14)
    assert found.names.tolist() == ["vdi-000"]
    assert found.size.tolist() == [4 * GIB, GIB, 2 * GIB]
    assert (found.resets, found.last) == (1, 14)


@pytest.mark.parametrize(
    ("measured", "text"),
    [
        (pd.DataFrame({"vm": ["a"], "date": ["2026-01-01"]}), r"'clone', 'bytes' are missing, there are vm, date"),
        (pd.DataFrame({"clone": ["a"], "bytes": [1]}), r"'date or day' are missing.*read_listing"),
        (frame([0, 7], [5, -1]), r"row 1, bytes=-1\.0 is no size.* 0 to 46"),
        (frame([0], [2.0**70]), "is no size"),
        (pd.DataFrame({"clone": "a", "day": [1, 2], "bytes": ["1", "x"]}), r"row 1, bytes='x' is no size"),
        (pd.DataFrame({"clone": "a", "date": ["2026-01-01", "nonsense"], "bytes": 1}), "date='nonsense' is no date"),
        (frame([0, 1e9], [1, 2]), r"1e\+09 days lie between .*, 7305 are the most.*whether days are days"),
        (frame([0, 7], [1, 2], start="1970-01-01"), "the first date is in the year 1970, 1990 to 2200 are allowed"),
        (frame([0, 7], [np.nan, np.nan]), "no row has a clone, a time and a size"),
    ],
)
def test_what_is_no_history_is_refused(measured, text):
    with pytest.raises(HistoryError, match=text):
        history_of(measured)


def test_a_path_is_no_frame():
    with pytest.raises(ParameterError, match=r"measured='str': a DataFrame is needed"):
        history_of("sizes.csv")

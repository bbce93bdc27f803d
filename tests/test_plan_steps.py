"""Small steps of a clone's plan that mutants showed no other quick test to hold fast."""

from __future__ import annotations

from math import exp
from statistics import NormalDist

import numpy as np
import pytest
from test_activity import DAY_S, office, part, plan

from clonesim.guest import draws
from clonesim.guest import plan_kernel as kernel
from clonesim.guest.place_patterns import page_files, plan_pages
from clonesim.guest.presence import Presence, Shared
from clonesim.guest.rows import FILE_PAGE, Rows
from clonesim.guest.triggers import Clock, _repeated
from clonesim.guest.write_sources import _blocks, sources_of
from clonesim.ops import FileOp
from clonesim.units import KIB, MIB

KEYS = draws.sub_keys(np.arange(50, dtype=np.uint64), 7)


def test_lognormal_draws_are_quantiles_of_uniform_ones():
    """Median times exp(sigma x normal quantile), draw by draw."""
    for median, sigma, most in ((3.0, 1.0, np.inf), (4096.0, 2.0, 9000.0), (0.5, 0.3, 0.6)):
        wanted = [min(most, median * exp(sigma * NormalDist().inv_cdf(u))) for u in draws.uniform(KEYS, draws.SIZE)]
        assert draws.lognormal(KEYS, draws.SIZE, median, sigma, most) == pytest.approx(wanted, rel=1e-12)


def test_no_files_need_no_slots():
    none = np.zeros(0)
    assert kernel.file_slots(none, none, np.zeros(0, np.int64), 0, np.zeros(0, np.int64)) == 0
    assert kernel.file_slots(np.zeros(1), np.ones(1), np.zeros(1, np.int64), 0, np.zeros(1, np.int64)) == 1


def test_events_are_spread_over_their_source_s_time():
    times = np.array([10.0, 20.0, 500.0])
    told, keys, rows = _repeated(times, KEYS[:3], 1, 8.0)
    assert np.array_equal(told, times + 8.0 * draws.uniform(KEYS[:3], draws.SPREAD)) and (told > times).all()
    assert np.array_equal(keys, KEYS[:3]) and rows.tolist() == [0, 0, 0]
    assert np.array_equal(_repeated(times, KEYS[:3], 1, 0.0)[0], times)
    told, keys, rows = _repeated(times, KEYS[:3], 4, 2.0, np.array([5, 6, 9]))
    assert rows.tolist() == [5] * 4 + [6] * 4 + [9] * 4 and np.unique(keys).size == 12
    late = told - np.repeat(times, 4)
    assert (late > 0).all() and (late < 2).all() and np.unique(late).size == 12


@pytest.mark.parametrize("key", [0, 7, 2**64 - 1])
def test_users_of_a_pool_have_keys_of_their_own(key):
    """Whatever the pool's key is, and the same on whatever clone."""
    users = np.arange(8)
    start, end = np.full(8, 100.0), np.full(8, 900.0)
    presence = Presence(np.zeros(1), start, end, users, np.ones(8), np.ones(8, np.bool_))
    clocks = [Clock(presence, Shared(key=key), DAY_S, 1.0, True, own) for own in (1, 2)]
    assert np.unique(clocks[0].session_key).size == 8
    assert np.array_equal(clocks[0].session_key, clocks[1].session_key)
    other = Clock(presence, Shared(key=key ^ 1024), DAY_S, 1.0, True, 1)
    assert not np.isin(other.session_key, clocks[0].session_key).any()


def test_numbers_of_a_source_have_room_for_a_file_that_is_saved():
    """A safe save makes one file more than the source has; numbers come in blocks of ten, 40 blocks at most."""
    for files, blocks in ((1, 1), (9, 1), (10, 2), (19, 2), (20, 3), (399, 40), (400, 40), (1000, 40)):
        assert _blocks("saves", {"files": files}) == blocks
    for source in sources_of("windows-11"):
        if source.pattern == "saves":
            assert source.blocks * 10 > source.get("files", 1)


def test_files_of_a_set_come_one_after_the_other():
    """Definitions: each push writes its files at equal steps over the source's span, then the next push begins."""
    activity, made = plan(presence=office(days=10), days=10)
    source = activity.sources[activity.names.index("antivirus-definitions") - 1]
    files, span = int(source.get("files", 1)), source.get("span")
    assert files > 1 and span > 0
    rows = part(activity, made, "antivirus-definitions")
    born = rows["time_s"][rows["op"] == FileOp.CREATE]
    born = born[: born.size // files * files].reshape(-1, files)
    assert np.diff(born, axis=1) == pytest.approx(span / files)


def test_a_ring_stays_in_the_part_that_is_written_often():
    """A mail cache set to a ring, nine tenths of it hot: circles of the first part, whatever the rest holds."""
    (source,) = (
        s
        for s in sources_of("windows-11", {"mail-cache": {"how": "ring", "hot_size": 0.9, "size": "1 MiB"}})
        if s.name == "mail-cache"
    )
    have = page_files(source).tolist()
    assert have == [230 * FILE_PAGE, 26 * FILE_PAGE]
    presence = office(days=5)
    clock = Clock(presence, Shared(), 5 * DAY_S, 1.0, True, 3)
    events, rows = clock.events(source, 11), Rows(0, 5 * DAY_S)
    plan_pages(source, events, rows)
    ops = rows.ops()
    amounts = np.minimum(draws.sizes(source, events.key, "amount"), have[0])
    assert ops["length"].tolist() == amounts.tolist()
    assert (ops["offset"] + ops["length"] <= have[0]).all() and len(ops) > 20
    assert amounts.max() > 4 * KIB and have[0] < MIB


@pytest.mark.parametrize(("how", "op"), [("runs", FileOp.OVERWRITE), ("scatter", FileOp.SCATTER)])
def test_places_of_pages_are_runs_or_scattered(how, op):
    """Runs lie within the file at whole pages and differ; scattered pages have keys instead of places."""
    values = {"mail-cache": {"how": how, "hot_size": 0.9, "size": "1 MiB", "append_share": 0.0}}
    (source,) = (s for s in sources_of("windows-11", values) if s.name == "mail-cache")
    clock = Clock(office(days=5), Shared(), 5 * DAY_S, 1.0, True, 3)
    events, rows = clock.events(source, 11), Rows(0, 5 * DAY_S)
    plan_pages(source, events, rows)
    ops = rows.ops()
    assert len(ops) > 20 and set(ops["op"].tolist()) == {int(op)}
    assert not (ops["length"] % FILE_PAGE).any() and np.unique(ops["offset"]).size > 10
    if how == "runs":
        assert not (ops["offset"] % FILE_PAGE).any()
        assert (ops["offset"] + ops["length"] <= max(page_files(source))).all()

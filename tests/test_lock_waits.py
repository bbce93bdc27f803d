"""Waits at random moments: theory, single conflicts by hand, and probes that nobody feels."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from clonesim.lun.intervals import quantile
from clonesim.lun.lock_model import NS
from clonesim.lun.lock_run import closed_waits
from clonesim.lun.lock_traffic import LockTraffic, lock_requests, lock_traffic
from clonesim.lun.operations import GROWTH, POWER_ON, Operations
from clonesim.planning import storm_locks
from clonesim.planning.lock_waits import growth, inside, virtual_waits

HOLD_S = 0.01


def lock(locking: str = "fifo", hold_s: float = HOLD_S, **more: object) -> LockTraffic:
    made = lock_traffic("vmfs-5", locking, {"locks_per_grow": 1, **more}, seed=4)
    return replace(made, hold_ns=round(hold_s * NS))


def spans(*pairs: tuple[float, float]) -> np.ndarray:
    return np.array(pairs, float).reshape(-1, 2)


def steps(*rows: tuple[float, int, int]) -> Operations:
    """Growth: time, clone and host of each."""
    table = np.array(rows, float).reshape(-1, 3)
    return growth(table[:, 0], table[:, 1].astype(np.int64), table[:, 2].astype(np.int32))


def poisson(load: float, count: int, seed: int) -> Operations:
    """Steps of so many clones, one each, at rate load / HOLD_S."""
    rng = np.random.default_rng([11, seed])
    times = np.cumsum(rng.exponential(HOLD_S / load, count))
    return growth(times, np.arange(count), rng.integers(4, size=count).astype(np.int32))


def workload(times: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Work in an ideal lock at some moments, request by request: what a request at that moment waits for."""
    left, last, row, found = 0.0, 0.0, 0, []
    for moment in at.tolist():
        while row < times.size and times[row] <= moment:
            left = max(left - (times[row] - last), 0.0) + HOLD_S
            last, row = times[row], row + 1
        found.append(max(left - (moment - last), 0.0))
    return np.array(found)


def md1_wait(load: float, wait: float) -> float:
    """P(wait <= so many holds) of M/D/1, by Erlang's formula; exact while the sum does not cancel."""
    total = 0.0
    for k in range(int(wait) + 1):
        total += (load * (k - wait)) ** k / np.prod(np.arange(1.0, k + 1)) * np.exp(load * (wait - k))
    return (1 - load) * total


class TestTheory:
    @pytest.mark.parametrize("load", [0.2, 0.6, 0.8])
    def test_of_poisson_requests_it_is_the_wait_in_m_d_1(self, load: float) -> None:
        """PASTA: what a random moment finds is what a random request finds. Ten runs, each one trial."""
        means, none, few = [], [], []
        for seed in range(10):
            operations = poisson(load, 40_000, seed)
            window = spans((100 * HOLD_S, operations.time_s[-1]))
            [found] = virtual_waits(operations, {"storm": window}, lock(), 4, probes=4000, seed=seed).values()
            means.append(found.wait_s.mean() / HOLD_S)
            none.append((found.wait_s < 1e-6).mean())
            few.append((found.wait_s <= 2.5 * HOLD_S).mean())
        for values, exact in (
            (means, load / 2 / (1 - load)),
            (none, 1 - load),
            (few, md1_wait(load, 2.5)),
        ):
            error = np.std(values, ddof=1) / np.sqrt(len(values))
            assert abs(np.mean(values) - exact) < stats.t.ppf(0.9995, 9) * error
            assert error < 0.06 * max(exact, 0.1), "too noisy to say anything"

    def test_of_requests_that_come_in_storms_it_is_not_what_they_wait_themselves(self) -> None:
        """A hundred requests at one time, once in 100 s: they wait 0.5 s on average, a random moment 5 ms."""
        times = np.repeat(100.0 * np.arange(1, 41), 100)
        operations = growth(times, np.arange(times.size), np.zeros(times.size, np.int32))
        window = spans((100.0, 4100.0))
        [found] = virtual_waits(operations, {"storm": window}, lock(), 1, probes=40_000).values()
        busy = workload(times, np.linspace(100.0, 4100.0, 40_000, endpoint=False))
        assert found.wait_s.mean() == pytest.approx(0.005, rel=0.1)
        assert found.wait_s.mean() == pytest.approx(busy.mean(), rel=0.1)
        assert np.quantile(found.wait_s, 0.995) == pytest.approx(0.5, rel=0.1)

    def test_all_windows_of_a_kind_count_by_their_length(self) -> None:
        """Of 40 s and 10 s the lock is taken in the short one only, by one long hold."""
        operations = steps((1000.0, 0, 0))
        windows = {"storm": spans((0.0, 40.0), (1000.0, 1010.0))}
        [found] = virtual_waits(operations, windows, lock(hold_s=10.0), 1, probes=500).values()
        assert (found.wait_s > 0).sum() == 100, "one moment in each of equal parts"
        assert found.wait_s[:400].max() == 0.0
        assert found.wait_s[400:].mean() == pytest.approx(5.0, rel=0.01)
        assert found.length_s == 50.0


class TestByHand:
    def test_requests_and_conflicts_of_their_windows(self) -> None:
        """Host 1 asks while host 0 has reserved the LUN; later the same inside another window, and once outside."""
        rows = [
            (10.0, 0, 0),
            (10.002, 1, 1),
            (70.0, 2, 0),
            (70.001, 3, 1),
            (70.002, 4, 0),
            (500.0, 5, 0),
            (900.0, 6, 1),
        ]
        windows = {
            "one": spans((0.0, 60.0)),
            "two": spans((60.0, 100.0), (890.0, 950.0)),
            "none": spans((200.0, 300.0)),
        }
        locks = lock("scsi-reservation", backoff=0.1, backoff_distribution="exponential")
        found = virtual_waits(steps(*rows), windows, locks, 2, probes=10)
        alone = closed_waits(*_columns(steps(*rows), locks), locks.model, 2)
        assert alone.retries.tolist()[:2] == [0, 1]
        assert (found["one"].requests, found["two"].requests, found["none"].requests) == (2, 4, 0)
        assert found["one"].conflicts == 1
        assert found["two"].conflicts == int(alone.retries[2:5].sum() + alone.retries[6]) >= 1
        assert found["two"].worst_minute == int(alone.retries[2:5].sum())
        assert (found["none"].conflicts, found["none"].worst_minute, found["none"].failed) == (0, 0, 0)
        assert [part.length_s for part in found.values()] == [60.0, 100.0, 100.0]

    def test_a_probe_that_would_fail_waits_for_ever(self) -> None:
        """One try, and a reservation of 30 s: whoever comes from another host gives up; its own host's wait."""
        locks = lock("scsi-reservation", 30.0, tries=1)
        found = virtual_waits(steps((0.0, 0, 0)), {"storm": spans((0.0, 30.0))}, locks, 2, probes=200)["storm"]
        failed = np.isinf(found.wait_s)
        assert 60 < failed.sum() < 140
        assert found.wait_s[~failed].mean() == pytest.approx(15.0, rel=0.3)
        assert found.failed == 0, "no clone's request failed"

    def test_the_clones_own_failures(self) -> None:
        locks = lock("scsi-reservation", 30.0, tries=1)
        found = virtual_waits(steps((0.0, 0, 0), (5.0, 1, 1)), {"storm": spans((0.0, 30.0))}, locks, 2)["storm"]
        assert (found.conflicts, found.failed) == (1, 1)

    def test_the_hold_is_the_commands_times_the_minute_s_latency(self) -> None:
        """4 commands of 1 ms in the first minute, of 1 s in the second; the whole window is held in part."""
        latency = np.array([0.001, 1.0])
        locks = lock("scsi-reservation", **{"commands.scsi-reservation": 4})
        asked = []

        def by_minute(minute):
            asked.extend(minute.tolist())
            return latency[minute]

        windows = {"one": spans((30.0, 30.004)), "two": spans((90.0, 94.0))}
        found = virtual_waits(steps((30.0, 0, 0), (90.0, 0, 0)), windows, locks, 1, by_minute, probes=1000)
        assert asked == [0, 1]
        assert found["one"].wait_s.mean() == pytest.approx(0.002, rel=0.01)
        assert found["two"].wait_s.mean() == pytest.approx(2.0, rel=0.01)

    def test_a_power_on_takes_its_locks_one_behind_the_other(self) -> None:
        operations = Operations(
            np.zeros(1), np.zeros(1, np.int64), np.zeros(1, np.int32), np.array([POWER_ON], np.int8)
        )
        locks = lock(locks_per_power_on=7)
        found = virtual_waits(operations, {"storm": spans((0.0, 0.07))}, locks, 1, probes=700)["storm"]
        assert found.requests == 7
        # an ideal lock lets a probe in between two of them: it waits for the rest of one hold
        assert found.wait_s.mean() == pytest.approx(HOLD_S / 2, rel=0.02)

    def test_a_lun_without_requests(self) -> None:
        found = virtual_waits(Operations.none(), {"steady": spans((0.0, 3600.0))}, lock("scsi-reservation"), 2)[
            "steady"
        ]
        assert found.wait_s.tolist() == [0.0] * 200
        assert (found.conflicts, found.worst_minute, found.requests, found.failed) == (0, 0, 0, 0)

    def test_backings_whose_growth_takes_no_lock(self) -> None:
        operations = growth(np.zeros(50), np.arange(50), np.zeros(50, np.int32))
        found = virtual_waits(operations, {"storm": spans((0.0, 1.0))}, lock_traffic("nfs"), 1)["storm"]
        assert found.wait_s.max() == 0.0 and found.requests == 0

    def test_inside(self) -> None:
        windows = spans((1.0, 2.0), (5.0, 6.0))
        times = np.array([0.0, 1.0, 1.999, 2.0, 4.0, 5.5, 6.0, 9.0])
        assert inside(times, windows).tolist() == [False, True, True, False, False, True, False, False]
        assert not inside(times, spans()).any()


class TestProbes:
    @pytest.mark.parametrize("locking", ["fifo", "scsi-reservation", "ats", "ats+scsi"])
    def test_are_felt_by_hardly_anybody(self, locking: str) -> None:
        """As many probes as a plan has in an hour: what clones meet is what they meet without probes, but for a few."""
        rng = np.random.default_rng(3)
        times = np.sort(rng.uniform(0.0, 3600.0, 150_000 if locking.startswith("ats") else 30_000))
        operations = growth(times, rng.integers(60, size=times.size), rng.integers(8, size=times.size).astype(np.int32))
        locks = lock(locking)
        alone = closed_waits(*_columns(operations, locks), locks.model, 8)
        found = virtual_waits(operations, {"storm": spans((0.0, 3600.0))}, locks, 8, probes=400)["storm"]
        assert found.requests == times.size
        assert found.failed == alone.failed.sum() == 0
        if locking == "fifo":
            assert found.conflicts == 0
        else:
            assert alone.retries.sum() > 100
            assert found.conflicts == pytest.approx(alone.retries.sum(), rel=0.02)

    @pytest.mark.parametrize("locking", ["fifo", "scsi-reservation", "ats"])
    def test_far_from_all_requests_change_nothing(self, locking: str) -> None:
        rng = np.random.default_rng(3)
        times = np.sort(rng.uniform(0.0, 60.0, 3000))
        operations = growth(times, rng.integers(60, size=times.size), rng.integers(8, size=times.size).astype(np.int32))
        locks = lock(locking)
        alone = closed_waits(*_columns(operations, locks), locks.model, 8)
        windows = {"all": spans((0.0, 1e5)), "late": spans((3600.0, 1e5))}
        counts = []
        for probes in (1, 3000):
            found = virtual_waits(operations, windows, locks, 8, probes=probes, seed=1)
            counts.append(found["all"].conflicts)
            assert found["late"].wait_s.max() == 0.0
        assert counts[0] == alone.retries.sum()
        assert counts[1] == pytest.approx(counts[0], rel=0.02)

    def test_are_keyed(self) -> None:
        operations, window = poisson(0.6, 5000, 1), {"storm": spans((0.0, 80.0))}
        one, two, other = (
            virtual_waits(operations, window, lock(), 4, seed=seed, replicate=3)["storm"] for seed in (1, 1, 2)
        )
        assert one.wait_s.tolist() == two.wait_s.tolist() != other.wait_s.tolist()


def _columns(operations: Operations, locks: LockTraffic):
    requests = lock_requests(operations, locks)
    assert (operations.kind == GROWTH).all()
    hold = np.full(requests.time_s.size, locks.hold_ns, np.int64)
    return np.rint(requests.time_s * NS).astype(np.int64), requests.clone, requests.host, hold


@pytest.mark.parametrize(("replicates", "probes"), [(1, 10), (3, 200), (7, 33)])
def test_the_interval_is_that_of_replicates_and_probes_drawn_anew_and_sorted(replicates, probes):
    rng = np.random.default_rng(replicates)
    table = np.where(rng.random((replicates, probes)) < 0.9, 0.0, rng.exponential(size=(replicates, probes)))
    table[0, :2] = 0.5, np.inf
    draws = np.random.default_rng(np.random.SeedSequence([replicates, probes]))
    drawn = []
    for _ in range(storm_locks.RESAMPLES):
        rows = draws.integers(replicates, size=(replicates, 1))
        drawn.append(quantile(table[rows, draws.integers(probes, size=table.shape)].ravel(), 0.99))
    expected = [quantile(table.ravel(), 0.99), quantile(np.array(drawn), 0.025), quantile(np.array(drawn), 0.975)]
    found = storm_locks._interval([SimpleNamespace(wait_s=row) for row in table])
    assert found.tolist() == expected

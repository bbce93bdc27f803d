"""The volume's kernels equal the slow reference, operation by operation: space, fragments, requests, clock.

Long sequences also say which rare things they must reach: splits of the index, $MFT growth, zones, journal cuts.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from reference_volume import FREE, ReferenceVolume, pieces

from clonesim.errors import VolumeFullError
from clonesim.guest import Volume
from clonesim.ops import OPS_DTYPE, FileOp, Requests
from clonesim.units import KIB, MIB

POLICIES = ["windows", "best-fit", "first-fit", "next-fit", "worst-fit", "fresh-first"]
CLUSTERS = [512, 1024, 4096, 16384, 65536]


class Recorder:
    """Stands in for a delta and keeps the requests that the volume hands on."""

    def __init__(self) -> None:
        self.parts: list[Requests] = []

    def accept(self, requests: Requests) -> None:
        self.parts.append(requests)

    def revert(self) -> None:
        pass

    def take(self) -> list[tuple[float, int, int, int]]:
        rows = [
            row
            for part in self.parts
            for row in zip(
                *(column.tolist() for column in (part.time_s, part.op, part.offset, part.length)), strict=True
            )
        ]
        self.parts.clear()
        return rows


class Pair:
    """A volume and its reference, taken through the same calls."""

    def __init__(self, size: str, policy: str, **parameters: Any) -> None:
        self.fast = Volume(size, policy, **parameters)
        self.slow = ReferenceVolume(size, policy, **parameters)
        self.log = [f"{size} {policy} {parameters}"]
        self.reached = self.slow.reached = Counter()
        self.recorder = Recorder()
        self.compare_all()
        self.snapshot()

    def snapshot(self) -> None:
        self.fast.deltas.clear()
        self.fast.snapshot("exact")
        self.fast.deltas[-1] = self.recorder  # type: ignore[call-overload]
        self.slow.snapshot()
        self.compare("snapshot")

    def call(self, what: str, *arguments: Any) -> bool:
        """Do a call on both sides and compare; False where both refuse for lack of space."""
        outcomes = []
        for side in (self.slow, self.fast):
            try:
                getattr(side, what)(*arguments)
                outcomes.append("done")
            except VolumeFullError:
                outcomes.append("full")
        self.compare(f"{what}{arguments}", *outcomes)
        return outcomes[0] == "done"

    def apply(self, rows: list[tuple[Any, ...]]) -> None:
        """Run rows (time_s, FileOp, file, offset, length) in one call."""
        ops = np.zeros(len(rows), OPS_DTYPE)
        for k, row in enumerate(rows):
            ops["time_s"][k], ops["op"][k], ops["file"][k], ops["offset"][k], ops["length"][k] = row
        outcomes = []
        for side in (self.slow, self.fast):
            try:
                side.apply(ops)
                outcomes.append("done")
            except VolumeFullError:
                outcomes.append("full")
        self.compare(f"apply {rows}", *outcomes)

    def compare(self, what: str, slow: str = "done", fast: str = "done") -> None:
        self.log.append(what)
        assert fast == slow, self.story(f"the kernel is {fast}, the reference {slow}")
        found = self.recorder.take()
        wanted = [(time / 1e9, op, offset, length) for time, op, offset, length in self.slow.requests]
        self.slow.requests.clear()
        if found != wanted:
            k = next(
                (k for k, (f, w) in enumerate(zip(found, wanted, strict=False)) if f != w), min(len(found), len(wanted))
            )
            raise AssertionError(
                self.story(f"request {k}: the kernel sends {found[k : k + 3]}, right is {wanted[k : k + 3]}")
            )
        assert self.fast.used_bytes == self.slow.used_bytes, self.story("used")
        assert self.fast.quarantined_bytes == self.slow.quarantined_bytes, self.story("quarantined")
        assert self.fast.clock == self.slow.now / 1e9, self.story("clock")

    def compare_file(self, name: str | int) -> None:
        frame, file = self.fast.extents(name), self.slow.files[name]
        found = list(zip(frame["lcn"].tolist(), frame["clusters"].tolist(), strict=True))
        assert found == pieces(file.clusters), self.story(f"fragments of {name!r}")
        assert self.fast.size(name) == file.size, self.story(f"size of {name!r}")

    def compare_all(self) -> None:
        slow = np.frombuffer(bytes(self.slow.state), np.uint8)
        assert np.array_equal(self.fast.bitmap, ~np.isin(slow, list(FREE))), "which clusters are free"
        written = np.frombuffer(bytes(self.slow.written), np.uint8)
        assert np.array_equal(self.fast.ever_written, written == 1), "which clusters were ever written"
        assert len(self.fast) == len(self.slow.files)
        for name in self.slow.files:
            self.compare_file(name)
        self.fast.check_invariants()
        wanted = [*self.slow.system.values(), *(f for name, f in self.slow.files.items() if isinstance(name, str))]
        assert sorted(f.record for f in self.slow.index.in_order()) == sorted(f.record for f in wanted)

    def story(self, what: str) -> str:
        return f"{what}; after\n" + "\n".join(self.log[:1] + self.log[-12:])


def sizes(rng: random.Random, most: int) -> int:
    """Sizes from resident files to `most`, all magnitudes alike."""
    return min(most, int(2 ** rng.uniform(0, most.bit_length())))


def long_name(rng: random.Random) -> str:
    return rng.choice("aBcdEfgh.äЖ漢😀") * rng.choice([1, 3, 30, 120]) + str(rng.randrange(10**6))


def churn(pair: Pair, seed: int, steps: int, fill: float, most: int, names: Any = None) -> None:
    """A long random sequence that keeps the volume about `fill` full."""
    rng = random.Random(seed)
    live: list[str | int] = []
    total = pair.fast.clusters * pair.fast.cluster_size
    for step in range(steps):
        full = pair.slow.used_bytes / total > fill
        draw = rng.random()
        name = rng.choice(live) if live else None
        if name is not None and (draw < 0.25 or (full and draw < 0.55)):
            pair.call("delete", name)
            live.remove(name)
        elif draw < 0.65 or name is None:
            new = names(rng) if names else rng.randrange(10**4)
            if new not in live and pair.call("create", new, sizes(rng, most)):
                live.append(new)
                pair.compare_file(new)
        elif draw < 0.85:
            pair.call("append", name, max(1, sizes(rng, most // 2)))
            pair.compare_file(name)
        elif draw < 0.92:
            size = pair.fast.size(name)
            if size:
                offset = rng.randrange(size)
                pair.call("overwrite", name, offset, rng.randint(1, min(size - offset, MIB)))
        elif draw < 0.98:
            new = rng.choice([n for n in live if type(n) is type(name)])
            if rng.random() < 0.5:
                new = names(rng) if names else rng.randrange(10**4)
            if pair.call("rename", name, new) and new != name:
                live = [n for n in live if n not in (name, new)] + [new]
                pair.compare_file(new)
        elif draw < 0.99:
            pair.call("advance", rng.random() * 8)
        else:
            pair.call("trim")
        if step % 500 == 499:
            pair.compare_all()
    pair.compare_all()


NAMES = st.one_of(
    st.integers(0, 12),
    st.sampled_from(
        ["a", "A", "b.txt", "Ä" * 40, "x" * 255, "漢字", "😀" * 100, "\ud800", ".", "$MFT", " ", "\x05", "ß" * 20]
    ),
    st.text(st.characters(blacklist_characters="/"), min_size=1, max_size=40),
)
LENGTHS = st.one_of(
    st.integers(0, 5000),
    st.integers(0, 2 * MIB),
    st.sampled_from([0, 1, 700, 701, 900, 4096, 65536, 65537, MIB, 3 * MIB]),
)


class VolumeMachine(RuleBasedStateMachine):
    """Any calls in any order on a small volume."""

    @initialize(
        policy=st.sampled_from(POLICIES),
        os=st.sampled_from(["windows-xp", "windows-7", "windows-10"]),
        cluster_size=st.sampled_from(CLUSTERS),
        size=st.sampled_from(["9 MiB", "9500160 B", "24 MiB", "64 MiB"]),
        auto_checkpoint=st.booleans(),
        offset=st.sampled_from([None, 0, 512, 32256]),
        values=st.fixed_dictionaries(
            {},
            optional={
                "usn_step": st.just(64 * KIB),
                "usn_most": st.sampled_from([0, 64 * KIB]),
                "usn_bytes": st.sampled_from([64, 96, 512]),
                "log_bytes": st.sampled_from([64, 1000, 4096]),
                "run_cache": st.integers(0, 6),
                "stream_first_unit": st.integers(1, 16),
                "stream_growth": st.integers(1, 4),
                "mft_step": st.sampled_from([4096, 5000, 65536]),
                "longest_write": st.sampled_from([4096, 5000, 64 * KIB]),
                "resident_limit": st.sampled_from([0, 900]),
                "checkpoint_interval": st.sampled_from([0.0, 0.001, 60.0]),
                "name_units": st.sampled_from([1, 255]),
                "folder_files": st.sampled_from([1, 3, 7, 40]),
                "discards": st.booleans(),
            },
        ),
        left=st.one_of(st.none(), st.integers(0, 200)),
    )
    def start(self, policy, os, cluster_size, size, auto_checkpoint, offset, values, left):
        values |= {} if offset is None else {"partition_offset": offset}
        self.pair = Pair(size, policy, os=os, cluster_size=cluster_size, auto_checkpoint=auto_checkpoint, **values)
        if left is not None:  # nearly full from the start
            spare = self.pair.slow.free_clusters() - left
            self.pair.call("create", "most of it", max(0, spare) * cluster_size)
        self.files = self.pair.slow.files

    def pick(self, k: int) -> str | int:
        return list(self.files)[k % len(self.files)]

    @rule(name=NAMES, length=LENGTHS)
    def create(self, name, length):
        if name not in self.files and self.pair.call("create", name, length):
            self.pair.compare_file(name)

    @rule(first=st.integers(0, 10**6), count=st.integers(1, 60), length=LENGTHS, name=st.sampled_from(["", "n" * 200]))
    def create_many(self, first, count, length, name):
        for k in range(first, first + count):
            new = name + str(k) if name else k
            if new not in self.files and not self.pair.call("create", new, length % 5000):
                break

    @precondition(lambda self: self.files)
    @rule(k=st.integers(0, 10**6), length=LENGTHS)
    def append(self, k, length):
        name = self.pick(k)
        self.pair.call("append", name, length + 1)
        self.pair.compare_file(name)

    @precondition(lambda self: self.files)
    @rule(k=st.integers(0, 10**6), a=st.floats(0, 1), b=st.floats(0, 1))
    def overwrite(self, k, a, b):
        name = self.pick(k)
        low, high = sorted(int(part * self.files[name].size) for part in (a, b))
        if high > low:
            self.pair.call("overwrite", name, low, high - low)

    @precondition(lambda self: self.files)
    @rule(k=st.integers(0, 10**6), count=st.integers(1, 40), step=st.integers(1, 3))
    def delete(self, k, count, step):
        for name in (list(self.files)[k % len(self.files) :: step])[:count]:
            self.pair.call("delete", name)

    @precondition(lambda self: self.files)
    @rule(k=st.integers(0, 10**6), name=NAMES)
    def rename(self, k, name):
        old = self.pick(k)
        if type(old) is type(name):
            self.pair.call("rename", old, name)

    @precondition(lambda self: self.files)
    @rule(k=st.integers(0, 10**6), n=st.integers(0, 10**6))
    def rename_over(self, k, n):
        old, new = self.pick(k), self.pick(n)
        if type(old) is type(new):
            self.pair.call("rename", old, new)

    @rule(seed=st.integers(0, 10**9), count=st.integers(1, 40), gap=st.sampled_from([0.0, 1.0, 7.0]))
    def apply(self, seed, count, gap):
        rng, now = random.Random(seed), self.pair.fast.clock
        held = {name: file.size for name, file in self.files.items() if isinstance(name, int)}
        rows = []
        for _ in range(count):
            now += rng.random() * gap
            old = rng.choice(list(held)) if held else None
            op = rng.choice(list(FileOp)) if old is not None else FileOp.CREATE
            new, length = rng.randrange(100), rng.choice([0, 500, 5000, 100_000]) + rng.randrange(5000)
            if op == FileOp.CREATE and new not in held:
                held[new] = length
                rows.append((now, op, new, rng.randrange(9), length))
            elif op == FileOp.APPEND:
                held[old] += length + 1
                rows.append((now, op, old, 0, length + 1))
            elif op == FileOp.OVERWRITE and held[old]:
                at = rng.randrange(held[old])
                rows.append((now, op, old, at, rng.randint(1, held[old] - at)))
            elif op == FileOp.SCATTER and held[old]:
                rows.append((now, op, old, rng.randrange(2**62), rng.randint(1, 40 * 4096)))
            elif op == FileOp.DELETE:
                del held[old]
                rows.append((now, op, old, 5, 5))
            elif op == FileOp.RENAME:
                held[new] = held.pop(old)
                rows.append((now, op, old, new, 7))
            elif op == FileOp.TRIM:
                rows.append((now, op, -1, -1, -1))
        self.pair.apply(rows)

    @rule(seconds=st.sampled_from([0.0, 0.0005, 1.0, 4.9999, 5.0, 100.0]))
    def advance(self, seconds):
        self.pair.call("advance", seconds)

    @rule()
    def trim(self):
        self.pair.call("trim")

    @rule()
    def snapshot(self):
        self.pair.snapshot()

    @rule()
    def revert(self):
        self.pair.call("revert")
        self.files = self.pair.slow.files
        self.pair.compare_all()

    def teardown(self):
        if hasattr(self, "pair"):
            self.pair.compare_all()


TestVolumeMachine = VolumeMachine.TestCase
TestVolumeMachine.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("os", "cluster_size", "size", "room", "most", "values"),
    [
        ("windows-7", 4096, "40 MiB", 24 * MIB, MIB, {}),
        ("windows-7", 4096, "24 MiB", 4 * MIB, MIB, {"checkpoint_interval": 60.0, "longest_write": 5000}),
        ("windows-xp", 512, "12 MiB", MIB, 100 * KIB, {"mft_step": 4096}),
        ("windows-10", 1024, "24 MiB", 8 * MIB, 64 * KIB, {"checkpoint_interval": 0.0}),
        ("windows-10", 65536, "64 MiB", 48 * MIB, 4 * MIB, {"auto_checkpoint": False, "log_bytes": 64}),
    ],
)
def test_long_churn(policy, os, cluster_size, size, room, most, values):
    """`room` bytes are free at the start; they get full, so that requests find no run that holds them."""
    values = {"usn_most": 64 * KIB, "usn_step": 64 * KIB, "usn_bytes": 512, "run_cache": 7} | values
    pair = Pair(size, policy, os=os, cluster_size=cluster_size, **values)
    pair.call("create", "base", pair.fast.free_bytes - room)
    churn(pair, 7, 900, 0.98, most, names=long_name)
    wanted = {"fragment"} | ({"data in zone"} if policy != "fresh-first" else set())
    wanted |= {"journal cut"} if os != "windows-xp" else set()
    wanted |= {"nothing fits"} if policy != "worst-fit" else set()
    wanted |= {"zone halved"} if policy == "fresh-first" else set()
    wanted |= {"run outside the cache"} if policy == "windows" else set()
    missing = wanted - set(pair.reached)
    assert not missing, f"{missing} not reached, only {dict(pair.reached)}"


@pytest.mark.parametrize("policy", ["windows", "fresh-first"])
def test_many_files_come_and_go(policy):
    """The directory becomes three levels deep and shallow again; $MFT and its bitmap grow."""
    pair = Pair("24 MiB", policy, cluster_size=512, auto_checkpoint=False, log_bytes=4096)
    rng = random.Random(policy)
    left = [f"{number:04}" for number in range(4300)]
    for name in left:
        assert pair.call("create", name, rng.choice([0, 600, 1500]))
    assert pair.slow.index.depth() >= 2
    pair.compare_all()
    rng.shuffle(left)
    for k, name in enumerate(left[:500]):
        assert pair.call("rename", name, f"{'r' * (k % 200)}{name}")
    assert pair.slow.index.depth() >= 3
    pair.compare_all()
    for name in sorted(left[500:])[:3700]:
        assert pair.call("delete", name)
    assert pair.slow.index.drops > 100
    assert {"MFT grows", "MFT bitmap grows", "index grows", "log in a circle"} <= set(pair.reached)
    pair.compare_all()


@pytest.mark.parametrize("policy", ["windows", "fresh-first"])
@pytest.mark.parametrize(("cluster_size", "folder_files"), [(512, 10), (4096, 1), (4096, 70), (16384, 10)])
def test_many_numbered_files_come_and_go(policy, cluster_size, folder_files):
    """Folders are made, get index blocks, lose all their files and are filled again."""
    values = {"cluster_size": cluster_size, "folder_files": folder_files}
    pair = Pair("40 MiB", policy, auto_checkpoint=False, log_bytes=4096, **values)
    rng = random.Random(policy)
    numbers = list(range(2500))
    rng.shuffle(numbers)
    rows = [(0.001 * k, FileOp.CREATE, n, 0, rng.choice([0, 600, 1500])) for k, n in enumerate(numbers)]
    pair.apply(rows)
    pair.compare_all()
    rng.shuffle(numbers)
    pair.apply([(100 + 0.001 * k, FileOp.DELETE, n, 0, 0) for k, n in enumerate(numbers[:2300])])
    pair.apply([(200 + 0.001 * k, FileOp.RENAME, n, n + 10**5, 0) for k, n in enumerate(numbers[2300:])])
    pair.apply([(300 + 0.001 * k, FileOp.CREATE, n, 0, 9000) for k, n in enumerate(numbers[:500])])
    assert ("folder grows" in pair.reached) == (folder_files > 4)
    assert "MFT grows" in pair.reached
    pair.compare_all()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("cluster_size", [512, 4096])
def test_full_volume_and_another_zone(policy, cluster_size):
    """Data fills the MFT zone; what is freed elsewhere becomes the next zone when $MFT must grow."""
    pair = Pair("16 MiB", policy, mft_step=16 * KIB, run_cache=3, cluster_size=cluster_size)
    step = 0
    while pair.call("create", f"fill{step}", 130 * KIB):
        step += 1
    while pair.call("create", f"tail{step}", 4096):
        step += 1
    for k in range(0, 20, 4):
        pair.call("delete", f"fill{k}")
    for k in range(400):
        pair.call("create", k, 650)
    pair.call("append", 0, 2 * MIB)
    pair.call("append", 1, 300 * KIB)
    for k in range(2, 400, 3):
        pair.call("delete", k)
    pair.compare_all()
    wanted = {"MFT grows", "volume full"}
    wanted |= {"zone halved"} if policy == "fresh-first" else {"data in zone", "next zone"}
    missing = wanted - set(pair.reached)
    assert not missing, f"{missing} not reached, only {dict(pair.reached)}"

"""`Volume(policy="ntfs3g")` against a plain reference, operation by operation, and against its own past (revert)."""

import copy
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from reference_ntfs3g import ReferenceNtfs3g
from reference_ntfs3g_space import CLUSTER

from clonesim.errors import VolumeFullError
from clonesim.guest import Volume

MIB = 1 << 20
GRAIN = 65536  # as in the measured runs [B]
LETTERS = "abcXYZ_-.0123"


class Recorder:
    """Stands in for a delta: keeps the requests as they come."""

    def __init__(self):
        self.rows = []

    def accept(self, requests):
        self.rows += zip(requests.time_s.tolist(), requests.offset.tolist(), requests.length.tolist(), strict=True)

    def revert(self):
        self.rows = []

    def take(self):
        rows, self.rows = self.rows, []
        return rows


def ranges(writes):
    """Bytes written, as disjoint ranges in order."""
    found = []
    for start, end in sorted((offset, offset + length) for offset, length in writes if length):
        if found and start <= found[-1][1]:
            found[-1][1] = max(end, found[-1][1])
        else:
            found.append([start, end])
    return found


def grains(writes):
    """The set of 64 KiB pieces of the disk that writes touch."""
    return {
        g for offset, length in writes if length for g in range(offset // GRAIN, (offset + length - 1) // GRAIN + 1)
    }


def record_requests(volume):
    """Snapshot a volume; what is written from then on goes to a recorder."""
    volume.deltas.clear()
    volume.snapshot("exact")
    volume.deltas[:] = [Recorder()]
    return volume.deltas[-1]


class Pair:
    """A volume and the reference, which do the same."""

    def __init__(self, size):
        self.volume, self.reference = Volume(size, policy="ntfs3g"), ReferenceNtfs3g(size)
        self.names, self.saved, self.count = [], None, 0
        self.snapshot()

    def name(self, rnd, shortest=0, longest=20):
        """Return a name that differs from all others in its first letters."""
        self.count += 1
        letters = "".join(rnd.choice(LETTERS) for _ in range(rnd.randint(shortest, longest)))
        return f"{rnd.choice(LETTERS)}{rnd.choice(LETTERS)}{self.count}.{letters}"

    def do(self, op, *args):
        """Do an operation on both and compare; False where the volume says that it is full."""
        refused = self.volume.free_bytes
        try:
            getattr(self.volume, op)(*args)
        except VolumeFullError:
            name, need = args[0], args[-1] // CLUSTER
            assert need + need // 512 + 32 > refused // CLUSTER, f"{op} {args} refused with {refused} B free"
            assert self.volume.free_bytes == refused and (name in self.volume) == (name in self.names)
            assert self.recorder.take() == []
            return False
        getattr(self.reference, op)(*args)
        if op == "create":
            self.names.append(args[0])
        elif op == "delete":
            self.names.remove(args[0])
        self.compare(f"after {op} {args}", args[0])
        return True

    def compare(self, when, *names):
        """Assert that used clusters, written bytes and the extents of some files agree."""
        assert self.volume.used_bytes == self.reference.used_clusters * CLUSTER, when
        got, expected = [row[1:] for row in self.recorder.take()], self.reference.take_writes()
        assert grains(got) == grains(expected), when
        assert ranges(got) == ranges(expected), when
        for name in names:
            assert (name in self.volume) == (name in self.reference.files), when
            if name in self.volume:
                found = self.volume.extents(name)
                runs = list(zip(found["lcn"].tolist(), found["clusters"].tolist(), strict=True))
                assert runs == self.reference.runs(name), f"{when}: extents of {name}"
                assert self.volume.size(name) == self.reference.files[name].length, when

    def compare_all(self, when):
        self.compare(when, *self.names)
        assert len(self.volume) == len(self.names)
        self.volume.check_invariants()

    def snapshot(self):
        self.recorder = record_requests(self.volume)
        self.reference.mount()
        self.reference.take_writes()
        self.saved = copy.deepcopy((self.reference, self.names))

    def revert(self):
        self.volume.revert()
        self.reference, self.names = copy.deepcopy(self.saved)


# --- the reference -------------------------------------------------------------------------------------------------


class AgainstReference(RuleBasedStateMachine):
    """Any sequence of operations does the same on both, byte for byte."""

    @initialize(size=st.sampled_from([8, 16, 33]), files=st.integers(0, 40), filled=st.sampled_from([0, 0.5, 0.97]))
    def start(self, size, files, filled):
        self.pair = pair = Pair(size * MIB)
        self.rnd = rnd = random.Random(files)
        for _ in range(files):
            pair.do("create", pair.name(rnd, 0, 60), rnd.randrange(9000))
        spare = pair.volume.free_bytes - int((1 - filled) * size * MIB)
        if spare > 0:
            pair.do("create", "filler", spare)

    def pick(self, which):
        return self.pair.names[which % len(self.pair.names)]

    @rule(
        size=st.one_of(st.integers(0, 1100), st.integers(0, 70_000), st.integers(0, 3 << 20)),
        length=st.integers(1, 200),
    )
    def create(self, size, length):
        self.pair.do("create", self.pair.name(self.rnd, length, length), size)

    @precondition(lambda self: self.pair.names)
    @rule(which=st.integers(0, 999), size=st.one_of(st.integers(1, 900), st.integers(1, 300_000)))
    def append(self, which, size):
        self.pair.do("append", self.pick(which), size)

    @precondition(lambda self: self.pair.names)
    @rule(which=st.integers(0, 999), at=st.floats(0, 0.999), share=st.floats(0.001, 1))
    def overwrite(self, which, at, share):
        name = self.pick(which)
        size = self.pair.volume.size(name)
        offset = int(at * size)
        if size:
            self.pair.do("overwrite", name, offset, max(1, int(share * (size - offset))))

    @precondition(lambda self: self.pair.names)
    @rule(which=st.lists(st.integers(0, 999), min_size=1, max_size=6))
    def delete(self, which):
        for name in {self.pick(w) for w in which}:
            self.pair.do("delete", name)

    @rule()
    def snapshot(self):
        self.pair.snapshot()

    @rule()
    def revert(self):
        self.pair.revert()

    @invariant()
    def agree(self):
        if hasattr(self, "pair"):
            self.pair.compare_all("as a whole")


AgainstReference.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
TestAgainstReference = AgainstReference.TestCase


def many_names(pair, rnd):
    """Hundreds of names of up to 250 letters, deleted in bulk: a deep index that splits, shrinks and moves."""
    shortest = rnd.choice([0, 120])
    for _ in range(700):
        pair.do("create", pair.name(rnd, shortest, 240), rnd.randrange(900))
    pair.snapshot()
    for _ in range(40):
        for name in rnd.sample(pair.names, rnd.randrange(1, 60)):
            pair.do("delete", name)
        for _ in range(rnd.randrange(1, 60)):
            pair.do("create", pair.name(rnd, shortest, 240), rnd.choice([0, rnd.randrange(900), rnd.randrange(30_000)]))
        if pair.names:
            pair.do("append", rnd.choice(pair.names), rnd.randrange(1, 900))


def holes(pair, rnd):
    """Small files up to nearly full, deleted here and there, and large files made of the holes: attribute lists."""
    while pair.do("create", pair.name(rnd), rnd.randrange(1000, 9000)):
        pass
    pair.snapshot()
    for _ in range(10):
        for name in rnd.sample(pair.names, min(len(pair.names), rnd.randrange(50, 400))):
            pair.do("delete", name)
        for share in (0.5, 0.3, 0.9):
            pair.do("create", pair.name(rnd, 0, 100), int(pair.volume.free_bytes * share))
        pair.do("append", rnd.choice(pair.names[-4:]), rnd.randrange(1, 200_000))
        while pair.do("create", pair.name(rnd), rnd.randrange(1000, 9000)):
            pass


def aged(pair, rnd):
    """Everything at random on a volume that is full again and again: zones run out and reopen."""
    most = pair.volume.clusters * CLUSTER // 12
    for step in range(900):
        r = rnd.random()
        if pair.names and (r < 0.3 or pair.volume.free_bytes < most // 4):
            pair.do("delete", rnd.choice(pair.names))
        elif pair.names and r < 0.5:
            pair.do("append", rnd.choice(pair.names), rnd.randrange(1, 400_000))
        elif pair.names and r < 0.6:
            name = rnd.choice(pair.names)
            size = pair.volume.size(name)
            if size:
                at = rnd.randrange(size)
                pair.do("overwrite", name, at, min(size - at, rnd.randrange(1, 100_000)))
        else:
            pair.do("create", pair.name(rnd), min(int(rnd.lognormvariate(11, 2.5)), most))
        if step % 200 == 150:
            pair.snapshot()


@pytest.mark.parametrize(
    ("kind", "mib", "seed", "reached"),
    [
        (many_names, 64, 9, {"split at depth 4", "parent split first", "block dropped", "split for an heir"}),
        (many_names, 16, 7, {"split at depth 4", "0x90 moved to an extent record", "root goes down"}),
        (holes, 16, 3, {"attribute list", "extent record", "0x20 to clusters"}),
        (holes, 33, 4, {"attribute list", "extent record", "split at depth 3"}),
        (aged, 24, 5, {"0x80 to clusters", "split at depth 1"}),
        (aged, 64, 6, {"0x80 to clusters"}),
        (aged, 4300, 7, {"0x80 to clusters"}),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)) if not isinstance(value, set) else "",
)
def test_long_sequence_equals_the_reference(kind, mib, seed, reached):
    pair = Pair(mib * MIB)
    kind(pair, random.Random(seed))
    pair.compare_all("at the end")
    seen = pair.reference.metadata.seen
    assert reached <= set(seen), f"the sequence no longer reaches {reached - set(seen)}; it reaches {Counter(seen)}"


# --- revert --------------------------------------------------------------------------------------------------------


def state(volume):
    """All that can be seen of a volume."""
    extents = {name: volume.extents(name).to_numpy().tolist() for name in sorted(volume._files)}
    sizes = {name: volume.size(name) for name in extents}
    return volume.used_bytes, volume.clock, extents, sizes, volume.bitmap.tobytes(), volume.ever_written.tobytes()


def churn(volume, rnd, steps, prefix):
    """Random operations; what each did or refused."""
    log = []
    for step in range(steps):
        names, r = sorted(volume._files), rnd.random()
        name, size = rnd.choice(names) if names else "", int(rnd.lognormvariate(10, 2.3))
        try:
            if names and r < 0.35:
                volume.delete(name)
            elif names and r < 0.55:
                volume.append(name, max(size, 1))
            elif names and r < 0.65 and volume.size(name):
                volume.overwrite(name, 0, min(max(size, 1), volume.size(name)))
            else:
                volume.create(f"{step}{prefix}" + "n" * rnd.randrange(100), min(size, 2 * MIB))
        except VolumeFullError:
            log.append(step)
    return log


@pytest.mark.parametrize(("mib", "seed"), [(16, 1), (16, 2), (48, 3)])
def test_revert_goes_back_and_the_future_repeats(mib, seed):
    volume, rnd = Volume(mib * MIB, policy="ntfs3g"), random.Random(seed)
    churn(volume, rnd, 400, "base")
    recorder = record_requests(volume)
    before = state(volume)
    futures = []
    for _ in range(3):
        refused = churn(volume, random.Random(seed + 100), 500, "clone")
        volume.check_invariants()
        futures.append((refused, recorder.take(), state(volume)))
        volume.revert()
        assert state(volume) == before
        volume.check_invariants()
    assert len(futures[0][1]) > 1000 and futures[0][2] != before
    assert futures[1] == futures[0] and futures[2] == futures[0]
    churn(volume, random.Random(seed + 200), 100, "other")  # another past, then the same future
    volume.revert()
    assert (churn(volume, random.Random(seed + 100), 500, "clone"), recorder.take()) == futures[0][:2]


def test_revert_reaches_the_delta():
    volume = Volume(32 * MIB, policy="ntfs3g")
    volume.create("base", 10 * MIB)
    delta = volume.snapshot("qcow2")
    empty = delta.file_bytes
    volume.create("new", 4 * MIB)
    grown = delta.file_bytes
    assert grown > empty + 4 * MIB
    volume.revert()
    assert (delta.file_bytes, "new" in volume) == (empty, False)
    volume.create("new", 4 * MIB)
    assert delta.file_bytes == grown

"""Plans: every operation valid, every source its own, rates and sizes as the catalog says."""

import math

import numpy as np
import pytest
import reference_plan

from clonesim.errors import ParameterError
from clonesim.guest import Volume
from clonesim.guest.activity import Activity, Machine
from clonesim.guest.presence import DAY_S, DEFINITIONS, FEATURE_UPDATE, FULL_SCANS, PATCHES, Presence, Shared
from clonesim.keys import generator
from clonesim.ops import FileOp
from clonesim.scenario import catalog

OSES = ("windows-xp", "windows-7", "windows-10", "windows-11")
DAYS = 45
PATCH = {"windows-xp": 40_000_000, "windows-7": 200_000_000}


def office(days=DAYS, users=1, seed=1, hours=6.0, intensity=1.0):
    """Every user works on every weekday from about 8:30 on, for a time that is exponential."""
    rng = np.random.default_rng(seed)
    day, user = (a.ravel() for a in np.meshgrid([d for d in range(days) if d % 7 < 5], range(users)))
    start = day * DAY_S + 8.5 * 3600 + rng.normal(0, 1200, day.size)
    order = np.argsort(start)
    start, user = start[order], user[order]
    end = start + np.minimum(rng.exponential(hours * 3600, start.size), 15 * 3600)
    first = np.zeros(start.size, np.bool_)
    first[np.unique(user, return_index=True)[1]] = True
    boots = np.array([0.0, *(d * DAY_S + 3 * 3600 for d in range(9, days, 28))])
    return Presence(boots, start, end, user.astype(np.int64), np.full(start.size, float(intensity)), first)


def storms(os="windows-11", days=DAYS, feature_update=True):
    """Pushes at 4, 12 and 20 o'clock (one on weekend days), patches on the 9th day and every 28 days."""
    push = np.array([d * DAY_S + h * 3600 for d in range(days) for h in (4, 12, 20) if d % 7 < 5 or h == 4])
    patch = np.arange(8, days, 28) * DAY_S + 22 * 3600
    scan = np.arange(2, days, 7) * DAY_S + 12 * 3600
    events = {
        DEFINITIONS: (push, np.full(push.size, 110_000_000)),
        PATCHES: (patch, np.full(patch.size, PATCH.get(os, 1_000_000_000))),
        FULL_SCANS: (scan, np.zeros(scan.size, np.int64)),
    }
    if feature_update:
        events[FEATURE_UPDATE] = (np.array([20 * DAY_S]), np.array([8 * PATCH.get(os, 1_000_000_000)]))
    return Shared(events, first_weekday=0, key=99)


def streams(clone=0, seed=1):
    return lambda name: generator(seed, 0, clone, f"clone:{name}")


def plan(os="windows-11", sources=None, machine=None, intensity=1.0, presence=None, days=DAYS, clone=0, shared=None):
    activity = Activity(os, sources, machine, intensity)
    shared = storms(os, days) if shared is None else shared
    return activity, activity.plan(presence or office(days), shared, streams(clone), days * DAY_S)


def part(activity, made, name):
    return made.ops[made.ops["source"] == activity.names.index(name)]


# --- every operation is valid ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("os", OSES)
@pytest.mark.parametrize(
    ("intensity", "users", "kept"), [(0.0, 1, True), (0.25, 1, True), (1.0, 1, True), (2.5, 6, True), (1.0, 4, False)]
)
def test_whole_plans_are_valid(os, intensity, users, kept):
    machine = Machine(hibernation=True, profiles_kept=kept)
    activity, made = plan(os, {}, machine, intensity, office(users=users))
    sizes = {}
    for _, sizes in reference_plan.run(made.ops, activity.base_files()):  # noqa: B007 the last one counts
        pass
    assert sizes
    assert made.ops["time_s"].max() < DAYS * DAY_S
    assert set(made.ops["source"]) <= set(range(1, len(activity.names)))
    assert max(sizes) < 2**24
    assert (np.diff(made.reads.time_s) >= 0).all()
    assert (made.reads.bytes > 0).all() and (made.reads.ios > 0).all()


@pytest.mark.parametrize("os", OSES)
def test_sources_share_no_file_and_no_directory(os):
    activity, made = plan(os, machine=Machine(hibernation=True))
    owner = {file // 10: None for file, _ in activity.base_files()}
    for index, source in enumerate(activity.sources, start=1):
        own = made.ops[(made.ops["source"] == index) & (made.ops["op"] != FileOp.TRIM)]
        files = set(own["file"] // 10) | set(own["offset"][own["op"] == FileOp.RENAME] // 10)
        for folder in files:
            assert owner.setdefault(folder) in (None, source.name)
            owner[folder] = source.name


def test_plans_start_at_the_first_file_they_are_given():
    activity = Activity("windows-11")
    zero, moved = (activity.plan(office(), storms(), streams(), DAYS * DAY_S, first) for first in (0, 70))
    trim = moved.ops["op"] == FileOp.TRIM
    assert (moved.ops["file"] - zero.ops["file"] == 70)[~trim].all()
    assert [(f + 70, size) for f, size in activity.base_files()] == activity.base_files(70)
    with pytest.raises(ParameterError, match=r"first_file=5: allowed are multiples of 10"):
        activity.base_files(5)


def test_file_numbers_are_used_again():
    activity, made = plan("windows-7", days=45)
    own = part(activity, made, "temp-files")
    made_files, most = (own["op"] == FileOp.CREATE).sum(), np.unique(own["file"]).size
    living = np.cumsum(np.where(own["op"] == FileOp.CREATE, 1, np.where(own["op"] == FileOp.DELETE, -1, 0)))
    assert most == living.max() < made_files


@pytest.mark.parametrize(("os", "disk"), [("windows-xp", "20 GiB"), ("windows-7", "40 GiB"), ("windows-11", "64 GiB")])
def test_plans_run_on_a_volume(os, disk):
    activity, made = plan(os, days=21, presence=office(21), shared=storms(os, 21, feature_update=False))
    volume = Volume(disk, os=os)
    for file, size in activity.base_files():
        volume.create(file, size)
    delta = volume.snapshot("vmfs-sparse")
    ops = made.ops.copy()
    ops["time_s"] += volume.clock
    volume.apply(ops)
    volume.check_invariants()
    alive = {}
    for _, alive in reference_plan.run(made.ops, activity.base_files()):  # noqa: B007
        pass
    assert len(volume) == len(alive)
    assert all(volume.size(file) == size for file, size in alive.items())
    assert 0 < delta.file_bytes < made.ops["length"].sum()


# --- keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("os", OSES)
def test_switching_a_source_off_leaves_all_others_as_they_were(os):
    activity, whole = plan(os)
    for name in activity.names[1:]:
        _, less = plan(os, {name: {"enabled": False}})
        index = activity.names.index(name)
        keep = whole.ops["source"] != index
        assert less.ops.tobytes() == whole.ops[keep].tobytes(), name
        assert np.array_equal(less.reads.bytes, whole.reads.bytes[whole.reads.source != index])


def test_another_rate_or_cap_leaves_all_other_sources_as_they_were():
    activity, whole = plan("windows-10")
    changes = {"browser-cache": {"cap": "64 MiB", "per_session_hour": 60.0}, "prefetch": {"files": 300}}
    _, other = plan("windows-10", changes)
    changed = [activity.names.index(name) for name in changes]
    apart = [~np.isin(made.ops["source"], changed) for made in (whole, other)]
    assert whole.ops[apart[0]].tobytes() == other.ops[apart[1]].tobytes()
    assert not apart[0].all()


def test_the_same_key_gives_the_same_plan_and_another_one_does_not():
    one, two = (plan(clone=3)[1] for _ in range(2))
    assert one.ops.tobytes() == two.ops.tobytes()
    assert plan(clone=4)[1].ops.tobytes() != one.ops.tobytes()


def test_a_longer_run_only_adds_operations_at_the_end():
    _, short = plan("windows-10", presence=office(60), days=30, shared=storms("windows-10", 60))
    _, long = plan("windows-10", presence=office(60), days=60, shared=storms("windows-10", 60))
    assert long.ops[: short.ops.size].tobytes() == short.ops.tobytes()
    assert long.ops["time_s"][short.ops.size] >= 30 * DAY_S


def test_users_do_the_same_work_on_whatever_clone_they_get():
    """Sessions dealt to other clones: what follows from sessions alone is the same to the byte."""
    whole = office()
    n = whole.session_start_s.size
    halves = []
    for clone in (0, 1):
        rows = np.arange(n) % 2 == clone
        mine = (getattr(whole, f"session_{k}")[rows] for k in ("start_s", "end_s", "user", "intensity"))
        halves.append(Presence(whole.boots_s, *mine, np.zeros(rows.sum(), np.bool_)))
    activity, one = plan(presence=whole)
    both = [plan(presence=half, clone=c + 5)[1] for c, half in enumerate(halves)]
    theirs = {"per_session_hour", "at_logon", "at_logoff"}
    others = {"per_machine_hour", "at_boot", "at_first_logon", "every", "idle_for"}
    of_users = [s for s in activity.sources if theirs & s.values.keys() and not others & s.values.keys()]
    assert {"browser-cache", "mail-cache", "profile-load", "profile-save"} <= {s.name for s in of_users}
    for source in of_users:
        lengths = [made.ops["length"][(made.ops["source"] == source.index)] for made in (one, *both)]
        alone, *halves = (np.sort(length[length > 0]) for length in lengths)
        assert np.array_equal(alone, np.sort(np.concatenate(halves))), source.name


# --- rates and sizes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("os", OSES)
def test_sources_act_as_often_as_the_catalog_says(os):
    """Events of every source with a rate, over 400 days: within 4 standard deviations of the Poisson mean."""
    days = 400
    presence = office(days, hours=6.0, intensity=1.3)
    hours = (np.minimum(presence.session_end_s, days * DAY_S) - presence.session_start_s).sum() / 3600
    activity, made = plan(os, presence=presence, days=days, intensity=0.5)
    for source in activity.active:
        rate = source.get("per_session_hour") * hours * 1.3 * 0.5 + source.get("per_machine_hour") * days * 24
        extra = {"at_boot", "at_logon"} & source.values.keys()
        if not rate or extra or (source.get("files") > 1 and source.pattern == "files"):
            continue
        mine = made.of_source(source.index)
        counted = {"files": FileOp.CREATE, "log": FileOp.APPEND, "reads": None}
        if source.pattern == "saves":
            count = np.isin(mine.ops["op"], (FileOp.RENAME, FileOp.OVERWRITE)).sum()
        elif source.pattern == "pages":
            count = mine.ops.size
        elif source.pattern == "reads":
            count = len(mine.reads)
        else:
            count = (mine.ops["op"] == counted[source.pattern]).sum()
        assert abs(count - rate) < 4 * math.sqrt(rate), f"{source.name}: {count} for {rate:.0f}"


def test_sizes_follow_the_catalog():
    activity, made = plan("windows-10", days=400, presence=office(400))
    own = part(activity, made, "search-index-log")
    log = np.log(own["length"].astype(float))
    assert abs(log.mean() - math.log(65536)) < 4 * 0.8 / math.sqrt(own.size)
    assert abs(np.median(own["length"]) / 65536 - 1) < 4 * 0.8 * 1.2533 / math.sqrt(own.size)


def test_shapes_put_work_where_they_say():
    weights = [float(w) for w in catalog.value("laws", "evening.hours").split()]
    only = {"per_session_hour": 0.0, "per_machine_hour": 50.0}
    _, made = plan("windows-10", {"search-index": only}, days=70, presence=Presence.none())
    activity = Activity("windows-10", {"search-index": only})
    times = part(activity, made, "search-index")["time_s"]
    weekday = times[(times // DAY_S) % 7 < 5]
    hour = np.bincount((weekday % DAY_S // 3600).astype(int), minlength=24)
    assert hour[1:8].sum() == 0
    share = hour / hour.sum()
    error = 4 * np.sqrt(share / hour.sum()) + 1e-9
    assert (np.abs(share - np.array(weights) / sum(weights)) < error).all()
    weekend = (times.size - weekday.size) / 2
    assert weekend / (weekday.size / 5) == pytest.approx(catalog.value("laws", "evening.weekend"), rel=0.05)
    assert times.size == pytest.approx(50 * 24 * 70, rel=0.02)


def test_a_cache_never_holds_more_than_its_cap():
    cap = 20 << 20
    activity = Activity("windows-7", {"browser-cache": {"cap": cap, "per_session_hour": 200.0}})
    made = activity.plan(office(users=3), storms("windows-7"), streams(), DAYS * DAY_S)
    own = made.of_source(activity.names.index("browser-cache")).ops
    files, most = set(activity.base_files()), 0
    for _, sizes in reference_plan.run(own, files):
        most = max(most, sum(sizes.values()) if len(sizes) else 0)
    held = most - sum(size for _, size in files)
    assert 2 * cap < held <= 3 * cap  # each of three users has a cache


def test_definitions_write_a_full_set_at_each_push_and_keep_the_last():
    shared = storms()
    activity, made = plan(shared=shared)
    own = made.of_source(activity.names.index("antivirus-definitions")).ops
    base = activity.base_files()
    source = next(s for s in activity.sources if s.name == "antivirus-definitions")
    written = own["length"][own["op"] != FileOp.DELETE].sum()
    whole = shared.event(DEFINITIONS)[0].size * 110_000_000
    assert whole - written < 8 * shared.event(DEFINITIONS)[0].size + 1  # whole bytes of eight files a set
    mine = [f for f, _ in base if (f // 10) % source.period in range(source.first_block, source.first_block + 4)]
    assert len(mine) == 3 * 8
    sizes = {}
    for _, sizes in reference_plan.run(own, base):  # noqa: B007
        pass
    left = sum(sizes.values()) - sum(size for file, size in base if file not in set(mine))
    assert 3 * 110_000_000 - 3 * 8 <= left <= 3 * 110_000_000


def test_patches_leave_uninstall_folders_on_xp_only():
    activity, made = plan("windows-xp", shared=storms("windows-xp", feature_update=False))
    own = part(activity, made, "patch-uninstall-folders")
    assert own["length"].sum() == pytest.approx(0.25 * 2 * 40_000_000, rel=1e-4)
    assert not (own["op"] == FileOp.DELETE).any()
    assert "patch-uninstall-folders" not in Activity("windows-7").names


def test_a_feature_update_deletes_the_old_system_ten_days_later():
    activity, made = plan("windows-10")
    own = part(activity, made, "feature-update")
    gone = own[own["op"] == FileOp.DELETE]
    base = dict(activity.base_files())
    assert sum(base[f] for f in gone["file"]) == pytest.approx(6 << 30, rel=1e-6)
    assert 30 * DAY_S < gone["time_s"].min() <= gone["time_s"].max() < 30.2 * DAY_S
    assert own["length"][own["op"] == FileOp.CREATE].sum() == pytest.approx(8_000_000_000, rel=1e-6)


def test_component_cleanup_takes_the_patch_before_30_days_after_the_next():
    activity, made = plan("windows-10", days=80, presence=office(80))
    own = part(activity, made, "patch-installation")
    first, second = 8 * DAY_S + 22 * 3600, 36 * DAY_S + 22 * 3600
    gone = own["time_s"][own["op"] == FileOp.DELETE]
    assert gone.size == 300
    assert abs(gone.min() - (second + 30 * DAY_S)) < 3600
    assert own["time_s"][0] - first < 3600


@pytest.mark.parametrize("os", OSES)
def test_servicing_in_the_image_writes_no_patches(os):
    activity, made = plan(os, machine=Machine(in_clone=False))
    absent = {"patch-download", "patch-staging", "patch-installation", "feature-update", "application-updates"}
    written = {activity.names[i] for i in np.unique(made.ops["source"])}
    assert not absent & written
    assert "antivirus-definitions" in written


def test_page_and_hibernation_files_are_allocated_and_written_on_use():
    machine = Machine(memory=2 << 30, page_file=3 << 30, hibernation=True)
    activity, made = plan("windows-7", machine=machine, days=2)
    sizes = [size for _, size in activity.base_files()]
    page = next(s for s in activity.sources if s.name == "page-file")
    base = dict(activity.base_files())
    hot, cold = (base[int(page.number(slot, 0))] for slot in (0, 1))
    assert hot + cold == 3 << 30
    assert 2 << 30 in sizes
    own = part(activity, made, "page-file")
    assert 0 < own["length"].sum() < 1 << 29
    hibernated = part(activity, made, "hibernation-file")
    assert hibernated.size >= 1
    assert set(hibernated["length"]) == {int((2 << 30) * 0.4)}
    for time in hibernated["time_s"]:
        gap = time - office(2).session_end_s
        assert np.isclose(gap, 3600).any()
    none = Activity("windows-7", machine=Machine(page_file=0))
    assert not [s for s in none.active if s.name in ("page-file", "hibernation-file")]


@pytest.mark.parametrize(
    ("os", "name", "every", "bytes_each"),
    [("windows-7", "defragmentation", 7, 3 << 30), ("windows-xp", "boot-defragmentation", 3, 30 << 20)],
)
def test_defragmentation_writes_known_files_anew(os, name, every, bytes_each):
    activity, made = plan(os, days=84, presence=office(84))
    own = part(activity, made, name)
    assert own["length"].sum() == 84 // every * bytes_each
    assert (own["op"] == FileOp.RENAME).sum() * 2 == own.size


def test_retrim_is_weekly_on_thin_disks_that_hear_discards():
    activity, made = plan("windows-11", days=70, presence=office(70))
    own = part(activity, made, "retrim")
    assert (own["op"] == FileOp.TRIM).all() and own.size == 10
    assert set(own["time_s"] // DAY_S % 7) == {2.0}
    _, deaf = plan("windows-11", machine=Machine(discards=False))
    assert not part(activity, deaf, "retrim").size


def test_registry_backup_comes_every_ten_days():
    activity, made = plan("windows-7", days=100, presence=office(100))
    own = part(activity, made, "registry-backup")
    rounds = np.unique(own["time_s"])
    assert rounds.size == 10
    assert set(np.diff(rounds)) == {10 * DAY_S}
    assert "registry-backup" not in Activity("windows-11").names


def test_an_idle_clone_still_writes():
    for os in OSES:
        _, made = plan(os, presence=Presence.none(), days=14, shared=Shared({}, 0, 1))
        assert made.ops["length"].sum() > 50 << 20
        busy = {Activity(os).names[i] for i in np.unique(made.ops["source"])}
        assert {"registry-hives", "event-logs"} <= busy
        assert not {"browser-cache", "documents", "mail-cache"} & busy


def test_nothing_happens_before_the_first_boot():
    presence = Presence.none(np.array([3.5 * DAY_S]))
    _, made = plan(presence=presence)
    assert made.ops["time_s"].min() >= 3.5 * DAY_S


def test_profiles_that_are_not_kept_go_at_logoff():
    machine = Machine(profiles_kept=False)
    presence = office(5)
    activity, made = plan("windows-10", machine=machine, presence=presence, days=20, shared=Shared({}, 0, 1))
    for name in ("browser-cache", "new-profile", "appx-first-logon", "web-app-cache"):
        own = part(activity, made, name)
        assert (own["op"] == FileOp.CREATE).sum() == (own["op"] == FileOp.DELETE).sum() > 0
    new = part(activity, made, "new-profile")
    assert (new["op"] == FileOp.CREATE).sum() == presence.session_start_s.size * 120
    kept = part(*plan("windows-10", presence=presence, days=20), "new-profile")
    assert kept.size == 120


def test_an_office_day_is_about_a_thousand_operations():
    """The budget that the volume's speed is planned for: 1,000 operations and 10,000 pages on a working day."""
    for os in OSES:
        presence = office(63)
        _, made = plan(os, days=63, presence=presence, shared=storms(os, 63, feature_update=False))
        scatter = made.ops["length"][made.ops["op"] == FileOp.SCATTER].sum() / 4096
        assert 700 < made.ops.size / 63 < 1500, os
        assert 3_000 < scatter / 45 < 15_000, os


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("os", "sources", "message"),
    [
        ("windows-8", {}, r"os='windows-8': allowed are 'windows-10', 'windows-11', 'windows-7', 'windows-xp'\."),
        ("windows-10", {"browser": {}}, r"workload\.sources='browser': allowed are browser-cache, "),
        ("windows-10", {"defragmentation": {"enabled": True}}, r"windows-10 has no such source; windows-7 have it"),
        ("windows-10", {"browser-cache": {"capp": 1}}, r"browser-cache\.capp=1: parameters of this source are cap, "),
        ("windows-10", {"browser-cache": {"cap": "1 GB"}}, r"browser-cache\.cap='1 GB'.*Did you mean GiB\?"),
        ("windows-10", {"browser-cache": {"per_session_hour": -1}}, r"-1: allowed are 0\.0 to 1000\.0 1/h"),
        ("windows-10", {"browser-cache": {"enabled": 1}}, r"enabled=1: allowed are true and false"),
        ("windows-10", {"office-save": {"how": "magic"}}, r"how='magic': allowed are 'rename', 'in-place'"),
        ("windows-10", {"documents": {"os": "windows-7"}}, r"documents\.os='windows-7': parameters of this source"),
    ],
)
def test_mistakes_in_settings_are_told(os, sources, message):
    with pytest.raises(ParameterError, match=message):
        Activity(os, sources)


def test_a_source_of_another_os_may_be_switched_off():
    assert Activity("windows-10", {"defragmentation": {"enabled": False}}).names == Activity("windows-10").names


def test_settings_by_os_and_shadow_copies_off_by_default():
    own = {s.name: s for s in Activity("windows-xp", {"browser-cache": {"windows-xp.cap": "1 MiB"}}).sources}
    assert own["browser-cache"].values["cap"] == 1 << 20
    other = {s.name: s for s in Activity("windows-10", {"browser-cache": {"windows-xp.cap": "1 MiB"}}).sources}
    assert other["browser-cache"].values["cap"] == 320 << 20
    assert not other["shadow-copies"].active
    assert {s.name: s for s in Activity("windows-7").sources}["shadow-copies"].active
    on = Activity("windows-10", {"shadow-copies": {"enabled": True}})
    assert {s.name: s for s in on.sources}["shadow-copies"].active


def test_an_activity_tells_what_it_writes():
    activity = Activity("windows-11")
    assert activity.names[0] == "file-system metadata"
    n = len(activity.names)
    assert len(activity.tags) == len(activity.shared_content) == len(activity.compressed) == n
    assert set(activity.tags) <= {"system", "profile", "temp", "page", "application", "user-data"}
    assert sum(size for _, size in activity.base_files()) == activity.base_bytes


@pytest.mark.parametrize("horizon", [0.0, -1.0, math.inf, math.nan])
def test_a_horizon_is_needed(horizon):
    with pytest.raises(ParameterError, match=r"horizon_s=.*a finite time above 0 s is needed"):
        Activity("windows-10").plan(office(), storms(), streams(), horizon)


@pytest.mark.parametrize("name", catalog.names("activity"))
def test_every_source_says_what_it_needs_to(name):
    own = catalog.group("activity", name)
    has = {key.rpartition(".")[2] for key in own}
    when = {
        "per_session_hour",
        "per_machine_hour",
        "at_logon",
        "at_logoff",
        "at_first_logon",
        "at_boot",
        "every",
        "idle_for",
    }
    pattern = catalog.text("activity", name, "pattern")
    needed = {
        "files": set(), "saves": {"files", "size", "how"}, "pages": {"how"}, "log": {"amount", "rotate_at", "kept"},
        "trim": set(), "reads": {"read", "read_io"},
    }  # fmt: skip
    assert when & has or catalog.text("activity", name, "event") in (PATCHES, DEFINITIONS, FEATURE_UPDATE, FULL_SCANS)
    assert needed[pattern] <= has
    assert catalog.text("activity", name, "tag") in catalog.names("content")
    assert set(own["os"].range) <= set(OSES) and own["os"].note


def test_presences_that_cannot_be():
    one, two = np.zeros(1), np.array([2.0, 1.0])
    user, first = np.zeros(1, np.int64), np.zeros(1, np.bool_)
    with pytest.raises(ParameterError, match=r"session_user=0: one value for each of the 1 sessions is needed"):
        Presence(one, one, one, user[:0], one, first)
    with pytest.raises(ParameterError, match=r"boots_s=1\.0: times from 0 on, ascending, are needed\. Sort them\."):
        Presence(two, one, one, user, one, first)
    with pytest.raises(ParameterError, match=r"a session ends at its start or later"):
        Presence(one, one, one - 1, user, one, first)

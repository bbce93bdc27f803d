"""HA's rules against the published example, and against counting one desktop and one host at a time."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.errors import ParameterError
from clonesim.planning.cluster import cluster, memory_overhead
from clonesim.planning.ha import admitted, check_power_on, claimed_failures, kept_share, reservable, slot_size
from clonesim.units import GIB, KIB, MIB

EXAMPLE = {"hosts": 8, "host_cpu": 21000, "host_memory": "32 GiB", "guest_memory": "512 MiB"}


def vi3(**values):
    return cluster(**{**EXAMPLE, "era": "vi3", "admission": "slots", **values})


def later(**values):
    return cluster(**{**EXAMPLE, "era": "later", "admission": "slots", **values})


def test_the_example_of_2008():
    """8 hosts of 21 GHz and 32 GB, one failure, nothing reserved, XP guests: 7 x 82 by CPU, 7 x 128 by memory."""
    made = vi3()
    slot = slot_size(made)
    assert (slot.cpu, slot.memory) == (256, 256 * MIB)
    assert (slot.by_cpu, slot.by_memory, slot.per_host) == (82, 128, 82)
    rule = admitted(made)
    assert (rule.by_cpu, rule.by_memory, rule.desktops, rule.binding) == (574, 896, 574, "cpu")
    assert claimed_failures(made, 300) == 8 - 4  # 300 / 82, rounded up, is 4
    assert [claimed_failures(made, n) for n in (0, 1, 82, 83, 574, 575, 656, 657)] == [7, 7, 7, 6, 1, 0, 0, 0]


def test_the_later_rule_on_the_same_hosts():
    made = later(vcpus=1)
    slot = slot_size(made)
    assert slot.cpu == 32
    assert slot.memory == memory_overhead(512 * MIB, 1, "later")
    assert slot.by_cpu == 656
    assert slot.by_memory == 32 * GIB // slot.memory
    assert admitted(made).desktops == 7 * 656


def test_a_reservation_sets_the_slot():
    made = vi3(memory_reservation=1.0, cpu_reservation=500)
    assert slot_size(made).cpu == 500
    assert slot_size(made).memory == 512 * MIB + made.overhead
    assert slot_size(vi3(memory_reservation=0.1)).memory == 256 * MIB  # 51 MiB and 117 MiB overhead: less than 256


OVERHEADS = [  # the vendor's tables, in MB: vSphere 6.5, GUID-B42C72C1; vSphere 4.0, table 3-2
    ("later", 1, {256: 20.29, 1024: 25.90, 4096: 48.64, 16384: 139.62}),
    ("later", 2, {256: 24.28, 1024: 29.91, 4096: 52.72, 16384: 143.98}),
    ("later", 4, {256: 32.23, 1024: 37.86, 4096: 60.67, 16384: 151.93}),
    ("later", 8, {256: 48.16, 1024: 53.82, 4096: 76.78, 16384: 168.60}),
    ("vi3", 1, {256: 113.17, 512: 116.68, 1024: 123.73, 2048: 137.81, 4096: 165.98}),
    ("vi3", 2, {256: 159.43, 512: 164.96, 1024: 176.05, 2048: 198.20, 4096: 242.51}),
    ("vi3", 4, {256: 241.62, 512: 247.17, 1024: 258.30, 2048: 280.53, 4096: 324.99}),
]


@pytest.mark.parametrize(("era", "vcpus", "table"), OVERHEADS)
def test_overheads_of_the_tables(era, vcpus, table):
    for size, overhead in table.items():
        assert abs(memory_overhead(size * MIB, vcpus, era) / MIB - overhead) <= 0.5 * KIB / MIB + 1e-9


def test_overheads_between_and_beyond_the_tables():
    assert memory_overhead(2560 * MIB, 1, "later") == pytest.approx((25.90 + 48.64) / 2 * MIB, abs=KIB)
    assert memory_overhead(64 * MIB, 1, "later") == memory_overhead(256 * MIB, 1, "later")
    beyond = 139.62 + (139.62 - 48.64) / 12288 * 16384
    assert memory_overhead(32 * GIB, 1, "later") == pytest.approx(beyond * MIB, abs=3 * KIB)
    assert memory_overhead(GIB, 3, "later") == pytest.approx((29.91 + 37.86) / 2 * MIB, abs=KIB)
    assert memory_overhead(GIB, 16, "later") == pytest.approx((53.82 + 2 * (53.82 - 37.86)) * MIB, abs=3 * KIB)


MADE = st.fixed_dictionaries(
    {
        "hosts": st.integers(2, 12),
        "host_cpu": st.integers(1000, 20000),
        "host_memory": st.integers(2 * GIB, 16 * GIB),
        "guest_memory": st.integers(64 * MIB, GIB),
        "era": st.sampled_from(["vi3", "later"]),
        "memory_reservation": st.sampled_from([0.0, 0.3, 1.0]),
        "cpu_reservation": st.sampled_from([0, 100, 700]),
        "failures_tolerated": st.integers(0, 1),
    }
)


@settings(max_examples=60, deadline=None)
@given(values=MADE, gone=st.integers(0, 2))
def test_slots_counted_one_desktop_at_a_time(values, gone):
    """Desktops are put into slots of the hosts that are left, less those for failures, until no host has a slot."""
    made = cluster(**values, admission="slots")
    left = max(made.hosts - gone, 0)
    slot = slot_size(made)
    cpu = [made.host_cpu] * max(0, left - made.failures_tolerated)
    memory = [made.host_memory] * len(cpu)
    placed = 0
    while fit := [h for h in range(len(cpu)) if cpu[h] >= slot.cpu and memory[h] >= slot.memory]:
        cpu[fit[0]] -= slot.cpu
        memory[fit[0]] -= slot.memory
        placed += 1
    assert admitted(made, left).desktops == placed


@settings(max_examples=60, deadline=None)
@given(values=MADE, desktops=st.integers(0, 400))
def test_claimed_failures_are_the_most_that_leave_enough_slots(values, desktops):
    made = cluster(**values, admission="slots")
    each = slot_size(made).per_host
    most = max((k for k in range(made.hosts) if (made.hosts - k) * each >= desktops), default=0)
    assert claimed_failures(made, desktops) == most
    configured = replace(made, failures_tolerated=most)
    assert desktops <= admitted(configured).desktops or (most == 0 and desktops > made.hosts * each)


@settings(max_examples=60, deadline=None)
@given(values=MADE, share=st.sampled_from([None, 0.1, 0.25, 0.5]))
def test_percentage_counted_one_desktop_at_a_time(values, share):
    made = cluster(**values, admission="percentage", reserve_share=share)
    slot, kept = slot_size(made), kept_share(made)
    assert kept == (Fraction(made.failures_tolerated, made.hosts) if share is None else Fraction(str(share)))
    cpu, memory = made.hosts * made.host_cpu, made.hosts * made.host_memory
    n = 0
    while cpu - (n + 1) * slot.cpu >= kept * cpu and memory - (n + 1) * slot.memory >= kept * memory:
        n += 1
    assert admitted(made).desktops == n
    if share is None:
        assert claimed_failures(made, n) >= made.failures_tolerated
        assert claimed_failures(made, n + 1) <= made.failures_tolerated


def test_dedicated_hosts_are_what_is_claimed():
    made = later(admission="dedicated", failures_tolerated=2)
    assert admitted(made).desktops == 6 * reservable(made).desktops
    assert [claimed_failures(made, 300, hosts) for hosts in (8, 7, 6, 5)] == [2, 1, 0, 0]
    assert claimed_failures(made, 6 * reservable(made).desktops + 1) == 0


def test_no_admission_control_claims_nothing():
    made = later(admission="none")
    assert claimed_failures(made, 10) == 0
    assert admitted(made).desktops == 8 * min(1024, 32 * GIB // made.overhead)


def test_admission_is_that_of_the_hosts_left():
    made = vi3()
    assert [admitted(made, hosts).desktops for hosts in range(8, -1, -1)] == [
        574, 492, 410, 328, 246, 164, 82, 0, 0,
    ]  # fmt: skip
    assert [claimed_failures(made, 300, hosts) for hosts in range(8, -1, -1)] == [4, 3, 2, 1, 0, 0, 0, 0, 0]


def test_power_on_below_the_level_is_refused():
    made = vi3()
    check_power_on(made, 573)
    check_power_on(made, 9999, 0)  # nothing is asked for
    expected = (
        r"^desktops=575: 8 hosts with 1 failure tolerated admit 574: 574 by cpu, 896 by memory, at 256 MHz and "
        r"256 MiB a desktop\. Add hosts, or lower hosts\.failures_tolerated\.$"
    )
    with pytest.raises(ParameterError, match=expected):
        check_power_on(made, 574)
    with pytest.raises(ParameterError, match=r"^desktops=493: 7 hosts with 1 failure tolerated admit 492: "):
        check_power_on(made, 300, 193, hosts=7)


def test_power_on_without_reservations_to_be_had_is_refused():
    made = later(admission="none", memory_reservation=1.0)
    most = 8 * (32 * GIB // (512 * MIB + made.overhead))
    check_power_on(made, most - 1)
    with pytest.raises(ParameterError, match=rf"^desktops={most + 1}: 8 hosts, 8 of them running desktops, have "):
        check_power_on(made, most)
    percentage = later(admission="percentage", reserve_share=0.25)
    with pytest.raises(ParameterError, match=r"8 hosts with 25\.0% kept free admit 3937: .*or lower the share kept"):
        check_power_on(percentage, 3937)
    small = later(admission="slots", desktops=10)
    with pytest.raises(ParameterError, match=r"^desktops=81: 8 hosts can run 80 desktops"):
        check_power_on(small, 80)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vi3(failures_tolerated=8), r"failures_tolerated=8: of 8 hosts at most 7 can fail\. Take 7 or less"),
        (lambda: vi3(host_memory="256 MiB"), r"host_memory='256 MiB': allowed are 1 GiB to 64 TiB"),
        (lambda: vi3(guest_memory="32 GiB"), r"host_memory='32 GiB': a host holds at least one desktop of 32 GiB"),
        (lambda: vi3(guest_ram=1), r"guest_ram=1: a cluster has hosts, .* Did you mean 'guest_memory'\?"),
        (lambda: vi3(era="vi2"), r"era='vi2': allowed are vi3, later\. Did you mean 'vi3'\?"),
        (lambda: vi3(admission="slot"), r"admission='slot': allowed are .* Did you mean 'slots'\?"),
        (lambda: admitted(vi3(), 9), r"hosts=9: 0 to 8 hosts can be left of 8\."),
        (lambda: check_power_on(vi3(), -1), r"running=-1: 0 or more is needed\. Check the sign\."),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


def test_a_single_host_tolerates_no_failure_unless_asked():
    assert cluster(hosts=1).failures_tolerated == 0

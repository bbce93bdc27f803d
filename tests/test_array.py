"""Arrays: what they hold, what an I/O costs them, what is refused."""

import re

import pytest

from clonesim.errors import ParameterError
from clonesim.lun.array import MEDIA, RAIDS, array_model, array_of, outstanding, part_of
from clonesim.scenario import catalog, load_scenario
from clonesim.units import GIB, TIB


def test_the_names_of_the_catalog_are_those_of_the_program():
    tables = set(catalog.names("arrays"))
    assert set(MEDIA) | set(RAIDS) == tables - {"array", "queue", "cache"}


@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("raid", RAIDS)
def test_every_medium_and_level_makes_an_array(medium, raid):
    array = array_model(medium, 26, raid, spares=2)
    assert (array.media, array.raid, array.working_disks) == (medium, raid, 24)
    assert 0 < array.usable_bytes < array.raw_bytes == 26 * array.disk_size
    reads, writes = array.capacity_iops(1.0), array.capacity_iops(0.0)
    disks = 24 * array.channels / array.service_s
    assert reads == pytest.approx(min(array.controller_iops, disks))
    assert writes == pytest.approx(min(array.controller_iops, disks / array.write_cost))


@pytest.mark.parametrize(
    ("raid", "disks", "spares", "data"),
    [
        ("raid-0", 10, 1, 9),
        ("raid-10", 24, 2, 11),
        ("raid-10", 12, 1, 5),  # 11 disks: five pairs, and one that has no partner
        ("raid-5", 5, 0, 4),
        ("raid-5", 25, 0, 20),
        ("raid-5", 24, 0, 19),  # groups of 5, 5, 5, 5 and 4
        ("raid-5", 3, 0, 2),
        ("raid-6", 16, 0, 12),
        ("raid-6", 18, 1, 11),  # 17 disks in three groups
    ],
)
def test_usable_space_counted_in_disks(raid, disks, spares, data):
    array = array_model("hdd-15k", disks, raid, spares=spares, disk_size="100 GiB")
    assert array.usable_bytes == data * 100 * GIB
    assert array.raw_bytes == disks * 100 * GIB
    assert array.array_share == pytest.approx(data / disks)


def test_write_penalties_are_those_of_the_textbook():
    """Each small write: one disk, two of a mirror, two read and two written, three read and three written."""
    for raid, commands in (("raid-0", 1), ("raid-10", 2), ("raid-5", 4), ("raid-6", 6)):
        array = array_model("ssd", 12, raid)
        assert array.backend(0, 1) == commands
        assert array.backend(100, 50) == 100 + 50 * commands
        assert array.backend(100, 50, read_hits=0.25) == 75 + 50 * commands
        assert array.phases * array.write_width == commands


def test_copies_of_the_backing_multiply_writes_and_divide_space():
    bare, triple = array_model("ssd", 14, "raid-0"), array_model("ssd", 14, "raid-0", copies=3.0)
    assert triple.usable_bytes == bare.usable_bytes // 3
    assert triple.backend(10, 10) == 40
    assert triple.capacity_iops(0.0) == pytest.approx(bare.capacity_iops(0.0) / 3, rel=0.4)


def test_capacity_by_hand():
    """20 spindles of 100 /s: 2,000 reads; at a quarter of reads on RAID-5 each I/O costs 0.25 + 3 commands."""
    array = array_model("hdd-15k", 20, "raid-5", spares=0, service="10 ms")
    assert array.capacity_iops(1.0) == pytest.approx(2000)
    assert array.capacity_iops(0.25) == pytest.approx(2000 / 3.25)
    assert array.capacity_iops(0.25, read_hits=1.0) == pytest.approx(2000 / 3)


def test_transfers_take_their_time():
    """A read of 1 MiB at 100 MiB/s takes 10 ms on top of 10 ms; two channels share the disk's rate."""
    array = array_model("hdd-15k", 4, "raid-0", spares=0, service="10 ms", transfer="100 MiB")
    assert array.capacity_iops(1.0, read_size=2**20) == pytest.approx(4 / 0.020)
    twice = array_model("hdd-15k", 4, "raid-0", spares=0, service="10 ms", transfer="100 MiB", channels=2)
    assert twice.capacity_iops(1.0, read_size=2**20) == pytest.approx(4 / (0.005 + 0.010))


def test_ports_and_controllers_limit_what_disks_could_do():
    array = array_model("nvme", 24, "raid-0", bandwidth="1 GiB", controller_iops=300_000.0)
    assert array.capacity_iops(1.0) == 300_000
    assert array.capacity_iops(1.0, read_size=2**20) == pytest.approx(1024)


def test_the_figures_of_the_view_guides():
    """An SSD about 20,000 I/Os per s, a spindle about 200."""
    ssd = array_model("ssd", 1, "raid-0", spares=0)
    assert ssd.capacity_iops(1.0) == pytest.approx(20_000)
    spindle = array_model("hdd-15k", 1, "raid-0", spares=0)
    assert 170 < spindle.capacity_iops(1.0) < 200


def test_places_in_the_array():
    assert outstanding(hosts=8) == 256
    assert outstanding(hosts=2) == 64
    assert outstanding(hosts=16, luns=3, lun_depth=128) == 384
    assert outstanding(hosts=2, per_host=8) == 16
    with pytest.raises(ParameterError, match=r"hosts=0: a whole number from 1 up is needed"):
        outstanding(0)
    with pytest.raises(ParameterError, match=r"queue\.per_host=0: allowed are 1 to 4096 1"):
        outstanding(8, per_host=0)


def test_a_lun_with_disks_of_its_own():
    array = array_model("hdd-15k", 50, "raid-10", spares=2)
    part = part_of(array, 8)
    assert (part.disks, part.spares, part.working_disks) == (6, 0, 6)
    assert part.write_cache * 8 == array.write_cache
    assert part.capacity_iops(0.3) * 8 == pytest.approx(array.capacity_iops(0.3))
    message = "array.disks=50: 48 working disks do not give each of 25 LUNs the 2 of raid-10. Take more disks"
    with pytest.raises(ParameterError, match=re.escape(message)):
        part_of(array, 25)


def test_the_default_scenario_s_array_holds_its_datastores():
    scenario = load_scenario()
    array = array_of(scenario)
    assert array.usable_bytes >= scenario.luns.count * scenario.luns.size == 16 * TIB
    assert array.capacity_iops(0.25, 18_000, 10_000) > 20 * scenario.pool.clones
    assert array.copies == 1.0


def test_a_scenario_s_array_follows_media_and_backing():
    disks = load_scenario(array={"media": "hdd-15k"}).array
    assert disks.disk_size == 279 * GIB
    assert disks.raid == "raid-10"
    own = load_scenario(luns={"backing": "vsan"})
    assert own.array.raid == "raid-0"
    assert array_of(own).copies == 2.0
    assert load_scenario(own, array={"raid": "raid-5"}).array.raid == "raid-5"
    assert "array" not in own.given()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"media": "sdd"},
            "media='sdd': allowed are 'hdd-7k', 'hdd-10k', 'hdd-15k', 'ssd', 'nvme'. Did you mean 'ssd'?",
        ),
        ({"raid": "raid-1"}, "raid='raid-1': allowed are 'raid-0', 'raid-10', 'raid-5', 'raid-6'. Did you mean"),
        ({"disks": 3}, "disks=3: raid-10 needs 2 disks besides the 2 spares. Take more disks or fewer spares."),
        ({"disks": 5, "raid": "raid-6"}, "disks=5: raid-6 needs 4 disks besides the 2 spares."),
        ({"disks": 0}, "disks=0: allowed are 1 to 10000 1. The catalog's default is 24."),
        ({"disks": 2.5}, "disks=2.5: a whole number is needed."),
        ({"spare": 1}, "spare=1: an array has media, disks, raid, service, channels"),
        ({"disk_size": "600 GB"}, "disk_size='600 GB': a size is a whole number with B, KiB, MiB, GiB or TiB"),
        ({"service": "1 s"}, "service='1 s': allowed are 1e-05 to 0.01 s."),
    ],
)
def test_what_cannot_be_is_refused(asked, message):
    with pytest.raises(ParameterError, match=re.escape(message)):
        array_model(**asked)


def test_a_mix_is_a_share():
    with pytest.raises(ParameterError, match=r"read_share=1\.5: allowed are shares from 0 to 1"):
        array_model().capacity_iops(1.5)

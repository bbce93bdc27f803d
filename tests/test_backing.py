"""Backings, and what lies on a datastore beside the deltas: vendors' worked examples, and refusals."""

import re

import numpy as np
import pytest

from clonesim.delta import FORMATS
from clonesim.errors import ParameterError
from clonesim.lun import BACKINGS, backing, fixed_space
from clonesim.lun.space import hypervisor_of
from clonesim.scenario import catalog

MIB, GIB, TIB = 2**20, 2**30, 2**40


def test_the_backings_of_the_design_are_there():
    names = "vmfs-3 vmfs-5 vmfs-6 nfs vsan csv lvm-thin lvm-thick-chain zfs rbd xenserver-lvm"
    assert " ".join(BACKINGS) == names


@pytest.mark.parametrize("name", BACKINGS)
def test_every_backing_is_complete(name):
    one = backing(name)
    assert one.title
    assert set(one.formats) <= set(FORMATS)
    assert one.fits("exact")
    assert one.allocated(0) == 0
    assert one.allocated(1) == one.allocation_unit
    assert one.allocated(one.allocation_unit) == one.allocation_unit
    assert one.array_bytes(10) >= 10
    assert 0 < one.limit(TIB) <= TIB


def test_every_delta_format_fits_somewhere():
    homeless = {name for name in FORMATS if not any(backing(where).fits(name) for where in BACKINGS)}
    assert homeless == {"vmdk-hosted"}  # a desktop product's format: no shared datastore carries it


def test_lock_domains():
    found = {name: (backing(name).lock_domain, backing(name).locks_on_growth) for name in BACKINGS}
    assert found["vmfs-3"] == ("whole-lun", True)
    assert found["vmfs-6"] == ("sector", True)
    assert found["nfs"] == ("create-delete", False)
    assert found["rbd"] == ("none", False)


def test_array_bytes_count_the_backings_own_copies():
    assert backing("rbd").array_bytes(GIB) == 3 * GIB
    assert backing("vmfs-5").array_bytes(GIB) == GIB


def test_allocated_of_arrays():
    sizes = np.array([0, 1, MIB, 206_848 + 16 * MIB])
    assert backing("vmfs-5").allocated(sizes).tolist() == [0, MIB, MIB, 17 * MIB]


def test_formats_fit_where_the_vendor_says():
    assert backing("vmfs-6").formats == ("se-sparse",)
    assert not backing("vmfs-6").fits("vmfs-sparse")
    assert backing("vmfs-5").fits("se-sparse")
    assert not backing("vmfs-3").fits("se-sparse")


def items(space):
    return space.table.set_index("item")["total_bytes"].to_dict()


def test_vmwares_table_without_its_guess_of_the_delta():
    """The guide's N = 10, M = 1 GiB, R = 10 GiB: the base images and the swap files are what is certain of it."""
    space = fixed_space(10, TIB, memory=GIB, image=10 * GIB)
    told = items(space)
    assert told["base image"] == 20 * GIB  # 2R
    assert told["swap file"] == 10 * GIB  # N x M
    assert told["internal or identity disk"] == 10 * 20 * MIB
    assert told["logs"] == 10 * 100 * MIB
    assert told["memory of a suspended desktop"] == 0
    assert space.fixed_bytes == sum(told.values())
    assert space.clone_bytes == GIB + 120 * MIB
    assert space.fixed_bytes < 40 * GIB  # the guide's minimum adds another N x M for the guest's own paging


def test_leibovicis_example():
    """100 desktops of 2 GiB: 100 x (100 + 2,048) MB of logs and swap files beside 100 x 6,144 MB of deltas."""
    told = items(fixed_space(100, TIB, memory=2 * GIB, image=20 * GIB, replicas=2))
    assert told["swap file"] + told["logs"] == 100 * (2048 + 100) * MIB
    assert told["base image"] == 40 * GIB


def test_reserved_memory_needs_no_swap_file_and_suspended_desktops_keep_their_memory():
    told = items(fixed_space(4, TIB, memory=2 * GIB, image=GIB, memory_reservation=0.75, suspended=3))
    assert told["swap file"] == 4 * GIB // 2
    assert told["memory of a suspended desktop"] == 3 * 2 * GIB
    assert items(fixed_space(4, TIB, 2 * GIB, GIB, memory_reservation=1.0))["swap file"] == 0


def test_a_replica_lun_holds_the_base_images_and_their_digests():
    with_it = items(fixed_space(4, TIB, GIB, 25 * GIB, replica_lun=True, digest=True))
    assert with_it["base image"] == with_it["digest of a base image"] == 0
    without = items(fixed_space(4, TIB, GIB, 25 * GIB, replicas=1, digest=True))
    assert without["digest of a base image"] == 125 * MIB  # the source's own example: 25 GB, 125 MB


def test_each_platform_brings_its_own_files():
    mcs = fixed_space(10, TIB, GIB, 10 * GIB, "citrix-mcs", "csv")
    assert items(mcs)["internal or identity disk"] == 10 * 36 * MIB
    assert items(mcs)["swap file"] == 0  # Hyper-V
    assert items(fixed_space(10, TIB, GIB, 10 * GIB, "citrix-mcs", "nfs"))["swap file"] == 10 * GIB  # vSphere
    assert hypervisor_of("proxmox", "nfs") == "kvm"
    assert hypervisor_of("citrix-mcs", "xenserver-lvm") == "xenserver"
    for name in catalog.group("backings", "platforms"):
        assert fixed_space(10, TIB, GIB, 10 * GIB, name.split(".")[0]).fixed_bytes >= 0


def test_files_take_whole_allocation_units():
    one = fixed_space(1, TIB, memory=GIB + 1, image=1, platform="generic", where="vmfs-5")
    assert items(one)["swap file"] == GIB + MIB
    assert items(one)["base image"] == MIB


def test_the_reserve_is_not_space_in_use():
    full, none = (fixed_space(10, 600 * GIB, GIB, GIB, reserve=share) for share in (0.25, 0.0))
    assert full.reserve_bytes == 150 * GIB
    assert full.fixed_bytes == none.fixed_bytes


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"clones": -1}, "clones=-1: 0 or more is needed. Check the sign."),
        ({"suspended": 11}, "suspended=11: 10 desktops live here. Suspend no more than there are."),
        ({"memory_reservation": 1.5}, "hosts.memory_reservation=1.5: a share from 0 to 1 is needed."),
        ({"reserve": 1.0}, "luns.reserve=1.0: a share from 0 to below 1 is needed."),
        ({"replicas": -2}, "replicas=-2: 0 or more is needed. Check the sign."),
        (
            {"platform": "vew"},
            "platform.name='vew': allowed are 'view', 'horizon-8', 'citrix-mcs', 'citrix-pvs', 'hyper-v', 'proxmox', "
            "'generic'.",
        ),
        ({"hypervisor": "xen"}, "hypervisor='xen': allowed are 'vsphere', 'hyper-v', 'kvm', 'xenserver'."),
    ],
)
def test_bad_input_is_refused(bad, message):
    given = {"clones": 10, "capacity": TIB, "memory": GIB, "image": GIB} | bad
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        fixed_space(**given)

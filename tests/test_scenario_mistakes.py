"""Mistakes in a scenario: each is refused with the path, the value, what is allowed and what works instead."""

# ruff: noqa: E501 (whole messages, one mistake a line)
import pytest

from clonesim.errors import ClonesimError, ScenarioError
from clonesim.scenario import load_scenario

W11, W7, XP, GENERIC = "windows-11-office", "windows-7-office", "windows-xp-office", "windows-11-office generic"

# fmt: off
MISTAKES = [
    (W11, {'guest.disk': '16 MB'}, ["guest.disk='16 MB': a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes. Did you mean MiB?"]),
    (W11, {'guest.disk': '64'}, ["guest.disk='64': a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes. Write for example '16 MiB'."]),
    (W11, {'guest.disk': '1.5 GiB'}, ["guest.disk='1.5 GiB': a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes. Write for example '16 MiB'."]),
    (W11, {'guest.disk': True}, ["guest.disk=True: a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes. Write for example '16 MiB'."]),
    (W11, {'guest.disk': '1 GiB'}, ["guest.used='32 GiB': at most 972 MiB of the disk's 1 GiB can be in use. Lower guest.used, or set guest.disk to '34 GiB' or more."]),
    (W11, {'guest.disk': 68719476836}, ['guest.disk=68719476836: a disk has whole sectors of 512 B. Try 68719477248.']),
    (W11, {'guest.disk': 1.5}, ["guest.disk=1.5: a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes. Write for example '16 MiB'."]),
    (W11, {'guest.dsk': '64 GiB'}, ["guest.dsk='64 GiB': guest has name, os, disk, used, memory, page_file, hibernation, policy, discards, cluster_size, servicing, start. Did you mean 'disk'?"]),
    (W11, {'guest': 3}, ['guest=3: a table is needed. Write [guest] and lines of key = value.']),
    (W11, {'gest.disk': '64 GiB'}, ["gest={'disk': '64 GiB'}: a scenario has pool, users, guest, workload, delta, luns, array, hosts, storms, platform, strategy, marks. Did you mean 'guest'?"]),
    (W11, {'guest.name': 'windows-12'}, ["guest.name='windows-12': allowed are windows-xp, windows-7, windows-10, windows-11, windows-server. Did you mean 'windows-11'?"]),
    (W11, {'guest.os': 'windows-8'}, ["guest.os='windows-8': allowed are windows-xp, windows-7, windows-10, windows-11. Did you mean 'windows-7'?"]),
    (W11, {'guest.used': '70 GiB'}, ["guest.used='70 GiB': at most 60 GiB of the disk's 64 GiB can be in use. Lower guest.used, or set guest.disk to '74 GiB' or more."]),
    (W11, {'guest.page_file': '40 GiB'}, ["guest.used='32 GiB': it includes the page file (40 GiB), which must leave room for files. Lower guest.page_file."]),
    (W11, {'guest.hibernation': True, 'guest.used': '10 GiB'}, ["guest.used='10 GiB': it includes the page file (2 GiB) and hibernation file (8 GiB), which must leave room for files. Raise guest.used, or set guest.hibernation to false."]),
    (W11, {'guest.hibernation': 'yes'}, ["guest.hibernation='yes': allowed are true and false. The catalog's default is false."]),
    (W11, {'guest.discards': 1}, ['guest.discards=1: allowed are true and false. Leave it out: the OS decides.']),
    (W11, {'guest.policy': 'bestfit'}, ["guest.policy='bestfit': allowed are windows, best-fit, fresh-first, first-fit, next-fit, worst-fit, ntfs3g. Did you mean 'best-fit'?"]),
    (W11, {'guest.policy': 'ntfs3g', 'guest.cluster_size': '8 KiB'}, ["guest.cluster_size='8 KiB': policy 'ntfs3g' implies clusters of 4 KiB. Leave it out."]),
    (W11, {'guest.policy': 'ntfs3g', 'guest.discards': True}, ["guest.discards=True: policy 'ntfs3g' implies no discards. Leave it out."]),
    (W11, {'guest.cluster_size': '5 KiB'}, ["guest.cluster_size='5 KiB': a power of two from 512 B to 64 KiB is needed. The usual size is '4 KiB'."]),
    (W11, {'guest.cluster_size': '512 B', 'guest.disk': '600 GiB'}, ["guest.cluster_size='512 B': a disk of 600 GiB has more than 1073741823 such clusters. Take a larger cluster_size."]),
    (W11, {'guest.start': {'bitmap': 'no-such-file', 'delta': '1 GiB'}}, ["guest.start={'bitmap': 'no-such-file', 'delta': '1 GiB'}: clones start from a bitmap or from a delta size, not from both. Drop one.", "guest.start.bitmap='no-such-file': there is no such file. Name a file, or leave it out."]),
    (W11, {'guest.start': {'delta': '70 GiB'}}, ["guest.start.delta='70 GiB': a delta of a disk of 64 GiB is at most 1/128 larger. Check guest.disk.", "luns.size='2 TiB': each LUN holds the base image (32 GiB) and the deltas to start from (4410 GiB). Set luns.size to '4442 GiB' or more."]),
    (W11, {'guest.start': {'size': '70 GiB'}}, ["guest.start.size='70 GiB': guest.start has bitmap, delta."]),
    (W11, {'guest.start': 5}, ['guest.start=5: a table is needed. Write {key = value}.']),
    (W11, {'guest.start': {'delta': '3 GB'}}, ["guest.start.delta='3 GB': a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes. Did you mean GiB?"]),
    (W11, {'guest.start': {'bitmap': 7}}, ['guest.start.bitmap=7: the path of a file is needed.']),
    (W11, {'pool.clones': 0}, ["pool.clones=0: allowed are whole numbers from 1 to 100000. The catalog's default is 500."]),
    (W11, {'pool.clones': 500.0}, ["pool.clones=500.0: a whole number from 1 to 100000 is needed. The catalog's default is 500."]),
    (W11, {'pool.clones': 'many'}, ["pool.clones='many': a whole number from 1 to 100000 is needed. The catalog's default is 500."]),
    (W11, {'pool.clones': 2500}, ['pool.clones=2500: a pool of horizon-8 has at most 2000 clones. Simulate several pools.']),
    (W11, {'pool.days': 10000}, ["pool.days=10000: allowed are 1 d to 3660 d. The catalog's default is 90 d."]),
    (W11, {'pool.start': '5.1.2026'}, ["pool.start='5.1.2026': a date is year, month and day. Write for example 2026-01-05."]),
    (W11, {'pool.start': 20260105}, ['pool.start=20260105: a date is year, month and day. Write for example 2026-01-05.']),
    (W11, {'pool.time_zone': 'Europe/Berln'}, ["pool.time_zone='Europe/Berln': an IANA time zone such as 'Europe/Berlin' is needed. Did you mean 'Europe/Berlin'?"]),
    (W11, {'pool.time_zone': 'CEST'}, ["pool.time_zone='CEST': an IANA time zone such as 'Europe/Berlin' is needed. Write 'UTC' if it does not matter."]),
    (W11, {'pool.name': ''}, ["pool.name='': a name of 1 to 64 printable characters is needed."]),
    (W11, {'users.count': 600}, ["users.count=600: dedicated users need a place each, and there are 500. Set users.count to 500 or less, pool.clones higher, or users.assignment to 'floating'."]),
    (W11, {'users.assignment': 'pooled'}, ["users.assignment='pooled': allowed are dedicated, floating."]),
    (W11, {'users.peak_concurrency': 80}, ["users.peak_concurrency=80: allowed are 0.01 to 1. The catalog's default is 1."]),
    (W11, {'users.absence': float("nan")}, ["users.absence=nan: allowed are 0 to 1. The catalog's default is 0.1."]),
    (W11, {'users.session_mean': '6 hours'}, ["users.session_mean='6 hours': a duration is a number with us, ms, s, min, h or d, or a number of seconds. Write for example '10 s'."]),
    (W11, {'users.session_mean': '30 h'}, ["users.session_mean='30 h': allowed are 1 min to 1 d. The catalog's default is 6 h."]),
    (W11, {'users.users_per_clone': 4}, ["users.users_per_clone=4: windows-11 has at most 1 session at a time. Set guest.name to 'windows-server' for multi-session hosts."]),
    (W11, {'users.holidays': ['Christmas']}, ["users.holidays[0]='Christmas': a date is year, month and day. Write for example 2026-01-05."]),
    (W11, {'users.holidays': '2026-12-25'}, ["users.holidays='2026-12-25': a list of dates is needed. Write ['2026-12-25']."]),
    (W11, {'users.time_zones': [{'offset_h': 0, 'share': 0.5}, {'offset_h': -6, 'share': 0.4}]}, ['users.time_zones=[0.5, 0.4]: shares add up to 1, these to 0.9. Name all zones.']),
    (W11, {'users.time_zones': [{'offset_h': 0, 'share': 1.5}]}, ["users.time_zones[0].share=1.5: allowed are 0 to 1. The catalog's default is 1."]),
    (W11, {'users.time_zones': [{'offset': 0}]}, ["users.time_zones[0].offset=0: users.time_zones[0] has offset_h, share. Did you mean 'offset_h'?"]),
    (W11, {'users.time_zones': {'offset_h': 0}}, ["users.time_zones={'offset_h': 0}: a list of tables with offset_h and share is needed. Write [{offset_h = -6, share = 0.2}]."]),
    (W11, {'users.time_zones': [3]}, ['users.time_zones[0]=3: a table is needed. Write {key = value}.']),
    (W11, {'users.logon_at': '8 am'}, ["users.logon_at='8 am': a time of day is hours and minutes. Write for example '08:30'."]),
    (W11, {'users.logon_at': '25:00'}, ["users.logon_at='25:00': a time of day is hours and minutes. Write for example '08:30'."]),
    (W11, {'workload.name': 'offise'}, ["workload.name='offise': allowed are task, office, power, developer, kiosk, idle. Did you mean 'office'?"]),
    (W11, {'workload.intensity': 'high'}, ["workload.intensity='high': a number from 0 to 10 is needed. The catalog's default is 1."]),
    (W11, {'workload.sources': ['browser-cache']}, ["workload.sources=['browser-cache']: a table of sources is needed. Write {'browser-cache' = false}."]),
    (W11, {'delta.format': 'vmdk'}, ["delta.format='vmdk': allowed are vmfs-sparse, se-sparse, qcow2, vmdk-hosted, vhd, vhdx, lvm-thin, zfs-zvol, rbd, inflated, exact."]),
    (W11, {'delta.format': 'qcow2'}, ["delta.format='qcow2': horizon-8 has vmfs-sparse, se-sparse. Its usual one is 'se-sparse'."]),
    (W11, {'delta.format': 'vmfs-sparse', 'luns.backing': 'vmfs-6'}, ["delta.format='vmfs-sparse': vmfs-6 has se-sparse. Or set luns.backing to 'vmfs-5'."]),
    (W7, {'delta.format': 'se-sparse', 'delta.parent': 'vmfs-sparse'}, ["delta.parent='vmfs-sparse': a delta in se-sparse cannot be chained on one in vmfs-sparse: a chain has one format. Take 'flat' or 'se-sparse', or set delta.format to 'vmfs-sparse'."]),
    (W7, {'delta.parameters': {'grain_size': '4 KiB'}}, ["delta.parameters.grain_size='4 KiB': vmfs-sparse has bus_discards, grain, table_grains, table_entry, lazy_tables, header, directory_entry, header_rounding, increment, empty_steps, max_capacity, discard. Did you mean 'grain'?"]),
    (W7, {'delta.parameters': {'increment': '1 GiB'}}, ["delta.parameters.increment='1 GiB': allowed are 1 MiB to 64 MiB. The catalog's default is 16 MiB."]),
    (W7, {'delta.parameters': 7}, ["delta.parameters=7: a table of the format's parameters is needed."]),
    (W7, {'delta.parameters': {'grain': '1536 B'}}, ["delta.parameters.grain='1536 B': a power of two is needed. The catalog's default is 512 B."]),
    (XP, {'guest.disk': '3 TiB'}, ["guest.disk='3 TiB': vmfs-sparse reaches 2 TiB. Take another delta.format, or a smaller disk."]),
    (W7, {'luns.locking': 'scsi'}, ["luns.locking='scsi': allowed are fifo, scsi-reservation, ats, ats+scsi, ats-only. Did you mean 'ats+scsi'?"]),
    (XP, {'luns.locking': 'ats-only'}, ["luns.locking='ats-only': vmfs-3 has fifo, scsi-reservation, ats, ats+scsi. Its usual one is 'scsi-reservation'."]),
    (W7, {'luns.backing': 'nfs', 'luns.locking': 'ats'}, ["luns.locking='ats': nfs has no locks that hosts contend for. Leave it out."]),
    (W7, {'luns.locks': 7}, ["luns.locks=7: a table of parameters of locks is needed."]),
    (W7, {'luns.locks': {'backoff': '1 s'}}, ["luns.locks.backoff='1 s': allowed are 0.001 s to 0.1 s. The catalog's default is 0.02 s."]),
    (W7, {'luns.locks': {'tries': 2.5}}, ["luns.locks.tries=2.5: a whole number from 1 to 1000 is needed. The catalog's default is 80."]),
    (W7, {'luns.locks': {'commands': {'ats': 0}}}, ["luns.locks.commands.ats=0: allowed are whole numbers from 1 to 10. The catalog's default is 1."]),
    (XP, {'hosts.count': 9}, ['hosts.count=9: at most 8 hosts share a replica on vmfs-3. Set hosts.count to 8 or less, or luns.backing to vmfs-5, nfs, vsan.']),
    (W7, {'hosts.count': 33}, ['hosts.count=33: at most 32 hosts share a replica on vmfs-5. Set hosts.count to 32 or less, or luns.backing to nfs, vsan.']),
    (W7, {'hosts.count': 65}, ["hosts.count=65: allowed are whole numbers from 1 to 64. The catalog's default is 8."]),
    (W11, {'platform.name': 'horizon'}, ["platform.name='horizon': allowed are view, horizon-8, citrix-mcs, citrix-pvs, hyper-v, proxmox, generic. Did you mean 'horizon-8'?"]),
    (W11, {'platform.name': 'proxmox', 'luns.backing': 'lvm-thick-chain'}, ["luns.backing='lvm-thick-chain': Proxmox has no linked clones on shared thick LVM, and snapshot volumes there are thick. Take nfs, lvm-thin, zfs or rbd."]),
    (W11, {'platform.name': 'proxmox', 'luns.backing': 'lvm-thin'}, ["hosts.count=8: lvm-thin belongs to one host and is not shared. Set hosts.count to 1 and simulate one host's share of the pool, or take a shared luns.backing."]),
    (W11, {'platform.name': 'proxmox', 'luns.backing': 'rbd', 'delta.format': 'qcow2'}, ["delta.format='qcow2': rbd has rbd. Or set luns.backing to 'nfs'."]),
    (W11, {'luns.backing': 'vmfs-3'}, ["luns.backing='vmfs-3': horizon-8 has vmfs-5, vmfs-6, nfs, vsan. Its usual one is 'vmfs-6'."]),
    (W11, {'luns.backing': 'vmfs7'}, ["luns.backing='vmfs7': allowed are vmfs-3, vmfs-5, vmfs-6, nfs, vsan, csv, lvm-thin, lvm-thick-chain, zfs, rbd, xenserver-lvm. Did you mean 'vmfs-6'?"]),
    (W11, {'luns.placement': 'per-lun', 'luns.count': 4}, ['luns.count=4: 500 clones at 64 per LUN need 8 LUNs. Set luns.count to 8, or luns.clones_per_lun higher.']),
    (W11, {'luns.placement': 'overcommit', 'luns.count': 4, 'luns.overcommit': 1}, ['luns.overcommit=1: at 1 times, 4 LUNs of 2 TiB take 128 clones of 64 GiB, not 500. Raise it, luns.count or luns.size.']),
    (W11, {'luns.overcommit': 5}, ["luns.overcommit=5: View's levels are 1 (none), 4 (conservative), 7 (moderate), 15 (aggressive). Take one of them."]),
    (W11, {'luns.size': '16 GiB'}, ["luns.size='16 GiB': each LUN holds the base image (32 GiB). Set luns.size to '32 GiB' or more."]),
    (W11, {'luns.size': '1 TiB', 'guest.start': {'delta': '20 GiB'}}, ["luns.size='1 TiB': each LUN holds the base image (32 GiB) and the deltas to start from (1260 GiB). Set luns.size to '1292 GiB' or more."]),
    (W11, {'luns.reserve': 20}, ["luns.reserve=20: allowed are 0 to 0.9. The catalog's default is 0."]),
    (W11, {'luns.replica_lun': 'no'}, ["luns.replica_lun='no': allowed are true and false. The catalog's default is false."]),
    (GENERIC, {'luns.backing': 'zfs', 'luns.replica_lun': True, 'hosts.count': 1}, ['luns.replica_lun=True: on zfs a clone lies in the pool of its base image. Set it to false.']),
    (W11, {'hosts.memory_reservation': 1.5}, ["hosts.memory_reservation=1.5: allowed are 0 to 1. The catalog's default is 0."]),
    (W11, {'array.media': 'sssd'}, ["array.media='sssd': allowed are hdd-7k, hdd-10k, hdd-15k, ssd, nvme. Did you mean 'ssd'?"]),
    (W11, {'array.disks': 3}, ["array.disks=3: raid-10 needs 2 disks besides the 2 spares. Set it to 4 or more."]),
    (W11, {'array.raid': 'raid-6', 'array.shared': False}, ["array.disks=24: raid-6 needs 32 disks for 8 LUNs of their own disks besides the 2 spares. Set it to 34 or more, or array.shared to true."]),
    (W11, {'array.queue_depth': 0}, ["array.queue_depth=0: allowed are whole numbers from 1 to 65536. The catalog's default is 256."]),
    (W11, {'hosts.read_cache': '1 GB'}, ["hosts.read_cache='1 GB': a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes. Did you mean GiB?"]),
    (W11, {'storms.boot_window': -5}, ["storms.boot_window=-5: allowed are 0 s to 1 d. The catalog's default is 10 min."]),
    (W11, {'storms.boot_window': '2 weeks'}, ["storms.boot_window='2 weeks': a duration is a number with us, ms, s, min, h or d, or a number of seconds. Write for example '10 s'."]),
    (W11, {'storms.reboot': None}, ['storms.reboot=None: allowed are never, daily, weekly, patches.']),
    (W11, {'hosts.count': '8'}, ["hosts.count='8': a whole number from 1 to 64 is needed. The catalog's default is 8."]),
    (W11, {'luns.size': -1}, ["luns.size=-1: allowed are 1 GiB to 64 TiB. The catalog's default is 2 TiB."]),
    (W11, {'luns.size': '1,000 GiB'}, ["luns.size='1,000 GiB': a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes. Write for example '16 MiB'."]),
    (W11, {'storms.patch_day': 'patch-tuesday'}, ["storms.patch_day='patch-tuesday': allowed are second-tuesday, second-wednesday, last-saturday, never. Did you mean 'second-tuesday'?"]),
    (W11, {'storms.feature_update': '2027-01-01'}, ["storms.feature_update='2027-01-01': the pool is simulated for 90 days from 2026-01-05. Choose a day within, or leave it out."]),
    (W11, {'storms.feature_update': 'soon'}, ["storms.feature_update='soon': a date is year, month and day. Write for example 2026-01-05."]),
]
# fmt: on


def problems(base, changes):
    name, _, platform = base.partition(" ")
    tables = {"platform": {"name": platform}} if platform else {}
    for path, value in changes.items():
        table, dot, key = path.partition(".")
        if dot:
            tables.setdefault(table, {})[key] = value
        else:
            tables[table] = value
    with pytest.raises(ScenarioError) as caught:
        load_scenario(name, **tables)
    return caught.value


@pytest.mark.parametrize(("base", "changes", "messages"), MISTAKES, ids=[str(n) for n in range(len(MISTAKES))])
def test_a_mistake_is_refused_with_its_remedy(base, changes, messages):
    error = problems(base, changes)
    assert [str(problem) for problem in error.problems] == messages
    assert all(problem.path and problem.allowed for problem in error.problems)
    assert isinstance(error, ClonesimError)
    assert isinstance(error, ValueError)


SOURCES = [
    ({"browsercache": False}, "browsercache=False: sources are browser-cache, ", " Did you mean 'browser-cache'?"),
    ({"browser-cache": {"capp": 1}}, "browser-cache.capp=1: browser-cache has enabled, ", " Did you mean 'cap'?"),
    ({"browser-cache": {"cap": "1 GB"}}, "browser-cache.cap='1 GB': a size is a whole number", " Did you mean GiB?"),
    ({"browser-cache": {"enabled": "no"}}, "browser-cache.enabled='no': allowed are true and false.", ""),
    ({"browser-cache": 5}, "browser-cache=5: true, false or a table of the source's parameters is needed.", ""),
    (
        {"web-app-cache": True},
        "web-app-cache=True: windows-xp has no such source; windows-10, windows-11 have it. Leave it out.",
        "",
    ),
]


@pytest.mark.parametrize(("sources", "start", "end"), SOURCES, ids=[str(n) for n in range(len(SOURCES))])
def test_mistakes_in_the_settings_of_sources(sources, start, end):
    error = problems(XP, {"workload.sources": sources})
    assert [str(problem) for problem in error.problems] == [str(error).partition(": ")[2]]
    assert str(error).startswith(f"scenario 'windows-xp-office': workload.sources.{start}")
    assert str(error).endswith(end)


def test_the_table_is_long_and_holds_no_mistake_twice():
    assert len(MISTAKES) >= 40
    assert len({message for _, _, messages in MISTAKES for message in messages}) >= len(MISTAKES)


def test_all_problems_are_told_at_once_in_the_order_of_the_tables():
    error = problems(
        W7, {"guest.disk": "16 MB", "guest.nmae": 3, "hosts.count": 33, "users.absence": 2, "luns.overcommit": 5}
    )
    assert [problem.path for problem in error.problems] == [
        "users.absence",
        "guest.disk",
        "guest.nmae",
        "luns.overcommit",
        "hosts.count",
    ]
    head, *rest = str(error).splitlines()
    assert head == "scenario 'windows-7-office': 5 problems"
    assert rest == [f"  {problem}" for problem in error.problems]


def test_a_refused_value_makes_no_second_problem():
    """More used than the disk holds is not told while the disk itself is refused."""
    error = problems(W11, {"guest.disk": "16 GB", "guest.used": "70 GiB"})
    assert [problem.path for problem in error.problems] == ["guest.disk"]
    error = problems(W11, {"guest.name": "windows-12", "guest.used": "300 GiB", "guest.page_file": "200 GiB"})
    assert [problem.path for problem in error.problems] == ["guest.name"]


SETTINGS = [
    ("guest.disk", "set='guest.disk': an override is a table, a dot, a key, an equals sign and a value. "),
    ("disk=60 GiB", "set='disk=60 GiB': an override is a table, a dot, a key, an equals sign and a value. "),
    ("guest.=60 GiB", "set='guest.=60 GiB': an override is a table, a dot, a key, an equals sign and a value. "),
    ("guest.disk=60 GB", "guest.disk='60 GB': a size is a whole number with B, KiB, MiB, GiB or TiB, "),
    ("guest.disk.size=1", "guest.disk={'size': 1}: a size is a whole number with "),
    ("pool.clones=ten", "pool.clones='ten': a whole number from 1 to 100000 is needed. "),
    ("pool.days=", "pool.days='': a whole number from 1 d to 3660 d is needed. "),
]


@pytest.mark.parametrize(("setting", "message"), SETTINGS)
def test_settings_of_the_command_line_that_are_refused(setting, message):
    with pytest.raises(ScenarioError) as caught:
        load_scenario(W11, set=[setting])
    assert str(caught.value).startswith(f"scenario 'windows-11-office': {message}")


FILES = [
    ("[pool\n", "it is not TOML: Expected ']' at the end of a table declaration"),
    ("[pool]\nclones = 5\nclones = 6\n", "it is not TOML: Cannot overwrite a value"),
    ('base = "windows-7"\n', "base='windows-7': packaged scenarios are windows-11-office, windows-10-office"),
    ("base = 7\n", "base=7: packaged scenarios are "),
    ("[pools]\n", "pools={}: a scenario has pool, users, "),
    ("clones = 3\n", "clones=3: a scenario has pool, users, "),
]


@pytest.mark.parametrize(("text", "message"), FILES)
def test_files_that_are_refused(text, message, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert str(caught.value).startswith(f"scenario {str(path)!r}: ")
    assert message in str(caught.value)


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "own.toml"
    path.write_bytes(b"\xff\xfe[pool]")
    with pytest.raises(ScenarioError, match=r"file='own\.toml': it is not TOML: 'utf-8' codec"):
        load_scenario(path)


def test_names_that_are_unknown():
    with pytest.raises(ScenarioError) as caught:
        load_scenario("windows-11-ofice")
    assert str(caught.value) == (
        "scenario 'windows-11-ofice': scenario='windows-11-ofice': there is no such file, and packaged scenarios are "
        "windows-11-office, windows-10-office, windows-7-office, windows-xp-office. Did you mean 'windows-11-office'?"
    )
    with pytest.raises(ScenarioError, match=r"scenario=7: a name, the path of a TOML file, tables or a Scenario"):
        load_scenario(7)

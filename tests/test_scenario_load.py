"""Scenarios: what follows from what, overrides, and the commented text that reads back to the same scenario."""

import datetime as dt
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import clonesim
from clonesim.scenario import catalog, commented, load_scenario, presets
from clonesim.scenario.fields import text
from clonesim.scenario.model import SECTIONS, Scenario
from clonesim.units import GIB, MIB, TIB

PLATFORMS = catalog.names("platforms")


def test_the_packaged_default():
    scenario = clonesim.load_scenario()
    assert scenario == load_scenario("windows-11-office")
    assert (scenario.pool.clones, scenario.pool.days) == (500, 90)
    assert (scenario.guest.name, scenario.guest.os, scenario.guest.discards) == ("windows-11", "windows-11", True)
    assert (scenario.delta.format, scenario.luns.backing) == ("se-sparse", "vmfs-6")
    assert scenario.users.count == 500
    assert scenario.luns.count == 8  # 500 clones at 64 on a LUN
    assert scenario.users.logon_at == 8.5 * 3600
    assert scenario.strategy == ()
    assert scenario.horizon_s == 90 * 86400


def test_history():
    xp, seven = load_scenario("windows-xp-office"), load_scenario("windows-7-office")
    assert (xp.guest.disk, xp.guest.memory, xp.guest.discards) == (20 * GIB, 512 * MIB, False)
    assert (xp.luns.backing, xp.delta.format, xp.platform.name) == ("vmfs-3", "vmfs-sparse", "view")
    assert (seven.luns.backing, seven.delta.format) == ("vmfs-5", "vmfs-sparse")
    assert xp.pool.start.year == 2008


@pytest.mark.parametrize("name", presets())
def test_packaged_scenarios_read_back_from_their_commented_text(name, tmp_path):
    scenario = load_scenario(name)
    path = tmp_path / "own.toml"
    path.write_text(commented(scenario), encoding="utf-8")
    assert load_scenario(path) == scenario
    assert load_scenario(path).given() == scenario.given()
    assert max(map(len, commented(scenario).splitlines())) <= 120


def test_commented_lines_can_be_uncommented(tmp_path):
    """What follows from the catalog stands behind a #: taking those away changes nothing."""
    scenario = load_scenario("windows-7-office")
    lines = commented(scenario).splitlines()
    whole = [
        line.removeprefix("# ") if line.startswith("# ") and line[2:].partition(" = ")[1] and "`" not in line else line
        for line in lines
    ]
    assert sum(a != b for a, b in zip(lines, whole, strict=True)) > 30
    again = load_scenario(tomllib.loads("\n".join(whole)))
    assert again == scenario
    assert again.given().keys() == SECTIONS.keys()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_platform_chooses_what_fits_together(platform):
    scenario = load_scenario({"platform": {"name": platform}, "hosts": {"count": 1}})
    own = catalog.group("platforms", platform)
    assert scenario.delta.format in own["format"].range
    assert scenario.luns.backing in own["backing"].range
    for format_ in own["format"].range:
        if format_ == "vmdk-hosted":  # of desktop hypervisors: no datastore has it, only traces are replayed on it
            continue
        assert load_scenario(scenario, delta={"format": format_}).delta.format == format_
    for backing in own["backing"].range:
        assert load_scenario(scenario, luns={"backing": backing}).luns.backing == backing


def test_a_platform_s_format_follows_the_backing():
    assert load_scenario("windows-7-office", luns={"backing": "vmfs-6"}).delta.format == "se-sparse"
    assert load_scenario("windows-11-office", delta={"format": "vmfs-sparse"}).luns.backing == "vmfs-5"
    assert load_scenario(platform={"name": "proxmox"}, luns={"backing": "rbd"}).delta.format == "rbd"
    pvs = load_scenario(platform={"name": "citrix-pvs"})
    assert (pvs.delta.format, pvs.luns.backing) == ("vhdx", "vmfs-6")


def test_overrides_come_over_files_over_bases(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('base = "windows-7-office"\n[pool]\nclones = 64\n[guest]\ndisk = "60 GiB"\n')
    scenario = load_scenario(path)
    assert (scenario.guest.name, scenario.guest.disk, scenario.pool.clones) == ("windows-7", 60 * GIB, 64)
    assert scenario.luns.count == 1
    assert scenario.users.count == 64
    scenario = load_scenario(path, guest={"disk": "50 GiB"}, set=["guest.disk=48 GiB", "luns.size=3 TiB"])
    assert (scenario.guest.disk, scenario.luns.size) == (48 * GIB, 3 * TIB)


def test_settings_are_read_as_toml_or_else_as_text():
    scenario = load_scenario(
        set=[
            "guest.disk = 80 GiB",
            'guest.used="40 GiB"',
            "pool.start=2026-02-01",
            "guest.hibernation=false",
            "users.holidays=[2026-02-03]",
            "users.logon_at=09:15",
            "users.time_zones=[{offset_h = -6, share = 1.0}]",
            "delta.parameters.increment=32 MiB",
            "pool.name=a = b",
        ]
    )
    assert (scenario.guest.disk, scenario.guest.used) == (80 * GIB, 40 * GIB)
    assert scenario.pool.start == dt.date(2026, 2, 1)
    assert scenario.users.holidays == (dt.date(2026, 2, 3),)
    assert scenario.users.logon_at == 9.25 * 3600
    assert scenario.users.time_zones[0].offset_h == -6.0
    assert scenario.delta.parameters == {"increment": 32 * MIB}
    assert scenario.pool.name == "a = b"


def test_a_scenario_can_be_changed_into_another():
    """What followed from the catalog follows again; what was asked for stays."""
    scenario = load_scenario("windows-7-office", guest={"disk": "60 GiB"})
    other = load_scenario(scenario, guest={"name": "windows-10"}, pool={"clones": 100})
    assert (other.guest.disk, other.guest.used, other.guest.discards) == (60 * GIB, 24 * GIB, True)
    assert (other.users.count, other.luns.count) == (100, 2)
    assert load_scenario(scenario) == scenario


def test_a_scenario_is_frozen_and_shuts_out_what_it_does_not_know():
    scenario = load_scenario()
    with pytest.raises(ValidationError, match="frozen"):
        scenario.pool = None
    with pytest.raises(ValidationError, match="frozen"):
        scenario.guest.disk = 5
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Scenario(cluster={})


def test_a_workload_sets_single_sources_and_the_scenario_more():
    assert load_scenario().workload.sources == {}
    kiosk = load_scenario(workload={"name": "kiosk"}).workload
    assert kiosk.intensity == 0.25
    assert kiosk.sources["office-save"] == {"enabled": False}
    sources = {"office-save": True, "browser-cache": {"cap": "200 MiB"}, "web-app-cache": False}
    own = load_scenario(workload={"name": "kiosk", "sources": sources})
    assert own.workload.sources["office-save"] == {"enabled": True}
    assert own.workload.sources["browser-cache"] == {"cap": 200 * MIB}
    assert own.workload.sources["web-app-cache"] == {"enabled": False}
    assert own.workload.sources["mail-cache"] == {"enabled": False}
    assert own.given()["workload"]["sources"] == {
        "office-save": {"enabled": True},
        "browser-cache": {"cap": 200 * MIB},
        "web-app-cache": {"enabled": False},
    }
    assert load_scenario(tomllib.loads(commented(own))) == own
    changed = load_scenario(own, workload={"name": "office", "sources": {"browser-cache": {"sigma": 1.0}}})
    assert changed.workload.sources["browser-cache"] == {"cap": 200 * MIB, "sigma": 1.0}
    assert "mail-cache" not in changed.workload.sources


def test_what_workloads_set_are_parameters_of_sources():
    from clonesim.scenario.desktop import settings_of
    from clonesim.scenario.sources import read_sources

    for name in catalog.names("workloads"):
        assert read_sources(settings_of(name)) == settings_of(name)


def test_nobody_logs_on_to_idle_clones():
    assert load_scenario(workload={"name": "idle"}).users.count == 0
    assert load_scenario(workload={"name": "idle"}, users={"count": 3}).users.count == 3


def test_all_values_are_json():
    import json

    told = json.loads(json.dumps(load_scenario().to_dict()))
    assert told["pool"]["start"] == "2026-01-05"
    assert told["guest"]["disk"] == 64 * GIB
    assert told["delta"]["format"] == "se-sparse"


def test_every_field_says_what_it_means():
    from clonesim.scenario.comment import _attributes

    for name, model in SECTIONS.items():
        assert _attributes(model).keys() == model.model_fields.keys(), name


def test_every_cited_field_has_its_default_in_its_range():
    for name, model in SECTIONS.items():
        section = getattr(load_scenario(), name)
        for field in model.model_fields:
            parameter = model.parameter(field, getattr(section, "name", None))
            if parameter is not None:
                assert type(getattr(section, field)) is type(parameter.default), f"{name}.{field}"


def sized(low, high):
    return st.integers(low, high)


TABLES = st.fixed_dictionaries(
    {},
    optional={
        "pool": st.fixed_dictionaries(
            {"clones": st.integers(1, 2000)},
            optional={
                "name": st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1, max_size=9),
                "start": st.dates(dt.date(2000, 1, 1), dt.date(2050, 1, 1)),
            },
        ),
        "users": st.fixed_dictionaries(
            {},
            optional={
                "assignment": st.sampled_from(["dedicated", "floating"]),
                "session_mean": st.floats(60, 86400),
                "logon_at": st.floats(0, 86340),
                "absence": st.floats(0, 1),
                "holidays": st.lists(st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 31)), max_size=3),
            },
        ),
        "guest": st.fixed_dictionaries(
            {"name": st.sampled_from(["windows-7", "windows-10", "windows-11"])},
            optional={
                "disk": sized(80, 4095).map(lambda n: n * 512 * 2**21),
                "discards": st.booleans(),
                "start": st.fixed_dictionaries({"delta": sized(0, 2**28)}),
            },
        ),
        "hosts": st.fixed_dictionaries({"memory_reservation": st.floats(0, 1)}),
        "delta": st.fixed_dictionaries({"parameters": st.fixed_dictionaries({"bus_discards": st.booleans()})}),
    },
)


@settings(max_examples=60, deadline=None)
@given(tables=TABLES)
def test_any_scenario_reads_back_from_its_commented_text(tables):
    scenario = load_scenario(tables)
    assert load_scenario(tomllib.loads(commented(scenario))) == scenario


@given(value=st.floats(0, 1e6))
@settings(deadline=None)
def test_durations_read_back_from_their_text(value):
    from clonesim.units import parse_duration

    assert parse_duration(text(value, "s")) == value


def test_the_locking_follows_from_the_backing():
    found = {
        where: load_scenario("windows-7-office", luns={"backing": where}).luns.locking for where in ("vmfs-5", "nfs")
    }
    assert found == {"vmfs-5": "ats-only", "nfs": None}
    assert load_scenario("windows-xp-office").luns.locking == "scsi-reservation"
    assert "locking" not in load_scenario("windows-xp-office").given().get("luns", {})


def test_parameters_of_locks_merge_and_read_back():
    first = load_scenario("windows-7-office", luns={"locks": {"backoff": "5 ms", "commands": {"ats": 3}}})
    again = load_scenario(first, set=["luns.locks.locks_per_power_on=30", "luns.locking=ats+scsi"])
    assert again.luns.locks == {"backoff": 0.005, "commands.ats": 3, "locks_per_power_on": 30}
    assert load_scenario(tomllib.loads(commented(again))) == again

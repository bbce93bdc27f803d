"""Estates from TOML: what pools are made of, what they share, and all that is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from estate_tools import HEAD, RING, TWO, estate_file

from clonesim.errors import EstateError
from clonesim.scenario import load_scenario
from clonesim.scenario.estate import Estate
from clonesim.scenario.estate_load import example_estate, is_estate, load_estate


def problems(folder: Path, text: str, **given: list[str]) -> dict[str, str]:
    """What is refused, by path."""
    with pytest.raises(EstateError) as refused:
        load_estate(estate_file(folder, text), **given)
    assert str(refused.value).startswith(f"estate '{folder / 'estate.toml'}': ")
    return {one.path: str(one) for one in refused.value.problems}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    path = tmp_path_factory.mktemp("estate") / "estate.toml"
    path.write_text(example_estate(), encoding="utf-8")
    return load_estate(path)


class TestPools:
    def test_overrides_come_in_this_order(self, tmp_path: Path) -> None:
        """Scenario, calendar, LUN group, the pool's own tables, the command line."""
        text = f"""{HEAD}
[estate.calendar]
patch_delay = 3
patch_factor = 2.0
reboot = "weekly"
holidays = [2008-12-09]
[[lun_groups]]
name = "slow"
luns = {{size = "900 GiB", clones_per_lun = 3}}
hosts = {{count = 5}}
array = {{disks = 40}}
[[pools]]
name = "x"
site = "a"
lun_group = "slow"
scenario = "small.toml"
clones = 7
luns = {{clones_per_lun = 4}}
storms = {{patch_factor = 3.0, reboot = "daily"}}
"""
        made = load_estate(estate_file(tmp_path, text), set=["storms.reboot=never"])
        s = made.pools[0].scenario
        assert (s.storms.patch_delay, s.storms.patch_factor, s.storms.reboot) == (3, 3.0, "never")
        assert (s.luns.size, s.luns.clones_per_lun, s.luns.count) == (900 * 2**30, 4, 2)
        assert (s.hosts.count, s.array.disks, s.guest.disk) == (5, 40, 4 * 2**30)
        assert s.users.holidays == (dt.date(2008, 12, 9),)
        assert (s.pool.clones, s.pool.days, s.pool.start, s.pool.name) == (7, 3, dt.date(2008, 12, 8), "x")
        assert s.users.count == 7, "follows from the clones that the estate names"

    def test_the_first_pool_draws_as_alone_and_others_by_their_names(self, tmp_path: Path) -> None:
        made = load_estate(estate_file(tmp_path))
        assert [one.name for one in made.pools] == ["one-1", "one-2", "two"]
        assert [one.scenario.pool.stream for one in made.pools] == ["", "one-2", "two"]
        assert [one.kind for one in made.pools] == ["one-1", "one-1", "two"]
        assert [one.site for one in made.pools] == ["a", "a", "b"]
        assert made.clones == 13
        assert "stream" not in made.pools[0].scenario.to_dict()["pool"]

    def test_a_pool_that_comes_behind_changes_no_other(self, tmp_path: Path) -> None:
        before = load_estate(estate_file(tmp_path)).pools
        more = "[[pools]]\nname = 'new'\nsite = 'b'\nscenario = 'small.toml'\n"
        first, rest = TWO.split('[[pools]]\nname = "two"')
        after = load_estate(estate_file(tmp_path, f'{first}{more}[[pools]]\nname = "two"{rest}')).pools
        assert [one for one in after if one.name != "new"] == list(before)

    def test_later_rings_count_patches_from_the_same_month(self, tmp_path: Path) -> None:
        """From 10 December on, a delay of 0 days meets the January patches first, one of 7 days those of December."""
        text = HEAD.replace("2008-12-08", "2008-12-10") + "".join(RING.format(delay=delay) for delay in (0, 7, 1))
        made = load_estate(estate_file(tmp_path, text)).pools
        assert [one.scenario.pool.patches_from for one in made] == [dt.date(2008, 12, 1), None, None]

    def test_the_example_is_an_estate(self, example: Estate) -> None:
        assert str(example) == "<Estate 'desktops of two sites': 600 desktops in 4 pools on 2 sites, 30 days>"
        assert [len(pools) for pools in example.kinds.values()] == [2, 1, 1]
        assert [one.name for one in example.on("vienna")] == ["office-vienna", "counter-vienna"]
        assert example.pools[2].scenario.luns.size == 2 * 2**40
        with pytest.raises(ValueError, match="frozen"):
            example.days = 5  # type: ignore[misc]

    def test_a_scenario_by_its_absolute_path(self, tmp_path: Path) -> None:
        path = estate_file(tmp_path)
        elsewhere = tmp_path / "below"
        elsewhere.mkdir()
        text = TWO.replace("small.toml", str(path.parent / "small.toml"))
        (elsewhere / "estate.toml").write_text(text, encoding="utf-8")
        assert load_estate(elsewhere / "estate.toml").pools[0].scenario.guest.disk == 4 * 2**30

    def test_what_is_an_estate(self, tmp_path: Path) -> None:
        path = estate_file(tmp_path)
        (tmp_path / "broken.toml").write_text("[estate", encoding="utf-8")
        assert is_estate(path)
        assert is_estate(str(path))
        for other in (tmp_path / "small.toml", tmp_path / "broken.toml", tmp_path, "windows-11-office", "no.toml"):
            assert not is_estate(other)

    def test_scenarios_alone_are_as_they_were(self) -> None:
        told = load_scenario().to_dict()["pool"]
        assert told.keys() == {"name", "clones", "days", "start", "time_zone"}


BAD = {
    "estate.strat": ("[estate]\nstrat = 3", "estate has name, days, start, calendar. Did you mean 'start'?"),
    "estate.days": ("[estate]\ndays = 0", "allowed are 1 d to 3660 d. The catalog's default is 90 d."),
    "estate.name": ("[estate]\nname = ''", "a name of 1 to 64 printable characters is needed."),
    "estate.calendar.patch_dy": ("[estate.calendar]\npatch_dy = 1", "Did you mean 'patch_day'?"),
    "estate.calendar.patch_delay": ("[estate.calendar]\npatch_delay = 99", "allowed are 0 d to 30 d."),
    "estate.calendar.holidays[0]": ("[estate.calendar]\nholidays = ['x']", "a date is year, month and day."),
    "estate.calendar": ("[estate]\ncalendar = 3", "a table is needed. Write [estate.calendar]"),
    "site": ("site = 3", "an estate has estate, sites, lun_groups, pools. Did you mean 'sites'?"),
    "lun_groups": ("lun_groups = 3", "a list of tables is needed. Write [[lun_groups]]"),
    "lun_groups[0].luns.size": ("[[lun_groups]]\nname = 'g'\nluns = {size = '2 TB'}", "Did you mean TiB?"),
    "lun_groups[0].lun": ("[[lun_groups]]\nname = 'g'\nlun = {}", "Did you mean 'luns'?"),
    "lun_groups[0].name": ("[[lun_groups]]\nname = 3", "a name of 1 to 64 printable characters is needed."),
}
POOL = "[[pools]]\nname = 'p'\nsite = 'a'\nscenario = 'small.toml'\n"
BAD_POOL = {
    "site": ("name = 'p'\nsite = 'c'\nscenario = 'small.toml'", "allowed are 'a', 'b'."),
    "lun_group": (
        "name = 'p'\nsite = 'a'\nscenario = 'small.toml'\nlun_group = 'g'",
        "allowed are none: the file has no such table.",
    ),
    "scenario": ("name = 'p'\nsite = 'a'\nscenario = 'windows-11-ofice'", "Did you mean 'windows-11-office'?"),
    "name": ("name = '../p'\nsite = 'a'\nscenario = 'small.toml'", "it becomes a file's name"),
    "count": ("name = 'p'\nsite = 'a'\nscenario = 'small.toml'\ncount = 0", "a whole number from 1 to 1000 is needed."),
    "pool.days": ("name = 'p'\nsite = 'a'\nscenario = 'small.toml'\npool = {days = 2}", "All pools share the days"),
    "pool.stream": ("name = 'p'\nsite = 'a'\nscenario = 'small.toml'\npool = {stream = 'x'}", "its own stream"),
    "gest": ("name = 'p'\nsite = 'a'\nscenario = 'small.toml'\ngest = {}", "Did you mean 'guest'?"),
}


class TestRefused:
    @pytest.mark.parametrize("path", BAD)
    def test_in_the_tables_of_all(self, path: str, tmp_path: Path) -> None:
        text, told = BAD[path]
        sites = "[[sites]]\nname = 'a'\n"
        top = f"{text}\n{sites}{POOL}"  # a bare key must come before all tables
        found = problems(tmp_path, top)
        assert list(found) == [path]
        assert told in found[path]

    @pytest.mark.parametrize("key", BAD_POOL)
    def test_in_a_pool(self, key: str, tmp_path: Path) -> None:
        text, told = BAD_POOL[key]
        found = problems(tmp_path, f"{HEAD}[[pools]]\n{text}\n")
        assert list(found) == [f"pools[0].{key}"]
        assert told in found[f"pools[0].{key}"]

    def test_in_a_pool_s_scenario(self, tmp_path: Path) -> None:
        found = problems(tmp_path, f"{HEAD}{POOL}guest = {{disk = '60 GB', used = '1 TB'}}\n")
        assert list(found) == ["pools[0]: guest.disk", "pools[0]: guest.used"]
        assert "Did you mean GiB?" in found["pools[0]: guest.disk"]

    def test_everything_at_once(self, tmp_path: Path) -> None:
        text = f"{HEAD}[[sites]]\nname = 'a'\n{POOL}{POOL.replace('small', 'none')}count = 2\n"
        found = problems(tmp_path, text, set=["estate.days=0", "guest", "guest.polcy=windows"])
        assert list(found) == [
            "set",
            "estate.days",
            "sites[2].name",
            "pools[0]: guest.polcy",
            "pools[1].scenario",
        ]

    def test_names_that_are_the_same_folder(self, tmp_path: Path) -> None:
        found = problems(tmp_path, f"{HEAD}{POOL}{POOL.replace(chr(39) + 'p', chr(39) + 'P')}")
        assert "'P' is the name of a pool of pools[0], and names are those of folders" in found["pools[1].name"]

    def test_a_path_that_leads_out_of_the_folder(self, tmp_path: Path) -> None:
        inside = tmp_path / "inside"
        inside.mkdir()
        estate_file(tmp_path)
        found = problems(inside, f"{HEAD}{POOL.replace('small.toml', '../small.toml')}")
        assert "Put the file into that folder, or write its absolute path." in found["pools[0].scenario"]

    @pytest.mark.parametrize("text", ["", "[estate]\n", "[[sites]]\nname = 'a'\n"])
    def test_nothing_in_it(self, text: str, tmp_path: Path) -> None:
        found = problems(tmp_path, text)
        assert "an estate has one pool or more. `clonesim init --estate`" in found["pools"]

    def test_what_is_no_toml(self, tmp_path: Path) -> None:
        assert "`clonesim init --estate` writes an estate" in problems(tmp_path, "[[pools")["file"]
        with pytest.raises(EstateError, match="No such file"):
            load_estate(tmp_path / "none.toml")

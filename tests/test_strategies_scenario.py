"""Strategies that a scenario asks for: what they are, how they are written and read back, and what is refused."""

# ruff: noqa: E501 (whole messages, one mistake a line)
import itertools
import json
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.errors import ParameterError, ScenarioError
from clonesim.scenario import catalog, commented, load_scenario
from clonesim.scenario.strategy import (
    Choice,
    mechanism,
    parameters_of,
    parse_strategies,
    platforms_of,
    read_strategies,
    unmap_mode,
)
from clonesim.units import GIB, MIB

NAMES = catalog.names("strategies")
CLONES = ("full-clone", "linked-clone", "provisioned-streaming", "mcs", "instant-clone")
CONTRARY = {  # besides the kinds of clones, of which there is one
    ("full-clone", "persistent-disk"),
    ("full-clone", "refresh"),
    ("full-clone", "recompose"),
    ("full-clone", "rebalance"),
    ("refresh", "provisioned-streaming"),
    ("refresh", "mcs"),
    ("refresh", "instant-clone"),
    ("rebalance", "provisioned-streaming"),
    ("rebalance", "mcs"),
    ("rebalance", "instant-clone"),
    ("persistent-disk", "profile-container"),
    ("profile-streaming", "profile-container"),
    ("application-virtualization", "app-attach"),
    ("provisioned-streaming", "space-reclaim"),
    ("mcs", "space-reclaim"),
} | set(itertools.combinations(CLONES, 2))
W7, W11 = "windows-7-office", "windows-11-office"
ALL = ", ".join(NAMES)


def with_strategies(*strategy, base=W7, **tables):
    return load_scenario(base, strategy=list(strategy), **tables)


def anywhere(*strategy, **tables):
    """On the platform that has everything, in a format that gives space back."""
    tables = {
        "platform": {"name": "generic"},
        "delta": {"format": "se-sparse"},
        "luns": {"backing": "vmfs-6"},
        **tables,
    }
    return with_strategies(*strategy, base=W11, **tables)


def test_every_strategy_says_what_it_is():
    assert len(NAMES) == 20
    for name in NAMES:
        for key in ("title", "saves", "costs"):
            assert len(catalog.text("strategies", name, key)) > 10, (name, key)
        assert mechanism(name) in {"none", "clone", "refresh", "route", "tune", "reclaim", "array"}, name


def test_platforms_are_known_and_have_a_source():
    for name in NAMES:
        listed = catalog.listed("strategies", name, "platforms")
        assert set(platforms_of(name)) <= set(catalog.names("platforms"))
        assert "generic" in platforms_of(name)
        if listed:
            assert catalog.text("strategies", name, "platforms_source") in catalog.sources(), name
            assert catalog.text("strategies", name, "platforms_note"), name


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_can_be_asked_for_alone(name):
    scenario = anywhere(name)
    assert [choice.name for choice in scenario.strategy] == [name]
    assert scenario.chosen(name) == Choice(name=name)
    assert load_scenario(tomllib.loads(commented(scenario))) == scenario


def refused(*strategy):
    try:
        anywhere(*strategy)
    except ScenarioError as error:
        return error
    return None


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(NAMES, 2)))
def test_two_strategies_are_refused_where_they_contradict_each_other(one, other):
    """The pairs stand here once more, so that one left out in the catalog is seen."""
    first, second = refused(one, other), refused(other, one)
    assert (first is not None) == ((one, other) in CONTRARY)
    assert str(first) == str(second)
    assert (other in catalog.listed("strategies", one, "excludes")) == ((one, other) in CONTRARY)
    assert (one in catalog.listed("strategies", other, "excludes")) == ((one, other) in CONTRARY)
    if first is not None:
        assert [problem.path for problem in first.problems] == ["strategy"]
        assert first.problems[0].value == [one, other]
        assert ("one kind" in str(first)) == (one in CLONES and other in CLONES)


def test_the_order_means_nothing():
    entries = ["persistent-disk", {"name": "refresh", "when": "days", "every": "3 d"}, "guest-tuning"]
    found = [anywhere(*order) for order in itertools.permutations(entries)]
    assert len({scenario.model_dump_json() for scenario in found}) == 1
    assert all(scenario == found[0] for scenario in found)
    one = Choice(name="refresh", parameters={"every": 86400.0, "when": "days"})
    assert json.loads(one.model_dump_json()) == {"name": "refresh", "parameters": {"when": "days", "every": 86400.0}}
    assert one == Choice(name="refresh", parameters={"when": "days", "every": "1 d"})
    assert one != Choice(name="refresh", parameters={"when": "days"})


def test_values_are_in_base_units():
    scenario = anywhere(
        {"name": "refresh", "when": "nightly", "at": "01:30", "floor": "64 MiB", "catch_up": False},
        {"name": "persistent-disk", "tags": ["user-data", "profile"], "size": "4 GiB"},
        {"name": "memory-reservation", "share": 1},
    )
    refresh, disk = scenario.chosen("refresh"), scenario.chosen("persistent-disk")
    assert refresh.parameters == {"when": "nightly", "at": 5400.0, "floor": 64 * MIB, "catch_up": False}
    assert refresh.all() == refresh.parameters | {"every": 7 * 86400.0, "share": 0.5, "image_age": 15 * 86400.0}
    assert list(refresh.all()) == list(parameters_of("refresh"))
    assert disk.parameters == {"size": 4 * GIB, "tags": ("profile", "user-data")}
    assert disk.value("where") == "other"
    assert type(scenario.chosen("memory-reservation").value("share")) is float
    assert scenario.chosen("mcs") is None


def test_figures_are_those_of_the_sources():
    """As published for MCS, FSLogix, reclaim, UNMAP and sizing; MB and GB of disks read as binary."""
    for name, parameter, value in (
        ("mcs", "identity", 36 * MIB),
        ("mcs", "ram", 256 * MIB),
        ("mcs", "cache_disk", 10 * GIB),
        ("provisioned-streaming", "ram", 256 * MIB),
        ("provisioned-streaming", "overflow", "vhdx"),
        ("profile-container", "compaction_least", GIB),
        ("profile-container", "compaction_share", 0.2),
        ("space-reclaim", "threshold", GIB),
        ("thin-lun", "rate", 25_000_000),
        ("recompose", "replicas", 2),
    ):
        assert Choice(name=name).value(parameter) == value, (name, parameter)
        assert parameters_of(name)[parameter].kind in {"vendor", "measured"}


def test_what_the_array_is_told_follows_from_the_file_system():
    usual, asked = Choice(name="thin-lun"), Choice(name="thin-lun", parameters={"mode": "none"})
    found = {backing: unmap_mode(usual, backing) for backing in ("vmfs-3", "vmfs-5", "vmfs-6", "nfs")}
    assert found == {"vmfs-3": "none", "vmfs-5": "manual", "vmfs-6": "auto", "nfs": ""}
    assert unmap_mode(asked, "vmfs-6") == "none"
    assert unmap_mode(asked, "vsan") == ""


def test_strategies_are_set_from_the_command_line():
    scenario = load_scenario(W7, set=['strategy=["refresh"]'])
    assert [choice.table() for choice in scenario.strategy] == [{"name": "refresh"}]
    scenario = load_scenario(scenario, set=['strategy=[{name="refresh", when="days"}, "recompose"]'])
    assert [choice.name for choice in scenario.strategy] == ["refresh", "recompose"]
    assert load_scenario(scenario) == scenario
    assert load_scenario(scenario, pool={"clones": 7}).strategy == scenario.strategy
    assert load_scenario(scenario, strategy=[]) == load_scenario(W7)


def test_strategies_stand_in_files(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        f'base = "{W7}"\nstrategy = ["persistent-disk", {{name = "refresh", when = "days", every = "3 d"}}]\n'
    )
    scenario = load_scenario(path)
    assert scenario.chosen("refresh").value("every") == 3 * 86400
    path.write_text(f'base = "{W7}"\n[[strategy]]\nname = "refresh"\nevery = "3 d"\nwhen = "days"\n[[strategy]]\n'
                    'name = "persistent-disk"\n')  # fmt: skip
    assert load_scenario(path) == scenario


@pytest.mark.parametrize("name", NAMES)
def test_commented_lines_can_be_uncommented(name):
    """What follows from the catalog stands behind a #; taking that away asks for it and changes no value."""
    scenario = anywhere(name)
    head, _, table = commented(scenario).partition("[[strategy]]")
    whole = [line.removeprefix("# ") if " = " in line else line for line in table.splitlines()]
    again = load_scenario(tomllib.loads("\n".join([head, "[[strategy]]", *whole])))
    assert again.chosen(name).all() == scenario.chosen(name).all()
    assert max(map(len, commented(scenario).splitlines())) <= 120


def values_of(parameter):
    default, low_high = parameter.default, parameter.range
    if isinstance(default, tuple):
        return st.lists(st.sampled_from(low_high), min_size=1, unique=True)
    if isinstance(default, (str, bool)):
        return st.sampled_from(low_high)
    if isinstance(default, int):
        return st.integers(*low_high)
    return st.floats(*low_high)


@st.composite
def choices(draw):
    name = draw(st.sampled_from(NAMES))
    asked = {key: draw(values_of(parameter)) for key, parameter in parameters_of(name).items() if draw(st.booleans())}
    if "every" in asked:
        asked["every"] = round(asked["every"] / 86400) * 86400.0
    return {"name": name, **asked}


@settings(max_examples=80, deadline=None)
@given(asked=choices())
def test_any_strategy_reads_back_from_its_commented_text(asked):
    found, problems = read_strategies([asked])
    assert not problems
    assert found[0].parameters.keys() == asked.keys() - {"name"}
    base = load_scenario(W11)
    scenario = base.model_copy(update={"strategy": found})
    text = commented(scenario)
    again, problems = read_strategies(tomllib.loads(text)["strategy"])
    assert not problems
    assert again == found
    assert type(found[0]).model_validate_json(found[0].model_dump_json()) == found[0]


def test_what_a_strategy_brings_about_is_not_refused():
    """A scenario whose guest and hosts are already as its strategies make them."""
    asked = ["memory-reservation", {"name": "smaller-free-space", "free": "8 GiB"}]
    scenario = anywhere(*asked, hosts={"memory_reservation": 1.0}, guest={"disk": "40 GiB", "used": "32 GiB"})
    assert len(scenario.strategy) == 2


def test_a_choice_is_frozen_and_knows_its_parameters():
    choice = Choice(name="refresh")
    with pytest.raises(ValueError, match="frozen"):
        choice.name = "mcs"
    with pytest.raises(ParameterError, match=r"strategy\.refresh\.evry=None: refresh has when, every, .*'every'\?"):
        choice.value("evry")
    with pytest.raises(ValueError, match=r"strategy='refesh': strategies are full-clone, .*Did you mean 'refresh'\?"):
        Choice(name="refesh")
    with pytest.raises(ValueError, match=r"strategy\.refresh\.at='noon': a time of day is hours and minutes"):
        Choice(name="refresh", parameters={"at": "noon"})


# fmt: off
MISTAKES = [
    (W7, "refresh", {}, ["strategy='refresh': a list of strategies is needed. Write ['refresh'] for one, [] for none."]),
    (W7, {"name": "refresh"}, {}, ["strategy={'name': 'refresh'}: a list of strategies is needed. Write [] for none."]),
    (W7, [3], {}, ["strategy[0]=3: a name, or a table with a name and parameters is needed. Write 'refresh' or {name = 'refresh', when = 'logoff'}."]),
    (W7, ["refresh", {"when": "logoff"}], {}, ["strategy[1]={'when': 'logoff'}: it has no name. Write 'refresh' or {name = 'refresh', when = 'logoff'}."]),
    (W7, ["refesh"], {}, [f"strategy[0]='refesh': strategies are {ALL}. Did you mean 'refresh'?"]),
    (W7, ["none"], {}, [f"strategy[0]='none': strategies are {ALL}. Write [] for none; 'linked-clone' is the base of comparisons."]),
    (W7, [{"name": 5}], {}, [f"strategy[0]=5: strategies are {ALL}."]),
    (W7, [{"name": "refresh", "evry": "7 d"}], {}, ["strategy.refresh.evry='7 d': refresh has when, every, share, at, floor, catch_up, image_age. Did you mean 'every'?"]),
    (W7, [{"name": "linked-clone", "size": 3}], {}, ["strategy.linked-clone.size=3: linked-clone has no parameters."]),
    (W7, [{"name": "refresh", "when": "dais"}], {}, ["strategy.refresh.when='dais': allowed are logoff, days, share, nightly. Did you mean 'days'?"]),
    (W7, [{"name": "refresh", "when": "days", "every": 7}], {}, ["strategy.refresh.every=7: allowed are 1 d to 365 d. The catalog's default is 7 d."]),
    (W7, [{"name": "refresh", "when": "days", "every": "36 h"}], {}, ["strategy.refresh.every='36 h': whole days are needed. Write for example '7 d'."]),
    (W7, [{"name": "refresh", "when": "share", "share": 50}], {}, ["strategy.refresh.share=50: allowed are 0.01 to 1. The catalog's default is 0.5."]),
    (W7, [{"name": "refresh", "floor": "100 MB"}], {}, ["strategy.refresh.floor='100 MB': a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes. Did you mean MiB?"]),
    (W7, [{"name": "refresh", "catch_up": "no"}], {}, ["strategy.refresh.catch_up='no': allowed are true and false. The catalog's default is true."]),
    (W7, [{"name": "refresh", "evry": 1, "when": "now"}, "mcs"], {}, ["strategy.refresh.evry=1: refresh has when, every, share, at, floor, catch_up, image_age. Did you mean 'every'?", "strategy.refresh.when='now': allowed are logoff, days, share, nightly.", "strategy='mcs': view has no mcs; citrix-mcs and generic have it. Leave it out, or take another platform.name."]),
    (W7, [{"name": "persistent-disk", "tags": ["profile", "mail"]}], {}, ["strategy.persistent-disk.tags='mail': allowed are system, profile, temp, page, application, user-data."]),
    (W7, [{"name": "persistent-disk", "tags": []}], {}, ["strategy.persistent-disk.tags=[]: a list of one or more of system, profile, temp, page, application, user-data is needed. Write for example ['system']."]),
    (W7, ["refresh", "refresh"], {}, ["strategy=['refresh', 'refresh']: a scenario has one refresh at most. Drop all but one."]),
    (W7, ["refresh", {"name": "refresh", "when": "nightly"}], {}, ["strategy=[{'name': 'refresh'}, {'name': 'refresh', 'when': 'nightly'}]: a scenario has one refresh at most. Drop all but one."]),
    (W7, ["persistent-disk", "full-clone"], {}, ["strategy=['full-clone', 'persistent-disk']: a full clone keeps the profile and the data anyway. Take 'full-clone' or 'persistent-disk', or compare the two."]),
    (W7, ["refresh", "instant-clone"], {}, ["strategy=['refresh', 'instant-clone']: an instant clone is made anew by itself. Take 'refresh' or 'instant-clone', or compare the two."]),
    (W7, ["mcs", "provisioned-streaming"], {"platform": {"name": "generic"}}, ["strategy=['provisioned-streaming', 'mcs']: a clone is of one kind only. Take 'provisioned-streaming' or 'mcs', or compare the two."]),
    (W7, ["profile-container", "persistent-disk", "profile-streaming"], {}, ["strategy=['persistent-disk', 'profile-container']: both hold the profile. Take 'persistent-disk' or 'profile-container', or compare the two.", "strategy=['profile-streaming', 'profile-container']: both hold the profile. Take 'profile-streaming' or 'profile-container', or compare the two."]),
    (W11, ["rebalance"], {}, ["strategy='rebalance': horizon-8 has no rebalance; view and generic have it. Leave it out, or take another platform.name."]),
    (W7, ["recompose"], {"platform": {"name": "proxmox"}, "delta": {"format": "qcow2"}, "luns": {"backing": "nfs"}}, ["strategy='recompose': proxmox has no recompose; view, horizon-8, citrix-mcs and generic have it. Leave it out, or take another platform.name."]),
    (W7, [{"name": "refresh", "every": "7 d"}], {}, ["strategy.refresh.every='7 d': it means nothing while when is 'logoff'. Set when to 'days', or leave every out."]),
    (W7, [{"name": "refresh", "at": "02:00"}], {}, ["strategy.refresh.at='02:00': it means nothing while when is 'logoff'. Set when to 'days' or 'share' or 'nightly', or leave at out."]),
    (W7, [{"name": "refresh", "catch_up": False, "image_age": "5 d"}], {}, ["strategy.refresh.image_age='5 d': it means nothing while catch_up is false. Set catch_up to true, or leave image_age out."]),
    (W7, [{"name": "application-virtualization", "cache_in_image": True, "cache": "1 GiB"}], {}, ["strategy.application-virtualization.cache='1 GiB': it means nothing while cache_in_image is true. Set cache_in_image to false, or leave cache out."]),
    (W7, [{"name": "application-virtualization", "cache_in_image": True, "request": "1 MiB"}], {}, ["strategy.application-virtualization.request='1 MiB': it means nothing while cache_in_image is true. Set cache_in_image to false, or leave request out."]),
    (W7, [{"name": "profile-container", "request": "1 KiB"}], {}, ["strategy.profile-container.request='1 KiB': allowed are 4 KiB to 8 MiB. The catalog's default is 64 KiB."]),
    (W7, [{"name": "mcs", "block": "3 MiB"}], {"platform": {"name": "generic"}}, ["strategy.mcs.block='3 MiB': a power of two is needed. Write for example '2 MiB'."]),
    (W7, [{"name": "provisioned-streaming", "ram": "1 MiB"}], {"platform": {"name": "generic"}}, ["strategy.provisioned-streaming.ram='1 MiB': memory is given out in blocks of 2 MiB. Raise it, lower block, or set it to '0 B' for none."]),
    (W7, [{"name": "mcs", "at": "02:00"}], {"platform": {"name": "generic"}}, ["strategy.mcs.at='02:00': it means nothing while reboot is 'logoff'. Set reboot to 'nightly', or leave at out."]),
    (W7, [{"name": "guest-tuning", "page_file": False, "page_disk": 2.0}], {}, ["strategy.guest-tuning.page_disk='2': it means nothing while page_file is false. Set page_file to true, or leave page_disk out."]),
    (W7, [{"name": "guest-tuning", "browser_cache": False, "browser_cache_cap": "10 MiB"}], {}, ["strategy.guest-tuning.browser_cache_cap='10 MiB': it means nothing while browser_cache is false. Set browser_cache to true, or leave browser_cache_cap out."]),
    (W7, [{"name": "guest-tuning", "defragmentation": False, "page_file": False, "prefetch": False, "search": False, "browser_cache": False}], {}, ["strategy.guest-tuning={'defragmentation': False, 'page_file': False, 'prefetch': False, 'search': False, 'browser_cache': False}: one switch at least is on. Leave one out, or drop the strategy."]),
    (W7, ["persistent-disk"], {"users": {"assignment": "floating"}}, ["strategy='persistent-disk': users are floating, and a persistent disk stays with one clone. Set users.assignment to 'dedicated', or take 'profile-container'."]),
    (W7, [{"name": "persistent-disk", "tags": "profile+temp"}, "disposable-disk"], {}, ["strategy.disposable-disk.tags='temp+page': temp cannot lie on persistent-disk and on disposable-disk. Name each tag for one of them."]),
    (W7, [{"name": "disposable-disk", "size": "1 GiB"}], {}, ["strategy.disposable-disk.size='1 GiB': the page file of 2 GiB lies on it. Raise it, or lower guest.page_file."]),
    (W7, [{"name": "smaller-free-space", "free": "60 GiB"}], {}, ["strategy.smaller-free-space.free='60 GiB': the guest has 20 GiB free as it is. Lower it, or leave the strategy out."]),
    (W7, [{"name": "smaller-free-space", "free": "256 MiB"}], {}, ["strategy.smaller-free-space.free='256 MiB': a disk is at most 95% full, and 20 GiB are in use. Set it to '1078 MiB' or more."]),
    (W7, [{"name": "refresh", "when": "share", "share": 0.1, "floor": "4 GiB"}], {}, ["strategy.refresh.floor='4 GiB': a refresh at 4 GiB would leave no less. Lower it, or raise share."]),
    (W7, ["space-reclaim"], {}, ["strategy='space-reclaim': a delta in vmfs-sparse gives nothing back. Set delta.format to 'se-sparse', or leave it out."]),
    (W11, ["space-reclaim"], {"delta": {"parameters": {"discard": "ignore"}}}, ["strategy='space-reclaim': a delta in se-sparse gives nothing back. Set delta.format to 'se-sparse', or leave it out."]),
    (W11, ["space-reclaim"], {"platform": {"name": "proxmox"}, "delta": {"format": "qcow2"}, "luns": {"backing": "nfs"}}, ["strategy.space-reclaim.method='wipe': the agent that wipes is for se-sparse, and the format is qcow2. Set method to 'discard' or 'zero'."]),
    (W11, [{"name": "space-reclaim", "method": "discard"}], {"guest": {"discards": False}}, ["strategy.space-reclaim.method='discard': the guest does not tell what it freed. Set guest.discards to true, or method to 'zero'."]),
    (W11, [{"name": "full-clone", "provisioning": "thick"}, "space-reclaim"], {}, ["strategy='space-reclaim': a thick disk gives nothing back. Set provisioning to 'thin'."]),
    (W11, ["thin-lun"], {"luns": {"backing": "nfs"}}, ["strategy='thin-lun': nfs does not lie on a LUN of an array; vmfs-3, vmfs-5, vmfs-6 and csv do. Leave it out, or take another luns.backing."]),
    (W11, [{"name": "thin-lun", "mode": "auto", "every": "5 d"}], {}, ["strategy.thin-lun.every='5 d': it means nothing while mode is 'auto'. Set mode to 'version' or 'manual', or leave every out."]),
    (W11, [{"name": "memory-reservation", "share": 0.5}], {"hosts": {"memory_reservation": 0.75}}, ["strategy.memory-reservation.share='0.5': hosts.memory_reservation is 0.75 already. Raise it, or leave the strategy out."]),
    (W11, ["memory-reservation"], {"platform": {"name": "generic"}, "luns": {"backing": "csv"}, "delta": {"format": "vhdx"}, "hosts": {"count": 1}}, ["strategy='memory-reservation': csv is of hyper-v, which keeps no swap file for each desktop. Leave it out."]),
]
# fmt: on


@pytest.mark.parametrize(("base", "strategy", "tables", "messages"), MISTAKES)
def test_mistakes_are_refused_with_the_remedy(base, strategy, tables, messages):
    with pytest.raises(ScenarioError) as caught:
        load_scenario(base, strategy=strategy, **tables)
    assert [str(problem) for problem in caught.value.problems] == messages


def test_alternatives_of_the_command_line():
    text = "linked-clone, refresh+persistent-disk , refresh( when=days; every = 7 d ),guest-tuning(search=false)"
    assert parse_strategies(text) == (
        ("linked-clone", [{"name": "linked-clone"}]),
        ("refresh+persistent-disk", [{"name": "refresh"}, {"name": "persistent-disk"}]),
        ("refresh(when=days; every=7 d)", [{"name": "refresh", "when": "days", "every": "7 d"}]),
        ("guest-tuning(search=false)", [{"name": "guest-tuning", "search": False}]),
    )
    ((label, entries),) = parse_strategies("persistent-disk(tags=profile+user-data; size=10 GiB)+refresh")
    assert label == "persistent-disk(size=10 GiB; tags=profile+user-data)+refresh"
    assert with_strategies(*entries).chosen("persistent-disk").value("tags") == ("profile", "user-data")
    assert parse_strategies("refresh(when=days, every=7 d)") == parse_strategies("refresh(when=days;every=7 d)")


@settings(max_examples=80, deadline=None)
@given(asked=st.lists(choices(), min_size=1, max_size=3, unique_by=lambda one: one["name"]))
def test_a_label_reads_back_to_the_same_strategies(asked):
    found, _ = read_strategies(asked)
    written = "+".join(
        choice.name + (f"({'; '.join(f'{k}={_text(v)}' for k, v in choice.parameters.items())})")
        if choice.parameters
        else choice.name
        for choice in found
    )
    ((_, entries),) = parse_strategies(written)
    again, problems = read_strategies(entries)
    assert not problems
    assert again == found


def _text(value):
    if isinstance(value, tuple):
        return "+".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


SHORT = "Write for example 'refresh(when=days; every=7 d)'."
TEXTS = [
    ("", "strategies='': strategies are names with , between alternatives and + between those of one. Write for example 'linked-clone, refresh+persistent-disk'."),
    ("refresh,,mcs", "strategies='refresh,,mcs': strategies are names with , between alternatives and + between those of one. Write for example 'linked-clone, refresh+persistent-disk'."),
    ("refresh+", "strategies='refresh+': strategies are names with , between alternatives and + between those of one. Write for example 'linked-clone, refresh+persistent-disk'."),
    ("refresh(when=days", "strategies='refresh(when=days': each ( has its ), and none stands inside another. Write for example 'refresh(when=logoff)'."),
    ("refresh)", "strategies='refresh)': each ( has its ), and none stands inside another. Write for example 'refresh(when=logoff)'."),
    ("refresh(when=days) now", f"strategies='refresh(when=days) now': a strategy is a name, and its parameters in parentheses. {SHORT}"),
    ("refresh(days)", f"strategies='days': parameters are key=value with ; between them. {SHORT}"),
    ("refresh()", f"strategies='refresh()': parameters are key=value with ; between them. {SHORT}"),
    ("refresh(when=days; when=share)", "strategies='refresh(when=days; when=share)': when stands there twice. Drop one."),
    ("linked-clone, refesh", f"strategies='refesh': strategies are {ALL}. Did you mean 'refresh'?"),
    ("refresh(evry=7 d)", "strategy.refresh.evry='7 d': refresh has when, every, share, at, floor, catch_up, image_age. Did you mean 'every'?"),
    ("refresh(when=days; every=1 week)", "strategy.refresh.every='1 week': a duration is a number with us, ms, s, min, h or d, or a number of seconds. Write for example '10 s'."),
    ("refresh, linked-clone, refresh", "strategies='refresh': each alternative is compared once. Drop one."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), TEXTS)
def test_texts_that_cannot_be_read(text, message):
    with pytest.raises(ParameterError) as caught:
        parse_strategies(text)
    assert str(caught.value) == message

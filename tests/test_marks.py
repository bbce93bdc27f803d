"""Marks of a scenario's values: they travel with it, fall with the value they belong to, and results tell them."""

import pickle

import numpy as np
import pytest

from clonesim.errors import ScenarioError
from clonesim.planning.assumptions import assumptions_of
from clonesim.planning.compare import _label
from clonesim.planning.pool_sample import PoolSample
from clonesim.scenario import commented, load_scenario
from clonesim.scenario.marks import marks_told

MARKS = {
    "guest.disk": "measured: vDisk, Capacity: all alike; 12 rows",
    "guest.start.delta": "measured: files",
    "workload.intensity": "calibrated: 40 clones, 3 dates",
}
TABLES = {"guest": {"disk": "60 GiB", "start": {"delta": "1 GiB"}}, "workload": {"intensity": 1.5}}


def test_marks_change_nothing_but_what_is_told():
    plain, marked = load_scenario(**TABLES), load_scenario(**TABLES, marks=MARKS)
    assert marked == plain
    assert marked != load_scenario(marks=MARKS)
    assert marked.marks == MARKS
    assert marked.to_dict() == plain.to_dict()
    assert marked.model_dump_json() == plain.model_dump_json()
    assert pickle.loads(pickle.dumps(marked)).marks == MARKS
    assert load_scenario(marked).marks == MARKS


def test_a_mark_falls_with_its_value():
    marked = load_scenario(**TABLES, marks=MARKS)
    assert set(load_scenario(marked, guest={"disk": "64 GiB"}).marks) == set(MARKS) - {"guest.disk"}
    assert set(load_scenario(marked, set=["guest.start.delta=2 GiB"]).marks) == set(MARKS) - {"guest.start.delta"}
    assert set(load_scenario(marked, guest={"start": {}}).marks) == set(MARKS) - {"guest.start.delta"}
    assert load_scenario(marked, pool={"clones": 3}).marks == MARKS
    assert load_scenario(marked, guest={"disk": "64 GiB"}, marks={}).marks == {}


def test_marks_are_comments_and_a_table(tmp_path):
    text = commented(load_scenario(**TABLES), MARKS)
    assert text == commented(load_scenario(**TABLES, marks=MARKS))
    lines = text.splitlines()
    assert lines[lines.index('disk = "60 GiB"') - 1] == f"# {MARKS['guest.disk']}"
    assert lines[lines.index('start = {delta = "1 GiB"}') - 1] == "# measured: files (delta)"
    assert text.endswith(
        "# What was measured, which results tell. Take a key out when you change its value here by hand.\n"
        '[marks]\nmeasured = [\n    "guest.disk", "guest.start.delta",\n]\n'
        'calibrated = [\n    "workload.intensity",\n]\n'
    )
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    again = load_scenario(path)
    assert again == load_scenario(**TABLES)
    assert again.marks == {
        "guest.disk": "measured",
        "guest.start.delta": "measured",
        "workload.intensity": "calibrated",
    }
    assert load_scenario(path, set=["guest.disk=70 GiB"]).marks.keys() == MARKS.keys() - {"guest.disk"}
    assert "[marks]" not in commented(load_scenario(**TABLES))


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        (5, "marks=5: a table is needed. Write measured = ['guest.disk']."),
        ({"measured": 5},
         "marks.measured=5: a list of keys of the scenario is needed. Write measured = ['guest.disk']."),
        ({"measured": ["guest.dsk"]},
         "marks.measured='guest.dsk': a key of the scenario is needed, such as 'guest.disk'. Did you mean "
         "'guest.disk'?"),
        ({"measurd": ["guest.disk"]},
         "marks.measurd=['guest.disk']: marks are measured, derived, calibrated. Did you mean 'measured'?"),
        ({"guest.disk": "guessed: by me"},
         "marks.guest.disk='guessed: by me': marks are measured, derived, calibrated."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tables", [{}, {"pool": {"clones": 5}}])
def test_marks_that_are_refused(marks, words, tables):
    for asked in ({"marks": marks, **tables}, load_scenario().given() | {"marks": marks}):
        with pytest.raises(ScenarioError) as caught:
            load_scenario(asked, **tables)
        assert str(caught.value) == f"scenario 'given': {words}"


def test_results_tell_them():
    assert marks_told({}) == ""
    told = marks_told({**MARKS, "guest.used": "measured", "luns.locking": "derived: vHost"})
    assert told == (
        " Measured: guest (disk, start.delta, used). Derived: luns (locking). Calibrated: workload (intensity)."
    )
    marked, empty = load_scenario(**TABLES, marks=MARKS), np.zeros((1, 5, 1), np.int64)
    sample = PoolSample(marked, 3, empty, empty, ((),), (), empty, ())
    labels = sample.label, _label(marked, 5, 1, 3, {})
    for label in labels:
        assert "(rates mostly assumed)" in label
        assert label.endswith("seed 3. Measured: guest (disk, start.delta). Calibrated: workload (intensity).")


def test_a_measured_assumption_says_so():
    mark = "measured: vMemory, Reservation: sum over sum of memory; 12 rows"
    marks = {"hosts.memory_reservation": mark, "workload.intensity": "calibrated: 40 clones"}
    plain, marked = (
        {one.name: one for one in assumptions_of(load_scenario(**tables), "storage")}
        for tables in ({}, {"marks": marks})
    )
    assert marked["memory_reservation"].measure == f"already {mark}"
    assert marked["reserve"] == plain["reserve"]
    changed = {name for name in plain if plain[name] != marked[name]}
    assert len(changed) == 2
    assert "memory_reservation" in changed

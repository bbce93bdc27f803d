"""The report of a run: valid HTML, nothing from outside, names escaped, figures that are those of the frames."""

from __future__ import annotations

import base64
import datetime as dt
import re
import tomllib
from itertools import pairwise
from xml.etree import ElementTree

import html5lib
import numpy as np
import pandas as pd
import pytest
from pool_tools import small
from report_tools import HOSTILE, MARK, hostile_run, page, ranking

from clonesim import cli, load_scenario
from clonesim.errors import ParameterError
from clonesim.planning.sensitivity import Sensitivity
from clonesim.pool_words import pool_answers
from clonesim.report import report_html, write_report
from clonesim.report.inputs import TITLES, inputs_of
from clonesim.report.page import usual_command
from clonesim.report.svg import SHAPES, TEXTS, chart_svg
from clonesim.report.tree import element
from clonesim.report.tree import page as page_text
from clonesim.scenario import catalog

GIB = 2**30
CHARTS = ("growth", "band", "sources", "fill", "increments", "locks", "demand", "latency", "assumptions")


@pytest.fixture(scope="module")
def tree() -> ElementTree.Element:
    """The page as a strict parser of HTML 5 sees it; the first mistake is an error."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parse(page())


def words(node: ElementTree.Element) -> str:
    return " ".join(" ".join(node.itertext()).split())


def rows(tree: ElementTree.Element, label: str) -> list[list[str]]:
    """Cells of the table with a label, its head first."""
    found = [box for box in tree.iter("div") if box.get("aria-label") == label]
    assert len(found) == 1, label
    return [[words(cell) for cell in line] for line in found[0].iter("tr")]


class TestPage:
    def test_ids_are_unique_and_every_reference_leads_somewhere(self, tree) -> None:
        ids = [node.get("id") for node in tree.iter() if node.get("id")]
        assert len(ids) == len(set(ids))
        text = page()
        inside = re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)
        assert len(inside) > 100
        assert set(inside) <= set(ids)

    def test_nothing_comes_from_outside(self, tree) -> None:
        for node in tree.iter():
            for name, value in node.attrib.items():
                if str(name).rpartition("}")[2] in ("src", "href", "srcset", "action", "data", "poster"):
                    assert value.startswith(("#", "data:")), (node.tag, name, value[:80])
        assert not re.search(r"@import|url\((?!#)", page())
        assert {str(node.tag).rpartition("}")[2] for node in tree.iter()}.isdisjoint(
            {"script", "link", "iframe", "img"}
        )
        policy = next(node for node in tree.iter("meta") if node.get("http-equiv"))
        assert policy.get("content", "").startswith("default-src 'none'")

    def test_names_of_the_user_are_text(self, tree) -> None:
        assert words(next(tree.iter("h1"))) == HOSTILE
        assert words(next(tree.iter("title"))).startswith(HOSTILE)
        assert "<script" not in page()
        assert "<img" not in page()
        assert MARK in [line[3] for line in rows(tree, "Values that were measured, derived or calibrated at your site")]

    def test_every_chart_has_a_text_alternative_and_a_table(self, tree) -> None:
        sections = {node.get("id"): node for node in tree.iter("section") if node.get("class") == "chart"}
        assert tuple(sections) == CHARTS
        for name, section in sections.items():
            drawings = [node for node in section.iter() if str(node.tag).endswith("}svg")]
            assert [node.get("role") for node in drawings] == ["img", "img"], name
            for drawing in drawings:
                assert len(drawing.get("aria-label", "")) > 40, name
                assert len([node for node in drawing.iter() if str(node.tag).endswith("}text")]) > 5, "text is text"
            assert len(list(section.iter("table"))) == 1, name

    def test_headings_go_down_step_by_step(self, tree) -> None:
        levels = [int(node.tag[1]) for node in tree.iter() if re.fullmatch("h[1-6]", str(node.tag))]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))

    def test_the_same_run_gives_the_same_bytes_and_no_date_unless_given(self, tmp_path) -> None:
        again = write_report(hostile_run(), tmp_path / "new" / "r.html", ranking=ranking())
        assert again.read_bytes() == page().encode()
        assert [one.name for one in again.parent.iterdir()] == ["r.html"]
        dated = report_html(hostile_run(), ranking="none", date=dt.date(2026, 3, 1))
        assert "2 replicates, 2026-03-01." in dated
        assert str(dt.date.today()) not in page()

    def test_the_scenario_can_be_taken_out_and_is_the_same(self, tree, tmp_path) -> None:
        link = next(node for node in tree.iter("a") if node.get("download"))
        head, _, data = link.get("href", "").partition(",")
        assert head == "data:application/toml;base64"
        file = tmp_path / link.get("download", "")
        file.write_bytes(base64.b64decode(data))
        assert tomllib.loads(file.read_text())["pool"]["name"] == HOSTILE
        assert load_scenario(file) == hostile_run().scenario

    def test_command_seed_version_and_hash_are_told(self, tree) -> None:
        run, text = hostile_run(), words(tree)
        command = "clonesim run scenario.toml --seed 3 --replicates 2 --band 2 --report report.html"
        assert usual_command(run) == command
        assert command in text
        assert run.hash in text
        assert f"numpy {np.__version__}" in text


class TestFigures:
    def test_growth_is_that_of_the_frame(self, tree) -> None:
        run = hostile_run()
        last = run.growth[run.growth["day"] == 2]
        row = rows(tree, "Delta of one desktop by day")[-1]
        delta = last["delta_bytes"] / GIB
        told = [*(delta.quantile(share) for share in (0.05, 0.5, 0.95)), last["written_bytes"].median() / GIB]
        assert row[:5] == ["3", *(f"{value:.3f}" for value in told)]

    def test_band_is_that_of_the_run(self, tree) -> None:
        run = hostile_run()
        table = rows(tree, "Mean delta of a desktop under each allocation policy")
        end = run.band[run.band["day"] == 2]
        told = {f"{row.policy}, discards off [GiB]": f"{row.delta_mean_bytes / GIB:.3f}" for row in end.itertuples()}
        assert dict(zip(table[0][1:], table[-1][1:], strict=True)) == told

    def test_sources_add_up(self, tree) -> None:
        table = rows(tree, "What the deltas are made of, by source")[1:]
        assert sum(float(row[1]) for row in table) == pytest.approx(100, abs=0.5)
        assert sum(float(row[2]) for row in table) == pytest.approx(100, abs=0.5)
        run = hostile_run()
        mean = run.source_bytes["held_bytes"].sum() / 12 / GIB
        assert sum(float(row[3]) for row in table) == pytest.approx(mean, abs=0.01)

    def test_growth_steps_of_the_week_are_all_of_them(self, tree) -> None:
        """Three days from a Monday on, each hour of them once: means over one week are counts, of two replicates."""
        run = hostile_run()
        table = rows(tree, "Growth steps an hour, mean of the weeks, all datastores together")
        cells = [cell for line in table[1:] for cell in line[1:]]
        assert run.scenario.pool.start.weekday() == 0
        assert cells.count("-") == 4 * 24
        assert sum(float(cell) for cell in cells if cell != "-") == len(run.increments) / 2

    def test_fill_locks_load_and_latency(self, tree) -> None:
        run = hostile_run()
        used = run.luns.groupby(["replicate", "lun"])["used_bytes"].last().max() / run.scenario.luns.size
        assert rows(tree, "Used share of the datastores by day, all replicates")[-1][1] == f"{100 * used:.1f}".rstrip(
            "0."
        )
        waits = rows(tree, "Locks in the worst hour of each day, datastore where each figure is highest")[1:]
        assert max(float(row[3]) for row in waits) == pytest.approx(
            1e3 * run.luns["wait_max_s"].max(), rel=0.01, abs=1e-4
        )
        load = rows(tree, "I/Os of the busiest datastore in the worst minute of each day")[1:]
        assert [float(row[3].replace(",", "")) for row in load] == pytest.approx(
            run.peaks.groupby("day")["iops"].max().to_list(), rel=0.01
        )
        latency = rows(tree, "Latency of the array, 95th percentile, by day")[1:]
        assert max(float(row[2]) for row in latency) == pytest.approx(1e3 * run.luns["latency_p95_s"].max(), rel=0.01)

    def test_answers_stand_on_top(self, tree) -> None:
        panes = next(node for node in tree.iter("div") if node.get("class") == "answers")
        titles = [words(node) for node in panes.iter("h3")]
        assert titles == [one.question for one in pool_answers(hostile_run())] + ["What should be measured first?"]
        assert f"Measure first: {ranking()['measure'].iloc[0]}." in words(panes)

    def test_assumptions_are_ranked_and_the_screening_says_that_it_is_one(self, tree) -> None:
        table = rows(tree, "Assumptions by what each does alone to the size of the deltas")[1:]
        assert [line[0] for line in table] == ranking()["title"].to_list()
        swings = [float(line[3].removesuffix(" %")) for line in table]
        assert swings == sorted(swings, reverse=True)
        assert "A screening: each assumption is moved alone" in words(tree)


class TestInputs:
    def test_every_value_of_the_scenario_is_there_once(self) -> None:
        scenario = hostile_run().scenario
        found = inputs_of(scenario)
        keys = [(one.table, one.key) for one in found]
        assert len(set(keys)) == len(keys)
        assert {name for name, _ in keys} == set(scenario.to_dict()) - {"strategy"}
        assert {one.kind for one in found} <= set(TITLES)

    def test_origins(self) -> None:
        found = {f"{one.table}.{one.key}": one for one in inputs_of(hostile_run().scenario)}
        assert found["guest.disk"].kind == "measured at your site"
        assert found["guest.disk"].why == MARK
        assert found["pool.clones"].kind == "derived at your site"
        assert (found["users.absence"].kind, found["users.absence"].value) == ("given", "0.2")
        assert found["users.absence"].differs
        plain = catalog.parameters("users")["weekend"]
        weekend = found["users.weekend"]
        assert (weekend.kind, weekend.source, weekend.why) == (plain.kind, plain.source, plain.note)
        assert not weekend.differs
        assert found["users.count"].kind == "follows"
        assert found["pool.time_zone"].kind == "default"

    def test_a_value_that_is_given_as_it_is_by_default_keeps_its_source(self) -> None:
        given = small(users={"weekend": catalog.value("users", "weekend")})
        one = next(one for one in inputs_of(given) if one.key == "weekend")
        assert one.kind == catalog.parameters("users")["weekend"].kind

    def test_strategies_are_inputs(self) -> None:
        found = inputs_of(small(strategy=[{"name": "refresh", "when": "days", "every": "2 d"}]))
        every = next(one for one in found if (one.table, one.key) == ("strategy refresh", "every"))
        assert (every.value, every.kind) == ("2 d", "given")

    def test_the_page_names_what_differs(self, tree) -> None:
        told = {line[0]: line[1:3] for line in rows(tree, "Values that differ from the catalog's defaults")[1:]}
        assert told["users.absence"] == ["0.2", f"{catalog.value('users', 'absence')}"]
        assert "users.weekend" not in told


class TestDrawing:
    def test_colours_have_names_and_letters_on_coloured_cells_keep_theirs(self) -> None:
        def draw(figure):
            ax = figure.add_subplot()
            ax.plot([0, 1], [0, 1], color="#0072B2")
            ax.text(0.2, 0.2, "on a dark cell", color="white")
            ax.text(0.2, 0.4, "warning", color="#D55E00")
            return "A line."

        svg = chart_svg(draw, "one")
        text = ElementTree.tostring(svg, encoding="unicode")
        assert svg.get("aria-label") == "A line."
        assert "var(--chart-blue)" in text
        letters = {"".join(node.itertext()): node.get("style", "") for node in svg.iter("text")}
        assert "fill: #ffffff" in letters["on a dark cell"]
        assert "var(--chart-text-red)" in letters["warning"]
        assert "var(--chart-text)" in letters["0.2"]
        assert "metadata" not in text
        assert "<style" not in text

    @pytest.mark.parametrize(("page_colour", "place"), [("#ffffff", 1), ("#16181c", 2)])
    def test_letters_can_be_read_on_light_and_on_dark(self, page_colour, place) -> None:
        """At least 4.5 : 1, as WCAG asks for."""
        assert all(contrast(colours[place], page_colour) >= 4.5 for colours in TEXTS.values())

    def test_lines_can_be_seen_on_dark(self) -> None:
        lines = ("ink", "muted", "blue", "orange", "green", "red", "pink", "sky", "brown")
        assert all(contrast(dark, "#16181c") >= 3 for name, dark in SHAPES.values() if name in lines)


def contrast(one: str, other: str) -> float:
    def light(color: str) -> float:
        parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_texts_are_escaped_wherever_they_stand() -> None:
    made = element("p", "a < b & c", element("i", HOSTILE), title='"><script>')
    parsed = html5lib.parseFragment(page_text(made), namespaceHTMLElements=False)[0]
    assert [node.tag for node in parsed.iter()] == ["p", "i"]
    assert words(parsed).endswith(" ".join(HOSTILE.split()))
    assert parsed.get("title") == '"><script>'


def test_a_sensitivity_is_told_instead_of_a_screening() -> None:
    run = hostile_run()
    frame = pd.DataFrame(
        {
            "assumption": ["policy", "patches"],
            "title": ["how the guest picks free clusters (guest.policy)", "size of patches (storms.patch_factor)"],
            "measure": ["look", "weigh"],
            "simulated": True,
            **{f"{name}{end}": [0.8, 0.1] for name in ("first", "total") for end in ("", "_low", "_high")},
            "rest": [0.0, 0.9],
            **{"lower": ["best-fit", "x 0.67"], "higher": ["fresh-first", "x 1.5"]},
            **{
                "at_lower": [1.0 * GIB, 2.0 * GIB],
                "at_higher": [5.0 * GIB, 3.0 * GIB],
                "swing": [4.0 * GIB, 1.0 * GIB],
            },
        }
    )
    frame.attrs |= {"caption": "Two.", "figure": "delta", "title": "mean size", "unit": "B", "usual": 2.5 * GIB}
    found = Sensitivity(
        *(frame, "delta", "mean size", "B", 2.5 * GIB, (GIB, 2.0 * GIB, 5.0 * GIB)),
        *(None, 0.0, 1.0, "Two.", run.scenario, 3, None, None),  # type: ignore[arg-type]
    )
    text = words(html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(report_html(run, ranking=found)))
    assert "80 % of the variance" in text
    assert "A screening" not in text


class TestRefusals:
    def test_a_ranking_of_another_scenario(self) -> None:
        other = Sensitivity(*(None,) * 9, "Other.", small(pool={"clones": 4}), 0, None, None)  # type: ignore[arg-type]
        with pytest.raises(
            ParameterError, match=r"ranking='Other\.': it is of another scenario\. Ask about the run's own\."
        ):
            report_html(hostile_run(), ranking=other)

    @pytest.mark.parametrize("bad", ["some", 3, pd.DataFrame({"a": [1]})])
    def test_what_is_no_ranking(self, bad) -> None:
        with pytest.raises(ParameterError, match="a Sensitivity, a frame of `screen`, 'screening' or 'none' is needed"):
            report_html(hostile_run(), ranking=bad)

    def test_a_folder_in_place_of_a_file(self, tmp_path) -> None:
        with pytest.raises(
            ParameterError, match=r"report='.*': a file is needed, this is a folder\. Write .*report\.html\."
        ):
            write_report(hostile_run(), tmp_path)


class TestCommand:
    SMALL = ("run", "windows-xp-office", "--set", "pool.clones=3", "--set", "pool.days=2", "--set", "pool.name=a b")

    def test_a_report_is_written_and_says_how(self, tmp_path, capsys) -> None:
        file = tmp_path / "deep" / "pool.html"
        argv = [*self.SMALL, "--band", "2", "--seed", "5", "--processes", "1", "--report", str(file)]
        assert cli.main(argv) == 0
        assert "pool.html" in capsys.readouterr().err
        text = file.read_text(encoding="utf-8")
        command = "clonesim run windows-xp-office --set pool.clones=3 --set pool.days=2 --set 'pool.name=a b' --seed 5"
        assert f"{command} --band 2 --report pool.html" in text
        assert str(tmp_path) not in text

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (
                ["--trace", "packaged"],
                "a report is of a simulated pool, not of a trace. Leave out --trace, or write charts",
            ),
            ([], "a file is needed, this is a folder. Write"),
        ],
    )
    def test_refused_before_anything_runs(self, argv, message, tmp_path, capsys) -> None:
        assert cli.main(["run", *argv, "--report", str(tmp_path)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err
        assert "Traceback" not in err

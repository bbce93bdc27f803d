"""What must not happen with hostile input: code run from it, files written elsewhere, markup taken for our own."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from clonesim.errors import ClonesimError, ImageError, ParameterError, ScenarioError
from clonesim.files import file_name
from clonesim.ingest import read_image, read_inventory, read_listing
from clonesim.ingest.toml_text import TomlError, toml_of
from clonesim.scenario import load_scenario

PACKAGE = ROOT / "clonesim"
MODULES = sorted(PACKAGE.rglob("*.py"))
FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "dbm", "yaml", "ruamel", "jsonpickle"),
    *("code", "codeop", "runpy", "pty", "ctypes", "telnetlib", "ftplib", "xmlrpc"),
}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "input"),
    *("os.system", "os.popen", "os.execv", "os.execvp", "os.spawnl", "os.spawnv", "os.startfile"),
    *("pd.read_pickle", "pandas.read_pickle", "pd.read_hdf", "pd.read_html", "pd.read_xml", "pd.eval", "pandas.eval"),
    *("shutil.unpack_archive", "tarfile.open", "np.fromregex", "numpy.fromregex"),
}
FORBIDDEN_METHODS = {"to_pickle", "read_pickle", "extractall", "extract_to", "set_npy_pickle"}
NUMPY_LOADS = {"np.load", "numpy.load", "np.lib.format.read_array", "np.save", "np.lib.format.write_array"}
COMMANDS = {"subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_output", "subprocess.check_call"}
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
ALLOWED_EVALUATIONS: dict[str, set[str]] = {}  # module -> calls that were looked at and are no danger


def dotted(node: ast.expr) -> str:
    """Name of what is called, such as np.load; empty if it is no name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def keyword(call: ast.Call, name: str) -> object:
    """Constant given for a keyword; the word absent if it is not given."""
    for one in call.keywords:
        if one.arg == name:
            return one.value.value if isinstance(one.value, ast.Constant) else "computed"
    return "absent"


def dangers(tree: ast.AST) -> list[str]:
    """What a module does that could run what a user's file says, with its line."""
    found = []
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"{line}: imports {name}" for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in FORBIDDEN_CALLS:
            found.append(f"{line}: calls {name}")
        if isinstance(node.func, ast.Attribute) and node.func.attr in FORBIDDEN_METHODS:
            found.append(f"{line}: calls .{node.func.attr}")
        if name in NUMPY_LOADS and keyword(node, "allow_pickle") is not False:
            found.append(f"{line}: {name} without allow_pickle=False")
        if name in COMMANDS and keyword(node, "shell") not in ("absent", False):
            found.append(f"{line}: {name} with a shell")
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("eval", "query") and "re." not in name:
            found.append(f"{line}: evaluates an expression with .{node.func.attr}")
    return found


class TestNoCodeFromData:
    @pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
    def test_no_module_runs_what_a_file_says(self, path: Path) -> None:
        allowed = ALLOWED_EVALUATIONS.get(path.relative_to(PACKAGE).as_posix(), set())
        found = [one for one in dangers(ast.parse(path.read_text("utf-8"))) if one.split(": ")[1] not in allowed]
        assert not found, f"{path}: {found}"

    @pytest.mark.parametrize(
        "text",
        [
            "import pickle",
            "from yaml import load",
            "import shelve as s",
            "x = eval(text)",
            "exec(open(p).read())",
            "np.load(path)",
            "np.load(path, allow_pickle=True)",
            "np.load(path, allow_pickle=asked)",
            "pd.read_pickle(path)",
            "frame.to_pickle(path)",
            "subprocess.run(line, shell=True)",
            "subprocess.Popen(line, shell=asked)",
            "os.system(line)",
            "archive.extractall(folder)",
            "frame.query(text)",
        ],
    )
    def test_the_search_finds_it(self, text: str) -> None:
        assert dangers(ast.parse(text))

    def test_the_search_leaves_the_rest_alone(self) -> None:
        text = "np.load(path, allow_pickle=False)\nre.compile(x)\nsubprocess.run([a, b])\nevaluate(x)\nimport json"
        assert not dangers(ast.parse(text))

    def test_only_what_must_starts_programs(self) -> None:
        users = {path.relative_to(PACKAGE).as_posix() for path in MODULES if "subprocess" in path.read_text("utf-8")}
        assert not users, f"new users of subprocess: {users}; say here which arguments they take from users"


WAYS_OUT = (
    *("../up", "..", ".", "/etc/passwd", "a/b", "a\\b", "C:\\x", "c:x", "a\0b", "a\nb", ".hidden", "-rf", "~", "$HOME"),
    *("con", "NUL", "com1.txt", "ends.", "a b", "ü", "", "x" * 101, "a:b", "a*", "%2e%2e"),
)


class TestNamesOfFiles:
    @pytest.mark.parametrize("name", WAYS_OUT)
    def test_a_name_that_leads_elsewhere_is_refused(self, name: str) -> None:
        with pytest.raises(
            ParameterError, match=r"pools\[0\]\.name=.*: it becomes a file's name: .* Write for example"
        ):
            file_name(name, "pools[0].name")

    @pytest.mark.parametrize("name", ["a", "office-berlin", "Pool_1.v2", "0", "_x", "console", "x" * 100])
    def test_plain_names_are_taken(self, name: str) -> None:
        assert file_name(name, "name") == name

    @pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "..\\evil"])
    def test_a_pool_s_name_names_no_file(self, name: str, tmp_path: Path) -> None:
        """Tables, charts and the report have fixed names; a scenario's names stand in them as text only."""
        from clonesim.plots import save_run_pool
        from clonesim.pool import simulate
        from clonesim.report import write_report

        inside = tmp_path / "deep" / "out"
        scenario = load_scenario("windows-7-office", pool={"name": name, "clones": 2, "days": 1})
        run = simulate(scenario, seed=1, processes=1)
        run.save(inside, "csv")
        if name == "../../evil":  # charts and the report take a second each: one name stands for all
            save_run_pool(run, inside)
            write_report(run, inside / "report.html", ranking="none")
        written = {path.relative_to(tmp_path).parent.as_posix() for path in tmp_path.rglob("*") if path.is_file()}
        assert written == {"deep/out"}
        assert all(re.fullmatch(r"[\w-]+\.(csv|json|png|html)", path.name) for path in inside.iterdir())

    def test_charts_and_tables_are_named_by_the_program(self) -> None:
        """Names put together at run time are known: a new one must be looked at."""
        built = set()
        for path in MODULES:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if (
                    isinstance(node, ast.BinOp)
                    and isinstance(node.op, ast.Div)
                    and isinstance(node.right, ast.JoinedStr)
                ):
                    built.add(f"{path.relative_to(PACKAGE).as_posix()}: {ast.unparse(node.right)}")
        assert built == KNOWN_NAMES, "say where the name comes from, then add it"


KNOWN_NAMES = {
    "app/pools.py: f'pools-{__version__}'",
    "app/pools.py: f'{key}.npz'",  # a hash
    "planning/kept_rows.py: f'{_digest({**self._key, **scenarios})}.json'",  # a hash
    "plots/locks.py: f'lock_map_{locking}.png'",  # of LOCKINGS
    "plots/sensitivity.py: f'sensitivity-{found.figure}.png'",  # of FIGURES
    "plots/sensitivity.py: f'sensitivity-{found.figure}-shares.png'",
}


class TestArchives:
    @pytest.mark.parametrize(
        "member", ["../../tabvInfo.csv", "/abs/tabvInfo.csv", "..\\tabvInfo.csv", "a/../../tabvInfo.csv"]
    )
    def test_members_of_a_zip_are_read_in_memory(self, member: str, tmp_path: Path) -> None:
        place = tmp_path / "deep" / "er"
        place.mkdir(parents=True)
        with zipfile.ZipFile(place / "a.zip", "w") as archive:
            archive.writestr(member, "VM,Powerstate,Template,CPUs,Memory\na,poweredOn,False,1,1024\n")
        with zipfile.ZipFile(place / "a.zip") as archive:
            assert archive.namelist() == [member.replace("\\", "/") if os.sep == "\\" else member]
        found = read_inventory(place / "a.zip")
        assert list(found.vms["vm"]) == ["a"]
        assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [
            "deep/er/a.zip"
        ]

    def test_a_link_in_a_zip_is_not_followed(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret.csv"
        secret.write_text("VM,Powerstate,Template,CPUs,Memory\nsecret,poweredOn,False,1,1024\n")
        link = zipfile.ZipInfo("link.csv")
        link.external_attr = 0o120777 << 16
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(link, str(secret))
        with pytest.raises(ClonesimError) as caught:
            read_inventory(tmp_path / "a.zip")
        assert "poweredOn" not in str(caught.value)


class TestFilesThatNameOthers:
    @pytest.mark.parametrize("name", ["../secret.img", "/etc/passwd", "a/../../secret.img", "..", "x\0y"])
    def test_an_extent_outside_its_folder_is_refused(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "secret.img").write_bytes(bytes(1 << 20))
        folder = tmp_path / "disk"
        folder.mkdir()
        text = f'# Disk DescriptorFile\nCID=aaaaaaaa\nparentCID=ffffffff\nRW 2048 FLAT "{name}" 0\n'
        (folder / "disk.vmdk").write_text(text)
        with pytest.raises(ImageError, match=r"would lie outside its folder\. Copy all files|type FLAT and file ''"):
            read_image(folder / "disk.vmdk")

    def test_an_extent_below_its_folder_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "parts").mkdir()
        (tmp_path / "parts" / "a.img").write_bytes(bytes(510) + b"\x55\xaa" + bytes(2**20 - 512))
        text = '# Disk DescriptorFile\nCID=aaaaaaaa\nparentCID=ffffffff\nRW 2048 FLAT "./parts/../parts/a.img" 0\n'
        (tmp_path / "disk.vmdk").write_text(text)
        assert read_image(tmp_path / "disk.vmdk").capacity == 2**20

    @pytest.mark.parametrize("bitmap", ["/dev/zero", "/etc", "missing.bin"])
    def test_a_bitmap_that_is_no_file_is_refused(self, bitmap: str) -> None:
        with pytest.raises(ClonesimError):
            load_scenario("windows-7-office", guest={"start": {"bitmap": bitmap}})


class TestDeepAndLong:
    """What a parser of text may trip over: a message, not a traceback."""

    @pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "[" * 5000 + "]" * 5000, "a = " + "{b=" * 3000])
    def test_nesting_of_toml(self, text: str, tmp_path: Path) -> None:
        with pytest.raises(TomlError, match="nested too deep"):
            toml_of(text)
        (tmp_path / "deep.toml").write_text(text)
        with pytest.raises(ScenarioError, match=r"its values are nested too deep\. `clonesim init`"):
            load_scenario(tmp_path / "deep.toml")

    def test_numbers_of_thousands_of_digits(self, tmp_path: Path) -> None:
        (tmp_path / "long.toml").write_text(f"[pool]\nclones = {'9' * 5000}\n")
        with pytest.raises(ScenarioError, match="it is not TOML: Exceeds the limit"):
            load_scenario(tmp_path / "long.toml")

    @pytest.mark.parametrize("value", ["[" * 5000, "9" * 5000, "{a=" * 2000])
    def test_overrides(self, value: str) -> None:
        with pytest.raises(ScenarioError, match=r"pool\.clones"):
            load_scenario("windows-7-office", set=[f"pool.clones={value}"])

    def test_nesting_of_json(self, tmp_path: Path) -> None:
        (tmp_path / "deep.json").write_text("[" * 100_000)
        with pytest.raises(ClonesimError, match="no JSON that can be read"):
            read_listing(tmp_path / "deep.json")


class TestMarkup:
    """Text becomes HTML in one way: by `report.tree.element`, which escapes (test_report.py, test_app.py)."""

    def test_no_module_puts_tags_into_texts(self) -> None:
        tag = re.compile(r"<(/?[a-z][a-z0-9]*\b[^<>]*|!doctype[^>]*)>", re.IGNORECASE)
        makers = {"report/tree.py", "app/page.html"}
        found = []
        for path in MODULES:
            name = path.relative_to(PACKAGE).as_posix()
            if name in makers or not name.startswith(("report/", "app/", "console/", "plots/")):
                continue
            module = ast.parse(path.read_text("utf-8"))
            prose = {ast.get_docstring(node, clean=False) for node in ast.walk(module) if isinstance(node, DOCUMENTED)}
            texts = [node.value for node in ast.walk(module) if isinstance(node, ast.Constant)]
            found += [
                f"{name}: {hit[0]}"
                for text in texts
                if isinstance(text, str) and text not in prose and (hit := tag.search(text))
            ]
        assert [one for one in found if not one.endswith("<colorbar>")] == []

    def test_what_jupyter_shows_is_known(self) -> None:
        """A new _repr_html_ must be escaped, and tested with the name in report_tools.HOSTILE."""
        found = [
            path for path in MODULES if re.search(r"_repr_(html|svg|javascript|mimebundle)_", path.read_text("utf-8"))
        ]
        assert found == []

    def test_pandas_escapes_names_in_frames(self) -> None:
        import pandas as pd
        from report_tools import HOSTILE

        text = pd.DataFrame({"clone": [HOSTILE], HOSTILE: [1]})._repr_html_()
        assert "<script>" not in text
        assert "&lt;script&gt;" in text

    def test_the_page_s_template_escapes(self) -> None:
        text = (PACKAGE / "app" / "page.html").read_text("utf-8")
        assert "|safe" not in text.replace(" ", "")
        assert set(re.findall(r"{{(.*?)}}", text)) <= {" embed(roots.page) ", " sliders | tojson "}

    def test_names_from_files_cannot_steer_the_terminal(self, tmp_path: Path, capsys) -> None:
        from clonesim.cli import main

        path = tmp_path / "sizes.csv"
        name = "\x1b]0;owned\x07\x1b[2J[/red][bold]x"
        path.write_text(
            "clone,date,bytes\n" + "".join(f'"{name}",2026-01-{day:02d},{day}000000\n' for day in range(1, 9))
        )
        code = main(["fit", str(path), "--days", "7"])
        shown = capsys.readouterr()
        assert code == 0, shown.err
        assert "\x1b" not in shown.out + shown.err
        assert "\x07" not in shown.out + shown.err


def interpreters() -> list[tuple[str, str | None]]:
    """Pythons that the project is for: each with its path, or None where it is absent."""
    import shutil

    found = []
    for version in ("3.11", "3.12", "3.13"):
        if sys.version.startswith(f"{version}."):
            found.append((version, sys.executable))
            continue
        path = os.environ.get(f"CLONESIM_PYTHON{version.replace('.', '')}") or shutil.which(f"python{version}")
        found.append((version, path))
    return found


class TestWarnings:
    @pytest.mark.parametrize(("version", "python"), interpreters(), ids=lambda one: str(one)[:4])
    def test_importing_warns_of_nothing(self, version: str, python: str | None) -> None:
        """Set CLONESIM_PYTHON312 to the python of an environment with the dependencies to have it looked at."""
        if python is None:
            pytest.skip(f"python{version} is absent")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([python, *words], cwd=ROOT, env=clean, capture_output=True, text=True, timeout=300)

        needed = "import numba, numpy, pandas, pyarrow, pydantic, scipy, typer, rich, lazy_loader, matplotlib"
        if python != sys.executable and (done := run("-c", needed)).returncode:
            pytest.skip(f"python{version} has not all dependencies: {done.stderr.strip().splitlines()[-1]}")
        every = "import clonesim; [getattr(clonesim, name) for name in clonesim.__all__]; import clonesim.cli"
        for code in ("import clonesim", every):
            done = run("-W", "error", "-c", code)
            assert done.returncode == 0, done.stderr[-2000:]
            assert not done.stderr

    @pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["catalog"]])
    def test_the_command_warns_of_nothing(self, words: list[str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "clonesim", *words],
            env=os.environ | {"PYTHONWARNINGS": "error"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert not done.stderr

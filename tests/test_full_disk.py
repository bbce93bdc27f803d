"""A full disk: every writer ends with an error that names the file and a remedy, and leaves no half file."""

from __future__ import annotations

import ast
import errno
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from clonesim.cli import main
from clonesim.errors import ClonesimError, ParameterError, WriteError
from clonesim.files import make_folder, write_csv, write_error, write_new, write_text, write_whole
from clonesim.scenario import load_scenario

PACKAGE = ROOT / "clonesim"
ROOM = 64  # bytes that a file may have where the disk is full
pytestmark = pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs limits of a file's size")


@contextmanager
def full_disk(room: int = ROOM) -> Iterator[None]:
    """No file of this process may become longer than `room` bytes: writing more fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def frame() -> pd.DataFrame:
    return pd.DataFrame({"day": np.arange(100), "bytes": np.arange(100) * 1000})


Writer = Callable[[Path], object]
WRITERS: dict[str, Writer] = {}


def writer(made: Writer) -> Writer:
    WRITERS[made.__name__] = made
    return made


@writer
def text(folder: Path) -> object:
    return write_text(folder / "a.txt", "x" * 1000)


@writer
def table(folder: Path) -> object:
    return write_csv(folder / "a.csv", frame())


@writer
def new_file(folder: Path) -> object:
    return write_new(folder / "a.txt", "x" * 1000)


@writer
def chart(folder: Path) -> object:
    from clonesim.plots.chart import save_figure

    return save_figure(lambda figure: figure.add_subplot().plot([1, 2]), folder / "a.png")


@writer
def pool_s_tables(folder: Path) -> object:
    from clonesim.pool.run_files import save_run

    return save_run(folder, "csv", {"growth": frame()}, {}, {})


@writer
def pool_s_parquet(folder: Path) -> object:
    from clonesim.pool.run_files import save_run

    return save_run(folder, "parquet", {"growth": frame()}, {}, {})


@writer
def report(folder: Path) -> object:
    from clonesim.report import page

    old, page.report_html = page.report_html, lambda *_, **__: "<p>" * 1000
    try:
        return page.write_report(None, folder / "report.html")  # type: ignore[arg-type]
    finally:
        page.report_html = old


@writer
def placement_table(folder: Path) -> object:
    from clonesim.planning.emit import assignments, emit_csv

    return emit_csv(assignments(load_scenario("windows-7-office", pool={"clones": 50}), 10), folder / "a.csv")


@writer
def placement_script(folder: Path) -> object:
    from clonesim.planning.emit import assignments, emit_powercli

    return emit_powercli(assignments(load_scenario("windows-7-office", pool={"clones": 50}), 10), folder / "a.ps1")


@writer
def collecting_script(folder: Path) -> object:
    from clonesim.planning.collect_script import write_collect_script

    return write_collect_script(folder, "view")


@writer
def probe_script(folder: Path) -> object:
    from clonesim.planning.probe_script import write_probe_script

    return write_probe_script(folder / "probe.ps1")


@writer
def kept_rows(folder: Path) -> object:
    from clonesim.planning.kept_rows import Shelf

    told = SimpleNamespace(text=lambda: "x" * 1000)
    scenario = SimpleNamespace(to_dict=dict)
    return Shelf(folder, 1, 1, 1).put(SimpleNamespace(small=scenario, asked=scenario), told)  # type: ignore[arg-type]


@writer
def bitmap(folder: Path) -> object:
    from clonesim.ingest.images import Image

    image = SimpleNamespace(volume=SimpleNamespace(bits=np.zeros(1000, np.uint8)), chain=())
    return Image.save_bitmap(image, folder / "bitmap.bin")  # type: ignore[arg-type]


@writer
def forecast(folder: Path) -> object:
    from clonesim.plots import forecast as plots

    old, plots.save_chart = plots.save_chart, lambda plot, frame, path: path
    try:
        return plots.save_backtest(SimpleNamespace(frame=frame(), scores=frame()), folder)  # type: ignore[arg-type]
    finally:
        plots.save_chart = old


@writer
def packaged_pool(folder: Path) -> object:
    from clonesim.planning.planned_pool import _write

    rng = np.random.default_rng(0)
    return write_whole(folder / "a.npz", lambda part: _write(part, {"a": rng.integers(0, 2**60, 1000)}))


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_and_leaves_no_half_file(name: str, tmp_path: Path) -> None:
    WRITERS[name](make_folder(tmp_path / "warm"))  # imports what it needs, whose caches are no part of this
    folder = make_folder(tmp_path / "out")
    with full_disk(), pytest.raises(ClonesimError) as caught:
        WRITERS[name](folder)
    told = str(caught.value)
    assert str(folder) in told
    assert "command again" in told, told
    assert "ulimit -f" in told or "room" in told, told
    assert files_in(folder) == {}
    WRITERS[name](folder)  # with room again
    assert files_in(folder)


@pytest.mark.parametrize("name", ["text", "table", "chart", "placement_table", "bitmap", "packaged_pool"])
def test_what_was_there_stays(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    before = files_in(tmp_path)
    (path,) = before
    (tmp_path / path).write_bytes(b"old")
    with full_disk(), pytest.raises(ClonesimError):
        WRITERS[name](tmp_path)
    assert files_in(tmp_path) == {path: b"old"}


def test_a_cache_that_cannot_be_kept_is_no_error(tmp_path: Path) -> None:
    """The planner page goes on with a pool that it cannot keep."""
    from clonesim.app.pools import Pools

    def refuse(*_: object) -> None:
        raise WriteError(tmp_path / "a.npz", "No space left on device", "Make room.")

    from clonesim.app import pools

    old, pools.save_planned_pool = pools.save_planned_pool, refuse
    try:
        Pools(tmp_path, processes=1)._keep(None, "a")  # type: ignore[arg-type]
    finally:
        pools.save_planned_pool = old


class TestErrors:
    @pytest.mark.parametrize(
        ("number", "words"),
        [
            (
                errno.ENOSPC,
                "a.txt: it cannot be written: No space left on device. Make room, or name a place on another",
            ),
            (errno.EDQUOT, "Make room within your quota, or name a place on another disk. Then give the same command"),
            (errno.EFBIG, "it cannot be written: File too large. Raise the limit on the size of files (ulimit -f), or"),
            (errno.EACCES, "Permission denied. Choose a file in a folder that exists and that you may write to."),
            (errno.EROFS, "Read-only file system. Choose a file in a folder that exists and that you may write to."),
            (errno.ENOENT, "No such file or directory. Make its folder first, or name a file in a folder that exists."),
            (errno.EISDIR, "Is a directory. It is a folder: name a file."),
            (errno.ENAMETOOLONG, "File name too long. Choose a shorter name."),
            (errno.EIO, "Input/output error. Choose a file in a folder"),
        ],
    )
    def test_each_cause_has_its_remedy(self, number: int, words: str) -> None:
        error = write_error("a.txt", OSError(number, os.strerror(number)))
        assert words in str(error)
        assert error.errno == number

    def test_an_error_without_a_number(self) -> None:
        assert "a.txt: it cannot be written: broken. Choose" in str(write_error("a.txt", OSError("broken")))

    def test_it_is_both_kinds_of_error_and_travels(self) -> None:
        error = write_error("a.txt", OSError(errno.ENOSPC, "No space left on device"))
        again = pickle.loads(pickle.dumps(error))
        assert isinstance(again, ClonesimError)
        assert isinstance(again, OSError)
        assert (str(again), again.path) == (str(error), "a.txt")

    def test_places_that_cannot_be(self, tmp_path: Path) -> None:
        for path in (tmp_path / "missing" / "a.txt", tmp_path, tmp_path / ("x" * 300), Path("a\0b"), Path("/")):
            with pytest.raises(WriteError, match="it cannot be written"):
                write_text(path, "x")
        (tmp_path / "file").write_text("x")
        with pytest.raises(ParameterError, match=r"out='.*file/sub': the folder cannot be made .* Name a folder"):
            make_folder(tmp_path / "file" / "sub")
        with pytest.raises(FileExistsError):
            write_new(tmp_path / "file", "y")
        with pytest.raises(WriteError, match="No such file or directory"):
            write_new(tmp_path / "missing" / "a", "y")
        assert files_in(tmp_path) == {"file": b"x"}

    def test_what_else_goes_wrong_leaves_no_half_file_either(self, tmp_path: Path) -> None:
        def broken(part: Path) -> None:
            part.write_text("half")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_whole(tmp_path / "a", broken)
        with pytest.raises(UnicodeEncodeError):
            write_new(tmp_path / "b", "\ud800")
        assert files_in(tmp_path) == {}

    def test_texts_are_written_as_they_are(self, tmp_path: Path) -> None:
        assert write_text(tmp_path / "a", "ä\r\nb\n").read_bytes() == b"\xc3\xa4\r\nb\n"
        assert write_new(tmp_path / "b", "a\nb", newline="\r\n").read_bytes() == b"a\r\nb"


COMMANDS = [
    ["init", "--out", "{}/my.toml"],
    ["collect", "--platform", "view", "--out", "{}"],
    ["probe", "script", "--out", "{}/probe.ps1"],
    ["experiment", "--size", "64 MiB", "--used", "16 MiB", "--file", "4 MiB", "--rounds", "2", "--out", "{}"],
]


@pytest.fixture(scope="module")
def tiny_disk(tmp_path_factory) -> Iterator[Path]:
    """A file system with no room left."""
    folder = tmp_path_factory.mktemp("tiny")
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        with (folder / "filler").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1024))
            except OSError:
                pass
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_commands_on_a_full_file_system(words: list[str], tiny_disk: Path, capsys) -> None:
    code = main([word.format(tiny_disk) for word in words])
    told = capsys.readouterr().err
    assert code == 2, told
    assert "No space left on device" in told
    assert str(tiny_disk) in told
    assert "Make room" in told
    assert "Traceback" not in told
    assert set(files_in(tiny_disk)) == {"filler"}


def test_a_full_disk_behind_stdout_is_no_traceback() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "clonesim", "catalog"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


ALLOWED = {"files.py", "pool/store.py"}
WRITES = {"write_text", "write_bytes", "to_csv", "to_parquet", "savefig", "to_json", "to_html", "tofile", "touch"}


def bare_writes(tree: ast.AST) -> list[int]:
    """Lines that write a file other than inside what `write_whole` is given."""
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "write_whole":
            inside |= {id(one) for argument in node.args for one in ast.walk(argument)}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or id(node) in inside:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = [one.value for one in [*node.args, *(k.value for k in node.keywords)] if isinstance(one, ast.Constant)]
        if name == "open" and any(
            isinstance(mode, str) and set(mode) & set("wxa+") and len(mode) < 4 for mode in modes
        ):
            found.append(node.lineno)
        if (
            isinstance(node.func, ast.Attribute)
            and name in WRITES
            and (node.args or name == "touch")
            and not (name == "savefig" and in_memory(node))
        ):
            found.append(node.lineno)
    return found


def in_memory(call: ast.Call) -> bool:
    """Whether a figure goes to a variable called `file`, a StringIO of report/svg.py."""
    return isinstance(call.args[0], ast.Name) and call.args[0].id == "file"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_module_writes_past_files_py(path: Path) -> None:
    if path.relative_to(PACKAGE).as_posix() not in ALLOWED:
        assert bare_writes(ast.parse(path.read_text("utf-8"))) == []


def test_the_search_finds_writes() -> None:
    for code in (
        "path.write_text(x)",
        "open(p, 'w')",
        "p.open('xb')",
        "p.open(mode='a')",
        "frame.to_csv(path)",
        "figure.savefig(path)",
    ):
        assert bare_writes(ast.parse(code)), code
    for code in ("p.open('rb')", "frame.to_csv(index=False)", "write_whole(p, lambda part: part.write_text(x))"):
        assert not bare_writes(ast.parse(code)), code

"""Wheel and sdist: the same bytes whenever and wherever they are built, and whole."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")

SOURCE = (
    *("clonesim", "data", "tests", "docs", "benchmarks", "notebooks", "tools"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml", ".gitignore"),
)
LEFT_OUT = shutil.ignore_patterns("__pycache__", "_build", ".ipynb_checkpoints", "out")
WHEN = 1_700_000_000  # 2023-11-14T22:13:20Z


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of the source that nobody works on."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def tree(source: Path, folder: Path, mtime: float, mode: int) -> Path:
    """A copy with its own times and rights."""
    shutil.copytree(source, folder)
    for path in folder.rglob("*"):
        os.utime(path, (mtime, mtime))
        if path.is_file():
            path.chmod(mode)
    return folder


def build(source: Path, target: Path, out: Path, **more: str) -> Path:
    """Build a wheel or an sdist without a network."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "HATCH"))}
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)],
        cwd=source,
        env=clean | {"SOURCE_DATE_EPOCH": str(WHEN)} | more,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def first(source, tmp_path_factory) -> dict[str, Path]:
    """Built in one folder."""
    folder = tmp_path_factory.mktemp("first")
    place = tree(source, folder / "clonesim", 1_600_000_000, 0o644)
    more = {"TZ": "UTC", "LANG": "C.UTF-8", "PYTHONHASHSEED": "1"}
    return {target: build(place, target, folder / target, **more) for target in ("wheel", "sdist")}


@pytest.fixture(scope="module")
def second(source, tmp_path_factory) -> dict[str, Path]:
    """Built in another folder, of another name, later, under other rights, in another place of the world."""
    folder = tmp_path_factory.mktemp("second")
    place = tree(source, folder / "deeper" / "other name", 1_750_000_000, 0o600)
    more = {"TZ": "Pacific/Auckland", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "2"}
    return {target: build(place, target, folder / target, **more) for target in ("wheel", "sdist")}


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_two_builds_are_the_same_bytes(target: str, first, second) -> None:
    assert first[target].name == second[target].name
    assert first[target].read_bytes() == second[target].read_bytes()


def test_another_date_is_seen(source, first, tmp_path) -> None:
    """The comparison can fail: the date is the one thing that may change bytes."""
    later = build(source, "wheel", tmp_path / "wheel", SOURCE_DATE_EPOCH=str(WHEN + 86_400))
    assert later.read_bytes() != first["wheel"].read_bytes()


def test_the_sdist_makes_the_same_wheel(first, tmp_path) -> None:
    with tarfile.open(first["sdist"]) as archive:
        archive.extractall(tmp_path, filter="data")
    (place,) = tmp_path.iterdir()
    made = build(place, "wheel", tmp_path / "wheel", TZ="Asia/Tokyo")
    assert made.read_bytes() == first["wheel"].read_bytes()


def test_the_wheel_is_whole(source, first) -> None:
    with zipfile.ZipFile(first["wheel"]) as wheel:
        names = set(wheel.namelist())
        source = {path.relative_to(ROOT).as_posix() for path in (ROOT / "clonesim").rglob("*") if path.is_file()}
        source = {name for name in source if "__pycache__" not in name}
        assert source <= names
        assert {
            f"clonesim/{p.relative_to(ROOT).as_posix()}" for p in (ROOT / "data").rglob("*") if p.is_file()
        } <= names
        others = {name for name in names if not name.startswith(("clonesim/", "clonesim-"))}
        assert not others
        assert not any("__pycache__" in name or name.endswith((".pyc", ".nbi", ".nbc", ".part")) for name in names)
        (record,) = (name for name in names if name.endswith("/RECORD"))
        rows = list(csv.reader(io.StringIO(wheel.read(record).decode())))
        assert {name for name, *_ in rows} == names
        for name, digest, size in rows:
            if digest:
                data = wheel.read(name)
                told = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                assert (digest, int(size)) == (f"sha256={told}", len(data))


def test_times_and_rights_are_told_by_nobody_s_machine(first) -> None:
    with zipfile.ZipFile(first["wheel"]) as wheel:
        assert {one.date_time for one in wheel.infolist()} == {(2023, 11, 14, 22, 13, 20)}
        assert {stat.S_IMODE(one.external_attr >> 16) for one in wheel.infolist()} == {0o644}
    with tarfile.open(first["sdist"]) as sdist:
        assert {one.mtime for one in sdist} == {WHEN}
        assert {(one.uid, one.gid, one.uname, one.gname) for one in sdist} == {(0, 0, "", "")}
        assert all(one.isfile() and not one.name.startswith("/") and ".." not in one.name for one in sdist)


def test_nothing_names_the_folder_it_was_built_in(source, first) -> None:
    words = [
        str(ROOT).encode(),
        str(source).encode(),
        str(first["wheel"].parents[1]).encode(),
        str(Path.home() / ".cache").encode(),
    ]
    with zipfile.ZipFile(first["wheel"]) as wheel:
        for name in wheel.namelist():
            data = wheel.read(name)
            assert not [word for word in words if word in data], name

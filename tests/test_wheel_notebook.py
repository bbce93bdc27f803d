"""The wheel with its extra, in a clean environment outside the repository, runs notebook 01.

Installs from the package index and compiles kernels anew: some five minutes, so only with WHEEL=1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from notebook_tools import NUMBERED

pytestmark = pytest.mark.skipif(
    not os.environ.get("WHEEL"),
    reason="takes minutes and the package index: WHEEL=1 pytest tests/test_wheel_notebook.py",
)


def told(*command: object, folder: Path) -> str:
    """Output of a command that knows nothing of this environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NUMBA", "VIRTUAL"))}
    done = subprocess.run([str(word) for word in command], cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_a_wheel_in_a_clean_environment_runs_notebook_01(tmp_path):
    pip = ("-m", "pip", "--disable-pip-version-check", "--quiet")
    told(sys.executable, *pip, "wheel", "--no-deps", "--wheel-dir", tmp_path / "dist", ROOT, folder=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("clonesim-*.whl")
    told(sys.executable, "-m", "venv", tmp_path / "env", folder=tmp_path)
    python = next(path for name in ("bin/python", "Scripts/python.exe") for path in (tmp_path / "env").glob(name))
    told(python, *pip, "install", "--constraint", ROOT / "constraints.txt", f"{wheel}[notebooks]", folder=tmp_path)
    for name in ("jupyterlab", "ipywidgets"):
        told(python, "-c", f"import {name}", folder=tmp_path)
    place = Path(told(python, "-c", "import clonesim; print(clonesim.__file__)", folder=tmp_path).strip())
    assert place.is_relative_to(tmp_path / "env")
    for path in (NUMBERED["01"], ROOT / "tools" / "run_notebooks.py"):
        shutil.copy(path, tmp_path)
    told(python, "run_notebooks.py", "--check", NUMBERED["01"].name, folder=tmp_path)  # says what is stored

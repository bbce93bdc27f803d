"""JupyterLab itself opens notebook 01 in a real browser, runs it, and its slider draws anew.

Needs JupyterLab and selenium, and Debian's packages chromium and chromium-driver. Takes a minute. With
SCREENSHOTS=folder a screenshot stays there.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_tools import NEEDS_CHROMIUM, chromium
from notebook_tools import NUMBERED, TOOL, book_of, nbformat

pytest.importorskip("jupyterlab", reason="JupyterLab is missing: pip install 'clonesim[notebooks]'")
pytest.importorskip("ipywidgets", reason="ipywidgets is missing: pip install 'clonesim[notebooks]'")
pytestmark = NEEDS_CHROMIUM
SECONDS = 300
BOOK = "const book = window.jupyterapp.shell.currentWidget;"
OUTPUTS = BOOK + "return [...book.content.model.cells].map(cell => cell.type === 'code' ? cell.outputs.toJSON() : []);"
READY = "const book = window.jupyterapp?.shell?.currentWidget; return book?.sessionContext?.session?.kernel?.status"
SLIDER = BOOK + "book.content.scrollToItem(arguments[0], 'center')"


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[str]:
    """Address of notebook 01 in a JupyterLab that knows nothing of the user's settings."""
    home = tmp_path_factory.mktemp("lab")
    book = book_of(NUMBERED["01"])
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    (home / "files").mkdir()
    nbformat.write(book, home / "files" / "01.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex()
    options = {
        "--ServerApp.ip": "127.0.0.1",
        "--ServerApp.port": port,
        "--ServerApp.root_dir": home / "files",
        "--ServerApp.allow_root": True,
        "--IdentityProvider.token": token,
        "--LabApp.expose_app_in_browser": True,
        "--LabApp.news_url": None,
        "--LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")
    own = {name: str(home / name.lower()) for name in (*folders, "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")}
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", *(f"{key}={value}" for key, value in options.items())],
            env=os.environ | own,
            stdout=log,
            stderr=log,
        )
        try:
            until(lambda: answers(port) or server.poll() is not None, "JupyterLab to start")
            assert server.poll() is None, (home / "log").read_text()[-3000:]
            yield f"http://127.0.0.1:{port}/lab/tree/01.ipynb?token={token}"
        finally:
            server.terminate()
            server.wait(60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium("--window-size=1440,1000", logs=False) as driver:
        yield driver


def answers(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def until(found: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """What is found, once it is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.5)
    pytest.fail(f"waited {seconds:.0f} s for {what}")


def test_jupyterlab_opens_and_runs_notebook_01(lab, browser) -> None:
    browser.get(lab)
    until(lambda: browser.execute_script(READY) == "idle", "the kernel")
    browser.execute_script("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    until(lambda: browser.execute_script(OUTPUTS)[-1], "the answer")
    outputs = browser.execute_script(OUTPUTS)
    assert not [one for cell in outputs for one in cell if one["output_type"] == "error" or one.get("name") == "stderr"]
    stored = book_of(NUMBERED["01"])
    assert "".join(outputs[-1][0]["data"]["text/markdown"]) == TOOL.texts(stored)[-1]

    slider = next(number for number, cell in enumerate(stored.cells) if "@interact" in cell.source)
    browser.execute_script(SLIDER, slider)
    chosen = ".widget-dropdown select"
    picture = f".jp-Cell:has({chosen}) img"
    select = until(lambda: browser.find_elements("css selector", chosen), "the choice of policies")[0]
    before = until(lambda: browser.find_elements("css selector", picture), "its picture")[0].get_attribute("src")
    select.find_element("xpath", "./option[text()='fresh-first']").click()

    def drawn_anew() -> bool:
        shown = browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map(one => one.src)", picture
        )
        return bool(shown) and shown[0] != before

    until(drawn_anew, "another picture")
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(Path(folder) / "lab.png"))

"""What the tests in a real browser share: Debian's chromium, driven without a window.

With SCREENSHOTS=folder the pictures that `kept` gets stay in that folder.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDS_CHROMIUM = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no chromium: apt-get install chromium chromium-driver"
)
SCRIPT_S = 240  # for a script in the page, on a busy machine
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


@contextmanager
def chromium(*arguments: str, logs: bool = True) -> Iterator[Any]:
    """A browser, closed in the end; with `logs` it keeps what its console and its network say."""
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*ARGUMENTS, *arguments):
        options.add_argument(argument)
    if logs:
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(SCRIPT_S)
    try:
        yield driver
    finally:
        driver.quit()


def scheme(driver: Any, name: str) -> None:
    """Pages are shown as readers who prefer "light" or "dark" see them."""
    features = [{"name": "prefers-color-scheme", "value": name}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})


def kept(name: str, data: bytes) -> None:
    """Keep a picture or a PDF, if a folder was given."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).write_bytes(data)


def axe_findings(driver: Any) -> list[str]:
    """What axe-core finds on the page: impact, rule and the first element of each finding."""
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    driver.execute_script((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    assert len(found["passes"]) > 20, "axe-core has looked at the page"
    return [f"{one['impact']}: {one['id']}: {one['nodes'][0]['html'][:120]}" for one in found["violations"]]


def serious(findings: list[str]) -> list[str]:
    """Those of the findings that keep readers out."""
    return [text for text in findings if text.startswith(("serious", "critical"))]

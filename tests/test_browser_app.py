"""The planner page in a real browser: a slider moves and charts change, files can be had; both widths, light and dark.

Needs Debian's packages chromium and chromium-driver, and from PyPI panel, selenium and axe-core-python. With
SCREENSHOTS=folder the screenshots stay there.
"""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from browser_tools import NEEDS_CHROMIUM, axe_findings, chromium, kept, scheme, serious
from conftest import ROOT

pytest.importorskip("panel", reason="panel is not installed: pip install clonesim[app]")
pytestmark = NEEDS_CHROMIUM
CHARTS = {"chart-growth", "chart-fill", "chart-waits", "chart-cost"}
START_S, ANSWER_S = 120.0, 60.0  # on a busy machine; docs/app.md has the times of an idle one
# Widgets and panes lie in shadow roots: walk through all of them.
WALK = """
const found = [];
(function walk(root) {
  for (const one of root.querySelectorAll('*')) {
    if (one.matches(arguments_[0])) found.push(one);
    if (one.shadowRoot) walk(one.shadowRoot);
  }
})(document);
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("app")
    log = folder / "log"
    command = [sys.executable, "-m", "clonesim", "app", "--no-open", "--port", str(port), "--pools", str(folder)]
    with log.open("w") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, cwd=ROOT, start_new_session=True)
    address = f"http://127.0.0.1:{port}/"
    end = time.monotonic() + START_S
    try:
        while True:
            with suppress(OSError):
                urllib.request.urlopen(address, timeout=START_S).read(1)
                break
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture(scope="module")
def downloads(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads) -> Iterator[Any]:
    with chromium("--hide-scrollbars") as driver:
        driver.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
        yield driver


def all_of(browser: Any, selector: str) -> list[Any]:
    script = WALK.replace("arguments_[0]", json.dumps(selector)) + "return found;"
    return list(browser.execute_script(script))


def shown(browser: Any) -> dict[str, str]:
    script = WALK.replace("arguments_[0]", "'svg.drawing'")
    script += "return Object.fromEntries(found.map(one => [one.id, one.getAttribute('aria-label')]));"
    return dict(browser.execute_script(script))


def words(browser: Any) -> str:
    return " ".join(one.text for one in all_of(browser, "ul#words"))


def wait(what: Any, message: str) -> Any:
    end = time.monotonic() + ANSWER_S
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError(message)


def opened(browser: Any, url: str, width: int, preferred: str = "light") -> None:
    scheme(browser, preferred)
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(url)
    wait(lambda: set(shown(browser)) == CHARTS, "the charts did not come")


def photographed(browser: Any, name: str) -> None:
    high = browser.execute_script("return document.documentElement.scrollHeight")
    width = browser.execute_script("return document.documentElement.clientWidth")
    size = {"width": width, "height": high, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    kept(f"{name}.png", browser.get_screenshot_as_png())


def asked_for(browser: Any) -> list[str]:
    events = [json.loads(one["message"])["message"] for one in browser.get_log("performance")]
    urls = (one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent")
    return [one for one in urls if not one.startswith(("data:", "blob:"))]


@pytest.mark.parametrize("width", [1440, 390])
def test_a_slider_moves_and_the_charts_change(browser, url, width):
    from selenium.webdriver.common.keys import Keys

    opened(browser, url, width)
    before, told = shown(browser), words(browser)
    assert "A LUN of 32 clones" in before["chart-fill"]
    (handle,) = all_of(browser, ".noUi-handle")
    handle.send_keys(Keys.ARROW_RIGHT)
    wait(lambda: "A LUN of 48 clones" in shown(browser).get("chart-fill", ""), "the chart did not change")
    wait(lambda: "with 48 clones" in shown(browser)["chart-waits"], "the other chart did not change")
    wait(lambda: shown(browser)["chart-cost"] != before["chart-cost"], "the price did not change")
    assert shown(browser)["chart-growth"] == before["chart-growth"]
    assert words(browser) != told
    assert "500 desktops, 48 to a LUN: 11 LUNs" in words(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), "wider than the screen"
    photographed(browser, f"app-{width}-light")
    errors = [one for one in browser.get_log("browser") if one["level"] == "SEVERE"]
    assert not errors
    outside = [one for one in asked_for(browser) if not one.startswith(url) and not one.startswith("ws://127.0.0.1")]
    assert not outside


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("preferred", ["light", "dark"])
def test_axe_finds_nothing_serious_and_letters_stand_out(browser, url, width, preferred):
    opened(browser, url, width, preferred)
    (handle,) = wait(lambda: all_of(browser, ".noUi-handle[aria-label]"), "the slider's handle has no name")
    assert handle.get_attribute("aria-label") == "Clones on a LUN"
    wait(lambda: handle.get_attribute("aria-valuetext") == "32", "the slider tells another value")
    photographed(browser, f"app-{width}-{preferred}")
    assert serious(axe_findings(browser)) == []
    look = "const style = getComputedStyle(arguments[0]); return [style.color, style.fill, style.backgroundColor]"
    page = browser.execute_script(look, all_of(browser, "body")[0])[2]
    assert (luminance(page) < 0.05) == (preferred == "dark")
    for selector in ("h1", "dt", "dd", "p.note", "ul#words", "a.file", "select"):
        color, _, ground = browser.execute_script(look, all_of(browser, selector)[0])
        ground = page if ground == "rgba(0, 0, 0, 0)" else ground
        assert contrast(color, ground) >= 4.5, (selector, color, ground)
    for text in all_of(browser, "svg.drawing text")[::10]:
        assert contrast(browser.execute_script(look, text)[1], page) >= 4.5


def luminance(color: str) -> float:
    """Relative luminance of a colour such as "rgb(1, 2, 3)", as WCAG 2 defines it."""
    shares = [int(one) / 255 for one in re.findall(r"\d+", color)[:3]]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_another_strategy_makes_another_pool(browser, url):
    from selenium.webdriver.support.select import Select

    opened(browser, url, 1440)
    before = shown(browser)
    picked = next(one for one in all_of(browser, "select") if "Refresh at each logoff" in one.text)
    Select(picked).select_by_visible_text("Refresh at each logoff")
    wait(lambda: shown(browser).get("chart-growth", "") not in ("", before["chart-growth"]), "growth did not change")
    assert "Pools: packaged" in " ".join(one.text for one in all_of(browser, "p.note"))


def test_table_and_scenario_can_be_had(browser, url, downloads):
    opened(browser, url, 1440)
    for link in all_of(browser, "a.file"):
        browser.execute_script("arguments[0].click()", link)
    table, scenario = downloads / "clonesim-plan.csv", downloads / "clonesim-scenario.toml"
    wait(lambda: table.is_file() and scenario.is_file(), "no file came")
    rows = list(csv.DictReader(line for line in table.read_text().splitlines() if not line.startswith("#")))
    assert len(rows) == 60
    assert int(rows[-1]["desktop_p50_bytes"]) > 2**30
    assert "clones_per_lun" in scenario.read_text()

"""The report in a real browser: no error, no request, no serious finding of axe-core, both widths, both schemes, paper.

Needs Debian's packages chromium and chromium-driver, and from PyPI selenium and axe-core-python (axe-core itself is in
that package: no npm). With SCREENSHOTS=folder the screenshots and the PDF stay there.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_tools import NEEDS_CHROMIUM, axe_findings, chromium, kept, serious
from browser_tools import scheme as as_preferred
from report_tools import HOSTILE, page

pytestmark = NEEDS_CHROMIUM
WIDTHS, SCHEMES = (1440, 390), ("light", "dark")
# What a table does not show at that width may be scrolled to; the page itself must not be wider than the screen.
OVERFLOWING = """
const wide = document.documentElement.clientWidth;
return [...document.querySelectorAll('main *, header *, nav *')].filter(
  one => !one.closest('.scroll, svg') && one.getBoundingClientRect().right > wide + 1
).map(one => one.outerHTML.slice(0, 80));
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(page(), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium("--hide-scrollbars") as driver:
        yield driver


def opened(browser, report: Path, width: int, scheme: str) -> None:
    as_preferred(browser, scheme)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(report.as_uri())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_opens_without_errors_or_requests_and_fits(browser, report, width, scheme) -> None:
    opened(browser, report, width, scheme)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    kept(f"report-{width}-{scheme}.png", base64.b64decode(shot["data"]))
    assert browser.title.startswith(HOSTILE)
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith("data:")} == {report.as_uri()}
    assert browser.execute_script(OVERFLOWING) == []
    shown = "return [...document.querySelectorAll('figure svg')].filter(one => one.getBoundingClientRect().width > 0)"
    classes = browser.execute_script(f"{shown}.map(one => one.getAttribute('class'))")
    assert len(classes) == 9
    assert all("phone" in one if width < 600 else "wide" in one for one in classes)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious(browser, report, width, scheme) -> None:
    opened(browser, report, width, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert serious(axe_findings(browser)) == []


def test_a_table_opens_by_key_and_colours_follow_the_scheme(browser, report) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    colours = {}
    for scheme in SCHEMES:
        opened(browser, report, 1440, scheme)
        script = "return getComputedStyle(document.querySelector('figure svg text')).fill"
        colours[scheme] = browser.execute_script(script)
    assert colours == {"light": "rgb(0, 0, 0)", "dark": "rgb(232, 232, 232)"}
    summary = browser.find_element(By.CSS_SELECTOR, "#growth summary")
    table = browser.find_element(By.CSS_SELECTOR, "#growth table")
    assert not table.is_displayed()
    summary.send_keys(Keys.ENTER)
    assert table.is_displayed()
    assert "Delta of one desktop by day" in table.text


def test_the_scenario_is_downloaded(browser, report, tmp_path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    opened(browser, report, 1440, "light")
    allowed = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    browser.find_element(By.CSS_SELECTOR, "a[download]").click()
    WebDriverWait(browser, 20).until(lambda _: (tmp_path / "scenario.toml").is_file())
    assert "[pool]" in (tmp_path / "scenario.toml").read_text(encoding="utf-8")


def test_paper_is_a4_and_light_whatever_the_screen_is(browser, report) -> None:
    opened(browser, report, 1440, "dark")
    made = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
    pdf = base64.b64decode(made["data"])
    kept("report-a4.pdf", pdf)
    assert b"/MediaBox [0 0 594.95996 841.91998]" in pdf or b"/MediaBox [0 0 595" in pdf
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    look = "return ['figure svg text', 'body'].map(one => getComputedStyle(document.querySelector(one)))"
    look += ".map((style, number) => number ? style.color : style.fill)"
    assert browser.execute_script(look) == ["rgb(0, 0, 0)", "rgb(26, 28, 32)"]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})

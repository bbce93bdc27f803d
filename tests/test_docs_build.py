"""The documentation builds without a warning, and its pages ask nobody else for anything."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest
from conftest import ROOT

NEEDED = ("sphinx", "numpydoc", "myst_nb", "furo")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
FETCHED = re.compile(r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=[\"']([^\"']+)")
LINKED = re.compile(r"<link\b[^>]*\bhref=[\"']([^\"']+)")
IN_CSS = re.compile(r"url\(\s*[\"']?(https?:[^)\"']+)|@import\s+[\"'](https?:[^\"']+)")


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """Folder of the built pages."""
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)}; pip install clonesim[docs]")
    out = tmp_path_factory.mktemp("html")
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", str(ROOT / "docs"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return out


def test_pages_are_there(html):
    for page in ("index", "tutorial", "claims", "validation", "time", "catalog", "reference/api", "reference/commands"):
        assert (html / f"{page}.html").is_file(), page


def test_every_public_name_has_an_entry(html):
    import clonesim

    text = (html / "reference" / "api.html").read_text(encoding="utf-8")
    names = set(clonesim.__all__) - {"plots"}
    assert not [name for name in names if f'id="clonesim.{name}"' not in text]


def test_pages_fetch_nothing_from_elsewhere(html):
    asked = {}
    for path in html.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        outside = [url for url in [*FETCHED.findall(text), *LINKED.findall(text)] if re.match(r"(https?:)?//", url)]
        if outside:
            asked[path.name] = outside
    for path in html.rglob("*.css"):
        outside = ["".join(hit) for hit in IN_CSS.findall(path.read_text(encoding="utf-8"))]
        if outside:
            asked[path.name] = outside
    assert not asked


def test_nothing_fails_to_stay_an_option(html):
    """Two hyphens are not made into a dash: who copies an option from a page gets it."""
    text = (html / "reference" / "commands.html").read_text(encoding="utf-8")
    assert "--json" in text
    assert "\N{EN DASH}json" not in text

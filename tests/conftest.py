"""What the tests share: where real samples and measurements are, and why a test that needs them is skipped."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture
def shared() -> Path:
    """Folder of real inputs beside the project; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"real samples are absent: no folder {SHARED}")
    return SHARED

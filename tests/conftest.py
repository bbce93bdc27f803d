"""What the tests share: where real samples and measurements are, and why a test that needs them is skipped."""

from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

settings.register_profile("usual", deadline=None)  # how fast a test is depends on what else the machine does
settings.load_profile("usual")


@pytest.fixture
def shared() -> Path:
    """Folder of real inputs beside the project; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"real samples are absent: no folder {SHARED}")
    return SHARED


@pytest.fixture
def trace_of(tmp_path):
    """Write some content to a file and read it as a trace."""
    from clonesim.ingest import read_trace

    def read(content, **options):
        path = tmp_path / "trace"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_trace(path, **options)

    return read


@pytest.fixture
def ax():
    """Axes of a figure of 8 x 5 inches that no window shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()

"""How a trace is named wherever its results are shown."""

from __future__ import annotations

from pathlib import Path

from clonesim.ingest import Trace, TraceStream, packaged_trace

PACKAGED_NOTE = "a real NTFS driver's traffic (ntfs-3g), scripted activity, not a real user's"


def trace_note(trace: Trace | TraceStream) -> str:
    """Tell what must be said beside a trace's results; empty unless it is the packaged one."""
    return PACKAGED_NOTE if Path(trace.path).name == packaged_trace().name else ""


def trace_label(trace: Trace | TraceStream) -> str:
    """Name of a trace's file, with its note."""
    note = trace_note(trace)
    return Path(trace.path).name + (f" ({note})" if note else "")

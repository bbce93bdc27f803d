"""What the user already has, read into clonesim's own forms: block traces."""

from clonesim.ingest.detect import TRACE_KINDS
from clonesim.ingest.rows import BadRow
from clonesim.ingest.traces import Trace, packaged_trace, read_trace

__all__ = ["TRACE_KINDS", "BadRow", "Trace", "packaged_trace", "read_trace"]

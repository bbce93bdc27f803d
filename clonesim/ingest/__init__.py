"""What the user already has, read into clonesim's own forms: traces, inventories, listings, counters, disk images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader as _lazy

if TYPE_CHECKING:
    from clonesim.ingest.detect import TRACE_KINDS as TRACE_KINDS
    from clonesim.ingest.esxtop import Counters as Counters
    from clonesim.ingest.esxtop import read_counters as read_counters
    from clonesim.ingest.file_trace import FileTrace as FileTrace
    from clonesim.ingest.file_trace import read_file_trace as read_file_trace
    from clonesim.ingest.images import Image as Image
    from clonesim.ingest.images import read_image as read_image
    from clonesim.ingest.images import reclaimable as reclaimable
    from clonesim.ingest.inventory import Inventory as Inventory
    from clonesim.ingest.inventory import read_inventory as read_inventory
    from clonesim.ingest.limits import limited as limited
    from clonesim.ingest.listing import Listing as Listing
    from clonesim.ingest.listing import read_listing as read_listing
    from clonesim.ingest.rows import BadRow as BadRow
    from clonesim.ingest.stream import TraceStream as TraceStream
    from clonesim.ingest.stream import TraceSurvey as TraceSurvey
    from clonesim.ingest.stream import iter_trace as iter_trace
    from clonesim.ingest.traces import Trace as Trace
    from clonesim.ingest.traces import packaged_trace as packaged_trace
    from clonesim.ingest.traces import read_trace as read_trace

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "detect": ["TRACE_KINDS"],
        "esxtop": ["Counters", "read_counters"],
        "file_trace": ["FileTrace", "read_file_trace"],
        "images": ["Image", "read_image", "reclaimable"],
        "inventory": ["Inventory", "read_inventory"],
        "limits": ["limited"],
        "listing": ["Listing", "read_listing"],
        "rows": ["BadRow"],
        "stream": ["TraceStream", "TraceSurvey", "iter_trace"],
        "traces": ["Trace", "packaged_trace", "read_trace"],
    },
)

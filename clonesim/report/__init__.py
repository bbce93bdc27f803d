"""A run as one page of HTML that needs nothing else: answers, charts with their tables, inputs with their sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader as _lazy

if TYPE_CHECKING:
    from clonesim.report.page import report_html as report_html
    from clonesim.report.page import write_report as write_report

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={"page": ["report_html", "write_report"]})

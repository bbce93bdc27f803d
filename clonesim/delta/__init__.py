"""Copy-on-write deltas: a clone's private disk, its size laws, and traces replayed on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader as _lazy

if TYPE_CHECKING:
    from clonesim.delta.disk import Delta as Delta
    from clonesim.delta.formats import FORMATS as FORMATS
    from clonesim.delta.replaying import replay as replay

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submod_attrs={"disk": ["Delta"], "formats": ["FORMATS"], "replaying": ["replay"]}
)

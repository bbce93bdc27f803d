"""All checks of the book, in its order."""

from __future__ import annotations

from . import driver, forecasts, inference, queues, readers, sizes, vendors
from .entry import Chapter, Entry

CHAPTERS: tuple[Chapter, ...] = (
    sizes.CHAPTER,
    readers.CHAPTER,
    driver.CHAPTER,
    queues.LOCKS,
    queues.ARRAYS,
    vendors.CHAPTER,
    forecasts.CHAPTER,
    inference.CHAPTER,
)
ENTRIES: dict[str, Entry] = {entry.name: entry for chapter in CHAPTERS for entry in chapter.entries}

"""Laying out a volume's arena, and making a region of it longer. See `arena_kernel` for what an arena is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clonesim.guest import arena_kernel as a
from clonesim.guest.file_kernel import RECORD
from clonesim.guest.index_kernel import NODE
from clonesim.guest.runs_kernel import BLOCK, ENTRY
from clonesim.guest.space_kernel import QUEUE_HEAD, QUEUE_TAIL, WAITING

Arena = NDArray[np.int64]
Word = int | np.int64  # kernel constants are np.int64
TOGETHER: dict[Word, tuple[Word, ...]] = {  # regions that only make sense with each other's room
    a.R_RUNS: (a.R_RUNS, a.R_RUNS_DIR, a.R_SIZES, a.R_SIZES_DIR),
    a.R_SLOT: (a.R_SLOT, a.R_FOLDER),
    a.R_NODE: (a.R_NODE, a.R_BLOCK),
}


def _pages(words: Word) -> int:
    return int(-(-words // a.PAGE))


def _lay_out(rooms: list[Word]) -> Arena:
    """An empty arena whose regions have at least so many words each. Untouched pages cost no memory."""
    rooms = [_pages(words) * a.PAGE for words in rooms]
    pages = 1 + sum(_pages(r) for i, r in enumerate(rooms) if i not in (a.R_DIRTY, a.R_TOUCHED))
    own = _pages(pages)
    while own < _pages(pages + 2 * own):
        own += 1
    rooms[a.R_DIRTY] = rooms[a.R_TOUCHED] = own * a.PAGE
    half = (pages + 2 * own) * a.PAGE
    m = np.zeros(2 * half, np.int64)
    m[a.HALF] = half
    at = a.PAGE
    for region, words in enumerate(rooms):
        m[a.REGION + 2 * region], m[a.REGION + 2 * region + 1] = at, words
        at += words
    return m


def new_arena(clusters: int) -> Arena:
    """Empty arena for a volume of so many clusters."""
    words = -(-clusters // 64) + 2
    rooms: list[Word] = [0] * int(a.REGIONS)
    rooms[a.R_BITMAP] = rooms[a.R_WRITTEN] = words
    rooms[a.R_RUNS_DIR] = rooms[a.R_SIZES_DIR] = 256 * ENTRY
    rooms[a.R_RUNS] = rooms[a.R_SIZES] = 256 * BLOCK
    rooms[a.R_QUEUE] = 16384 * WAITING
    rooms[a.R_FILE], rooms[a.R_MFT], rooms[a.R_TABLE] = 16384 * RECORD, 16384 // 64, 16384
    rooms[a.R_EXTENT] = 65536
    rooms[a.R_NODE], rooms[a.R_BLOCK] = 512 * NODE, 512 // 64
    rooms[a.R_SLOT] = rooms[a.R_FOLDER] = 1024
    rooms[a.R_STREAM] = 64 * RECORD
    rooms[a.R_OUT] = 4 * 65536
    return _lay_out(rooms)


def longer_region(m: Arena, region: Word, words: int) -> Arena:
    """Copy of an arena where a region (and those that belong to it) has twice the room, and at least `words` free."""
    rooms: list[Word] = [int(m[a.REGION + 2 * r + 1]) for r in range(a.REGIONS)]
    for r in TOGETHER.get(region, (region,)):
        rooms[r] = 2 * rooms[r] + (words if r in (region, a.R_EXTENT, a.R_FOLDER) else 0)
        if region == a.R_RUNS:
            per_block = BLOCK if r in (a.R_RUNS, a.R_SIZES) else ENTRY
            rooms[r] = max(rooms[r], (words // (BLOCK // 2) + 8) * per_block * 2)
        if region == a.R_QUEUE:  # a ring of a power of two places
            rooms[r] = 1 << (int(rooms[r]) - 1).bit_length()
        if region == a.R_NODE:
            rooms[r] = max(rooms[r], 1024 * NODE if r == a.R_NODE else 1024 // 64)
    if region == a.R_FILE:
        records = max(int(rooms[a.R_FILE]) // int(RECORD), 2 * words)
        rooms[a.R_FILE], rooms[a.R_MFT], rooms[a.R_TABLE] = records * RECORD, records // 64 + 1, records
    new = _lay_out(rooms)
    layout = slice(a.REGION, a.REGION + 2 * a.REGIONS)
    kept, half = new[layout].copy(), int(new[a.HALF])
    old_half = int(m[a.HALF])
    new[: a.PAGE], new[half : half + a.PAGE] = m[: a.PAGE], m[old_half : old_half + a.PAGE]
    new[layout] = new[half + a.REGION : half + a.REGION + 2 * a.REGIONS] = kept
    new[a.HALF] = half
    _copy_regions(m, new)
    _copy_queue(m, new)
    return new


def _copy_regions(m: Arena, new: Arena) -> None:
    """Copy every region's words and saved pages, and translate the list of saved pages."""
    touched = m[int(m[a.REGION + 2 * a.R_TOUCHED]) :][: int(m[a.TOUCHED])]
    pages = []
    for r in range(a.REGIONS):
        old, words = (int(v) for v in m[a.REGION + 2 * r : a.REGION + 2 * r + 2])
        at = int(new[a.REGION + 2 * r])
        if r in (a.R_DIRTY, a.R_TOUCHED, a.R_QUEUE):
            continue
        used = _last_used(m[old : old + words])
        new[at : at + used] = m[old : old + used]
        mine = touched[(touched >= old // a.PAGE) & (touched < (old + words) // a.PAGE)] - old // a.PAGE
        for page in mine.tolist():
            source, target = old + page * a.PAGE + int(m[a.HALF]), at + page * a.PAGE + int(new[a.HALF])
            new[target : target + a.PAGE] = m[source : source + a.PAGE]
        pages.append(mine + at // a.PAGE)
    moved = np.concatenate(pages) if pages else np.empty(0, np.int64)
    new[a.TOUCHED] = moved.size
    new[int(new[a.REGION + 2 * a.R_TOUCHED]) :][: moved.size] = moved
    new[int(new[a.REGION + 2 * a.R_DIRTY]) + moved] = 1


def _last_used(words: Arena) -> int:
    """Words up to the last one that is not zero, so that copying commits no untouched memory."""
    step, end = int(a.PAGE), words.size
    while end > 0 and not words[max(0, end - step) : end].any():
        end = max(0, end - step)
    return end


def bits_of(m: Arena, region: Word, count: int) -> NDArray[np.uint8]:
    """The first `count` bits of a region, a byte each."""
    first = int(m[a.REGION + 2 * region])
    words = m[first : first - (-count // 64)]
    return np.unpackbits(words.view(np.uint8), bitorder="little", count=count)


def numbered_records(m: Arena, region: Word) -> list[int]:
    """MFT records that the words of a region name: of numbered files (R_SLOT) or of their folders (R_FOLDER)."""
    first, room = (int(v) for v in m[a.REGION + 2 * region : a.REGION + 2 * region + 2])
    words = m[first : first + room] & 0xFFFFFFFF
    return (words[words > 0] - 1).tolist()  # type: ignore[no-any-return]


def used_words(m: Arena) -> int:
    """Words of an arena that are in use: its header, each region up to its last word that is not zero, saved pages."""
    total = a.PAGE + int(m[a.TOUCHED]) * a.PAGE
    for r in range(a.REGIONS):
        first, words = (int(v) for v in m[a.REGION + 2 * r : a.REGION + 2 * r + 2])
        total += _last_used(m[first : first + words]) if r != a.R_OUT else 0
    return int(total)


def _copy_queue(m: Arena, new: Arena) -> None:
    """Copy the waiting runs: a longer ring has other places. Its saved pages are dropped: a snapshot starts empty."""
    slots, new_slots = (int(x[a.REGION + 2 * a.R_QUEUE + 1]) // int(WAITING) for x in (m, new))
    old, at = int(m[a.REGION + 2 * a.R_QUEUE]), int(new[a.REGION + 2 * a.R_QUEUE])
    numbers = np.arange(int(m[QUEUE_HEAD]), int(m[QUEUE_TAIL]))
    for k in range(WAITING):
        new[at + numbers % new_slots * WAITING + k] = m[old + numbers % slots * WAITING + k]

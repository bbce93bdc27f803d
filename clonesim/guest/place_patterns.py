"""Patterns that write to files that exist: saves, pages, logs, trims; and reads, which write nothing."""

from __future__ import annotations

import numpy as np

from clonesim.guest.draws import APPEND, PARTS, PICK, PLACE, Ints, sizes, sub_keys, uniform
from clonesim.guest.rows import FILE_PAGE, Rows
from clonesim.guest.triggers import Events
from clonesim.guest.write_sources import Source
from clonesim.ops import FileOp

READ_STEP_S = 60.0  # a long read is put down minute by minute


# --- saves: known files written anew ------------------------------------------------------------------------------


def saved_files(source: Source) -> Ints:
    """Sizes of the files that the base image holds. [B]"""
    return sizes(source, sub_keys(np.arange(int(source.get("files", 1)), dtype=np.uint64), source.code))


def plan_saves(source: Source, events: Events, rows: Rows) -> None:
    """Each event saves one of the files, or all of them: under another name first, or in place."""
    files = int(source.get("files", 1))
    if source.values.get("all", False):
        part = np.tile(np.arange(files), len(events))
        keys = sub_keys(np.repeat(events.key, files) + (part + PARTS).astype(np.uint64), PICK)
        times = np.repeat(events.time_s, files) + part * (source.get("span") / files)
        if len(events) > 1 and np.diff(events.time_s).min() < source.get("span"):  # two rounds overlap
            order = np.argsort(times, kind="stable")
            part, keys, times = part[order], keys[order], times[order]
    else:
        keys, times = events.key, events.time_s
        part = (uniform(keys, PICK) * files).astype(np.int64)
    if source.values["how"] == "rename":
        rows.add_pairs(source, times, files, part, sizes(source, keys))
    else:
        rows.add(source, FileOp.OVERWRITE, times, part, 0, saved_files(source)[part])


# --- pages: parts of one file in place ----------------------------------------------------------------------------


def page_files(source: Source) -> Ints:
    """Sizes of the file in the base image: one, or a part that is written often and the rest. Whole pages. [B]"""
    pages = max(1, int(source.get("size")) // FILE_PAGE)
    hot = round(pages * source.get("hot_size"))
    both = np.array([hot, pages - hot] if 0 < hot < pages else [pages], np.int64)
    return both * FILE_PAGE


def plan_pages(source: Source, events: Events, rows: Rows) -> None:
    """Random pages, runs at random places, a circle, or the file's start; some events append instead."""
    have, how = page_files(source), source.values["how"]
    if how == "start":
        whole = max(1, int(have[0] * source.get("share", 1.0)))
        rows.add(source, FileOp.OVERWRITE, events.time_s, 0, 0, whole)
        return
    amount = sizes(source, events.key, "amount")
    if how == "ring":
        most = int(min(source.get("most", have[0]), have[0]))
        amount = np.minimum(amount, most)
        offset = (np.cumsum(amount) - amount) % (have[0] - most + 1)
        rows.add(source, FileOp.OVERWRITE, events.time_s, 0, offset, amount)
        return
    slot = np.zeros(len(events), np.int64)
    if have.size > 1:
        slot = (uniform(events.key, PICK) >= source.get("hot_share")).astype(np.int64)
    appended = uniform(events.key, APPEND) < source.get("append_share")
    if appended.any():
        rows.add(source, FileOp.APPEND, events.time_s[appended], have.size - 1, 0, amount[appended])
        events, amount, slot = events.take(~appended), amount[~appended], slot[~appended]
    room = have[slot]
    length = np.minimum(-(-amount // FILE_PAGE) * FILE_PAGE, room)
    if how == "runs":
        places = (room - length) // FILE_PAGE + 1
        offset = (uniform(events.key, PLACE) * places).astype(np.int64) * FILE_PAGE
        rows.add(source, FileOp.OVERWRITE, events.time_s, slot, offset, length)
    else:
        key = (sub_keys(events.key, PLACE) >> np.uint64(2)).astype(np.int64)
        rows.add(source, FileOp.SCATTER, events.time_s, slot, key, length)


# --- logs, trims, reads -------------------------------------------------------------------------------------------


def plan_log(source: Source, events: Events, rows: Rows) -> None:
    """Appends to a log; a full one is closed and a new one made, the last `kept` stay."""
    if not len(events):
        return
    amount, kept = sizes(source, events.key, "amount"), max(1, int(source.get("kept", 1)))
    turn = (np.cumsum(amount) - amount) // max(1, int(source.get("rotate_at")))
    first = np.append(True, np.diff(turn) > 0)
    number = np.cumsum(first) - 1
    made = events.time_s[first]
    slots = np.arange(made.size) % kept
    rows.add(source, FileOp.DELETE, made[kept:], slots[kept:])
    rows.add(source, FileOp.CREATE, made, slots)
    rows.add(source, FileOp.APPEND, events.time_s, number % kept, 0, amount)


def plan_trim(source: Source, events: Events, rows: Rows) -> None:
    """Discards of all free space."""
    rows.add(source, FileOp.TRIM, events.time_s, 0)


def plan_reads(source: Source, events: Events, rows: Rows) -> None:
    """Reads that come with each event, minute by minute."""
    size, io = source.get("read"), max(1.0, source.get("read_io", 65536.0))
    if size < 1:
        return
    steps = max(1, round(source.get("read_span") / READ_STEP_S))
    each = int(size / steps)
    times = events.time_s
    if steps > 1:
        times = np.repeat(times, steps) + np.tile(np.arange(steps) * READ_STEP_S, times.size)
        if (np.diff(times) < 0).any():
            times = np.sort(times)
    rows.add_reads(source, times, np.full(times.size, each), np.full(times.size, max(1, round(each / io))))

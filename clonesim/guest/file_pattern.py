"""Pattern "files": new files that end by a lifetime, by a cap on their sum, or when newer sets replace them."""

from __future__ import annotations

import numpy as np

from clonesim.guest import plan_kernel as kernel
from clonesim.guest.draws import KEPT, LIFE, PARTS, WEIGHT, Floats, Ints, Keys, lognormal, sizes, sub_keys, uniform
from clonesim.guest.rows import Rows
from clonesim.guest.triggers import NOBODY, Events
from clonesim.guest.write_sources import Source
from clonesim.ops import FileOp
from clonesim.scenario import catalog

LEAST_LIFE_S = 1.0  # a file that lives less never reaches the disk


def base_files(source: Source) -> Ints:
    """Sizes of the files that the base image holds: as many sets as are kept, the same for every clone. [B]"""
    kept, files, size = int(source.get("kept")), int(source.get("files", 1)), source.get("base_size")
    if not kept or not size:
        return np.zeros(0, np.int64)
    keys = sub_keys(np.arange(kept * files, dtype=np.uint64), source.code)
    return split(np.full(kept, size), keys, files)


def split(amounts: Floats, keys: Keys, files: int) -> Ints:
    """Sizes of `files` files for each amount, in random shares that add up to it; at least 1 B each."""
    if files == 1:
        return np.maximum(amounts, 1.0).astype(np.int64)
    weights = -np.log(uniform(keys, WEIGHT)).reshape(amounts.size, files)
    parts = weights * (amounts / weights.sum(axis=1))[:, None]
    whole: Ints = np.maximum(parts, 1.0).astype(np.int64).ravel()
    return whole


def plan_files(source: Source, events: Events, rows: Rows, profiles_kept: bool) -> None:
    """Creates, appends and deletes of a source's files."""
    files, span = int(source.get("files", 1)), source.get("span")
    step = span / files
    share = source.get("size_share")
    amounts = events.size * share if share else sizes(source, events.key).astype(np.float64)
    keys, birth, rank = events.key, events.time_s, np.zeros(len(events))
    if files > 1:
        part = np.tile(np.arange(PARTS, PARTS + files, dtype=np.uint64), len(events))
        keys = sub_keys(np.repeat(events.key, files) + part, WEIGHT)
        rank = np.tile(np.arange(files) * step, len(events))
        birth = np.repeat(birth, files) + rank
    size = split(amounts, keys, files)
    per_user = source.texts["per"] == "user"
    group = events.user if profiles_kept else events.session
    if not per_user:
        group = np.zeros(len(events), np.int64)
    if "cap" in source.values:
        size = np.minimum(size, int(source.get("cap")))
    pieces, last = _pieces(source, size, birth, step)
    death = _deaths(source, events, keys, birth, size, group, files)
    if per_user and not profiles_kept:
        gone = np.where(events.user == NOBODY, np.inf, events.end_s)
        death = np.minimum(death, np.repeat(gone, files))
    death = np.maximum(death, last + LEAST_LIFE_S)

    base = base_files(source).size
    if base:
        dead = _base_deaths(source, events, files)
        birth, death = np.concatenate([np.full(base, -np.inf), birth]), np.concatenate([dead, death])
    order = np.argsort(birth, kind="stable") if (birth[base + 1 :] < birth[base:-1]).any() else None
    slot = _slots(birth, death, order, base)
    _write(source, rows, (birth, death, slot), size, pieces, base, step)


def _pieces(source: Source, size: Ints, birth: Floats, step: float) -> tuple[Ints, Floats]:
    """Appends that each file needs (0: its size is known), and when its last write starts."""
    if not source.values.get("stream", False):
        return np.zeros(size.size, np.int64), birth
    at_once, piece = catalog.value("laws", "stream.at_once"), catalog.value("laws", "stream.piece")
    pieces = np.where(size > at_once, -(-size // piece), 0)
    return pieces, birth + step * np.maximum(pieces - 1, 0) / np.maximum(pieces, 1)


def _deaths(source: Source, events: Events, keys: Keys, birth: Floats, size: Ints, group: Ints, files: int) -> Floats:
    """When each file goes, by the source's rule; inf where it stays."""
    if "cap" in source.values:
        return _evictions(source, birth, size, np.repeat(group, files))
    if source.get("kept") >= 1:
        end = (
            _replaced(events.time_s, group, int(source.get("kept"))) + source.get("span") + source.get("replaced_after")
        )
        return np.repeat(end, files)
    if "lifetime" in source.values:
        life = lognormal(keys, LIFE, source.get("lifetime"), source.get("lifetime_sigma"))
        stays = uniform(keys, KEPT) < source.get("kept_share")
        return np.where(stays, np.inf, birth + np.maximum(life, LEAST_LIFE_S))
    return np.full(birth.size, np.inf)


def _evictions(source: Source, birth: Floats, size: Ints, group: Ints) -> Floats:
    death = np.empty(birth.size)
    cap = int(source.get("cap"))
    if group.size == 0 or (group[0] == group).all():
        kernel.cache_deaths(group, size, birth, cap, death)
        return death
    order = np.argsort(group, kind="stable")
    out = np.empty(birth.size)
    kernel.cache_deaths(group[order], size[order], birth[order], cap, out)
    death[order] = out
    return death


def _replaced(times: Floats, group: Ints, kept: int) -> Floats:
    """Time of the event that comes `kept` events later in the same group; inf where none does."""
    order = np.argsort(group, kind="stable")
    t, g = times[order], group[order]
    later = np.full(times.size, np.inf)
    if times.size > kept:
        later[:-kept] = np.where(g[kept:] == g[:-kept], t[kept:], np.inf)
    out = np.empty(times.size)
    out[order] = later
    return out


def _base_deaths(source: Source, events: Events, files: int) -> Floats:
    """When the sets of the base image go: the oldest with the first new set, and so on."""
    kept = int(source.get("kept"))
    end = np.full(kept, np.inf)
    count = min(kept, len(events))
    end[:count] = events.time_s[:count] + source.get("span") + source.get("replaced_after") + LEAST_LIFE_S
    return np.repeat(end, files)


def _slots(birth: Floats, death: Floats, order: Ints | None, base: int) -> Ints:
    """Slot of each file; those of the base image have the first ones."""
    slot = np.empty(birth.size, np.int64)
    if order is None:
        kernel.file_slots(birth, death, np.argsort(death, kind="stable"), base, slot)
        return slot
    out = np.empty(birth.size, np.int64)
    kernel.file_slots(birth[order], death[order], np.argsort(death[order], kind="stable"), base, out)
    slot[order] = out
    return slot


def _write(
    source: Source,
    rows: Rows,
    files: tuple[Floats, Floats, Ints],
    size: Ints,
    pieces: Ints,
    base: int,
    step: float,
) -> None:
    """Deletes first, then creates, then appends: what counts at equal times."""
    birth, death, slot = files
    dies = death < rows.horizon_s
    rows.add(source, FileOp.DELETE, death[dies], slot[dies])
    birth, slot = birth[base:], slot[base:]
    streamed = pieces > 0
    rows.add(source, FileOp.CREATE, birth, slot, 0, np.where(streamed, 0, size))
    if streamed.any():
        count, total = pieces[streamed], size[streamed]
        place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        each = -(-total // count)
        length = np.minimum(np.repeat(each, count), np.repeat(total, count) - place * np.repeat(each, count))
        when = np.repeat(birth[streamed], count) + step * place / np.repeat(count, count)
        rows.add(source, FileOp.APPEND, when, np.repeat(slot[streamed], count), 0, length)

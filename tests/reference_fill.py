"""A datastore that fills up, in plain Python integers and dictionaries: slow, and easy to see that it is right."""

import math


def plain_fill(limit, unit, fixed, clones, steps, horizon_s, power_ons=(), levels=(), hour_s=3600.0):
    """Fill of one datastore.

    `steps` are (time, clone, bytes) in order, `power_ons` (time, clone) in any order, `levels` bytes. Returns used
    bytes per hour, times of the levels, first full time, {clone: (time, cause)} and whether each step took place.
    """

    def used():
        return fixed + sum(math.ceil(size / unit) * unit for size in files.values())

    files = dict.fromkeys(clones, 0)
    down, first_full = {}, math.inf
    frozen = None  # used bytes from the first full time on
    at_level = [0.0 if used() >= level else math.inf for level in levels]
    if used() > limit:
        first_full, frozen = 0.0, used()
    history, accepted = [(0.0, used())], []
    for time, clone, size in steps:
        if time >= horizon_s:
            accepted.append(False)
            continue
        before = used()
        files[clone] += size
        grows = used() > before
        refused = clone in down or (grows and (frozen is not None or used() > limit))
        if refused:
            files[clone] -= size
            if clone not in down:
                down[clone] = (time, "growth")
            if frozen is None:
                first_full, frozen = time, used()
        accepted.append(not refused)
        now = used() if frozen is None else frozen
        history.append((time, now))
        for number, level in enumerate(levels):
            if now >= level:
                at_level[number] = min(at_level[number], time)
    for time, clone in sorted(power_ons):
        if clone in files and first_full <= time < min(horizon_s, down.get(clone, (math.inf,))[0]):
            down[clone] = (time, "power-on")
    for number, (time, clone, _) in enumerate(steps):
        if clone in down and time >= down[clone][0]:
            accepted[number] = False
    hours = math.ceil(horizon_s / hour_s)
    per_hour = [[now for time, now in history if time < (hour + 1) * hour_s][-1] for hour in range(hours)]
    return per_hour, [min(at, first_full) for at in at_level], first_full, down, accepted

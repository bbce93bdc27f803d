"""Closed locks in SimPy, and in plain Python that looks at one moment after the other: twins of contend_closed_kernel.

Of the package they take the keyed draws only, which tests/reference_locks.py has plain twins of.
"""

import numpy as np
import simpy
from reference_locks import Lun, plain_back_off, plain_cluster
from simpy.events import Event

from clonesim.lun.contend_kernel import back_off, pick_cluster, request_key
from clonesim.lun.lock_model import DISTRIBUTIONS


def simpy_closed(times, clone_of, host_of, holds, hosts, model):
    """Asked, waits, retries, failures, and the times of all conflicts with their rows; a process per host and clone."""
    env, lun, n = simpy.Environment(), Lun(), len(times)
    asked, waits, retries, failed = ([None] * n for _ in range(4))
    met, ended = [], [False] * n
    fifo = model.name == "fifo"
    servers = 1 if fifo else hosts
    server_of = [0] * n if fifo else host_of
    queues = [[] for _ in range(servers)]
    bell = [None] * servers  # of an idle host: rung by a request
    number, earlier, later = [0] * n, [None] * n, [None] * n
    for c in set(clone_of):
        mine = [i for i in range(n) if clone_of[i] == c]
        for k, i in enumerate(mine):
            number[i] = k
            earlier[i] = mine[k - 1] if k else None
            later[i] = mine[k + 1] if k + 1 < len(mine) else None

    def at(delay, priority):
        event = Event(env)
        event._ok, event._value = True, None
        env.schedule(event, priority=priority, delay=delay)
        return event

    def ask(i):
        asked[i] = env.now
        h = server_of[i]
        queues[h].append(i)
        if bell[h] is not None:
            ringing, bell[h] = bell[h], None
            ringing._ok, ringing._value = True, None
            env.schedule(ringing, priority=servers + 1 + h)  # its first attempt: after ends and requests

    def own_time(i):
        yield at(times[i], servers)  # ends have priority 0 to servers - 1
        if asked[i] is None and (earlier[i] is None or ended[earlier[i]]):
            ask(i)

    def done(i):
        ended[i] = True
        j = later[i]
        if j is not None and times[j] <= env.now:
            ask(j)

    def attempt_of(i, conflicts):
        """Whether it is free, and whether it asks for a reservation."""
        if fifo:
            return True, False
        if model.name == "scsi-reservation":
            return lun.reserved_by is None, True
        cluster = cluster_of(i)
        if model.name == "ats+scsi":
            return lun.reserved_by is None and cluster not in lun.held, conflicts >= model.fallback_after
        return cluster not in lun.held, False

    def key_of(i):
        return np.uint64(request_key(model.key, clone_of[i], number[i]))

    def cluster_of(i):
        if fifo or model.name == "scsi-reservation":
            return None
        return pick_cluster(key_of(i), host_of[i], hosts, model.clusters, model.affinity)

    def serve(h):
        while True:
            if not queues[h]:
                bell[h] = Event(env)
                yield bell[h]
            i, conflicts, by_reservation = queues[h][0], 0, 0
            while True:
                free, reserve = attempt_of(i, conflicts)
                if free:
                    break
                conflicts += 1
                by_reservation += reserve
                met.append((env.now, i))
                if (by_reservation if model.name == "ats+scsi" else conflicts) == model.tries:
                    break
                wait = back_off(key_of(i), conflicts, model.backoff_ns, DISTRIBUTIONS[model.distribution])
                yield at(wait, servers + 1 + h)
            waits[i], retries[i], failed[i] = env.now - asked[i], conflicts, not free
            if free:
                cluster = cluster_of(i)
                if reserve:
                    lun.reserved_by = h
                if cluster is not None:
                    lun.held.add(cluster)
                yield at(holds[i], h)
                if reserve:
                    lun.reserved_by = None
                lun.held.discard(cluster)
            queues[h].pop(0)
            done(i)
            if queues[h]:
                yield at(0, servers + 1 + h)

    for h in range(servers):
        bell[h] = Event(env)
        env.process(_waiting(bell[h], serve(h)))
    for i in range(n):
        env.process(own_time(i))
    env.run()
    return asked, waits, retries, failed, met


def _waiting(bell, served):
    """A host that starts when it is rung for the first time."""
    yield bell
    yield from served


def plain_closed(times, clone_of, host_of, holds, hosts, model):
    """The same rules, moment by moment; small cases only. Asked, waits, retries, failures."""
    n, fifo = len(times), model.name == "fifo"
    servers = 1 if fifo else hosts
    key = int(model.key)
    asked, waits, retries, failed = ([None] * n for _ in range(4))
    number = [sum(clone_of[j] == clone_of[i] for j in range(i)) for i in range(n)]
    queue = [[] for _ in range(servers)]
    next_try, ends, conflicts = [None] * servers, [None] * servers, [0] * servers
    holders = []  # (host, end, cluster, reserved)
    over = [False] * n

    def before(i):
        return [j for j in range(i) if clone_of[j] == clone_of[i]]

    def ask(i, now):
        h = 0 if fifo else host_of[i]
        asked[i] = now
        queue[h].append(i)
        if len(queue[h]) == 1:
            next_try[h], conflicts[h] = now, 0

    def leave(h, now):
        i = queue[h].pop(0)
        over[i] = True
        next_try[h], conflicts[h] = (now if queue[h] else None), 0
        for j in range(i + 1, n):
            if clone_of[j] == clone_of[i]:
                if times[j] <= now:
                    ask(j, now)
                break

    while not all(over):
        moments = [t for t in next_try + ends if t is not None]
        moments += [times[i] for i in range(n) if asked[i] is None and all(over[j] for j in before(i))]
        now = min(moments)
        for h in range(servers):
            if ends[h] == now:
                ends[h] = None
                holders = [holder for holder in holders if holder[0] != h]
                leave(h, now)
        for i in range(n):
            if asked[i] is None and times[i] == now and all(over[j] for j in before(i)):
                ask(i, now)
        while now in next_try:
            h = next_try.index(now)
            i = queue[h][0]
            cluster = None
            if model.clusters > 1 and not fifo:
                cluster = plain_cluster(key, clone_of[i], number[i], hosts, model.clusters, model.affinity, host_of[i])
            reserve = conflicts[h] >= model.fallback_after
            blocked = any(reserved or cluster == held for _, _, held, reserved in holders)
            if not blocked:
                waits[i], retries[i], failed[i] = now - asked[i], conflicts[h], False
                holders.append((h, now + holds[i], cluster, reserve))
                ends[h], next_try[h] = now + holds[i], None
                continue
            conflicts[h] += 1
            if conflicts[h] == model.limit:
                waits[i], retries[i], failed[i] = now - asked[i], conflicts[h], True
                leave(h, now)
            else:
                next_try[h] = now + plain_back_off(
                    key, clone_of[i], number[i], conflicts[h], model.backoff_ns, model.distribution
                )
    return asked, waits, retries, failed

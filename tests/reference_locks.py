"""Contended locks in SimPy, process by process: the slow, obvious twin of clonesim.lun.contend_kernel.

The rules are written down anew, one branch per locking. Of the package it takes the keyed draws only, and those have a
plain twin of their own here.
"""

from math import log1p

import numpy as np
import simpy
from simpy.events import Event

from clonesim.lun.contend_kernel import back_off, pick_cluster, request_key
from clonesim.lun.lock_model import DISTRIBUTIONS

MASK = 2**64 - 1


def own_key(key, host, request):
    """Key of a request; numba hands it out as a Python integer."""
    return np.uint64(request_key(key, host, request))


def plain_child(key, number):
    """SplitMix64's output in Python integers."""
    z = (key + 0x9E3779B97F4A7C15 * (number + 1)) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def plain_back_off(key, host, request, attempt, mean_ns, distribution):
    unit = (plain_child(plain_child(plain_child(key, host), request), attempt) >> 11) / 2**53
    return 1 + int(unit * 2 * mean_ns) if distribution == "uniform" else 1 + int(-log1p(-unit) * mean_ns)


def plain_cluster(key, who, request, hosts, clusters, affinity, host=None):
    drawn = plain_child(plain_child(plain_child(key, who), request), 0)
    host = who if host is None else host
    own = [c for c in range(clusters) if c % hosts == host] or [host % clusters]
    among = own if (drawn >> 11) / 2**53 < affinity else list(range(clusters))
    return among[plain_child(drawn, 0) % len(among)]


class Lun:
    """Who holds what."""

    def __init__(self):
        self.reserved_by = None
        self.held = set()  # clusters


def simpy_locks(times, host_of, holds, hosts, model):
    """Waits, retries, failures, and the times of all conflicts with their rows."""
    env, lun = simpy.Environment(), Lun()
    waits, retries, failed = ([None] * len(times) for _ in range(3))
    met = []

    def at(delay, priority):
        """Event after a delay; at equal times the lower priority number goes first."""
        event = Event(env)
        event._ok, event._value = True, None
        env.schedule(event, priority=priority, delay=delay)
        return event

    def asks_for(host, number):
        if model.name == "scsi-reservation":
            return None
        return pick_cluster(own_key(model.key, host, number), host, hosts, model.clusters, model.affinity)

    def run(host):
        mine = [i for i in range(len(times)) if host_of[i] == host]
        for number, i in enumerate(mine):
            cluster = asks_for(host, number)
            yield at(max(0, times[i] - env.now), 1 + host)
            conflicts, tried_by_reservation = 0, 0
            while True:
                if model.name == "scsi-reservation":
                    reserve, most, free = True, model.tries, lun.reserved_by is None
                elif model.name in ("ats", "ats-only"):
                    reserve, most, free = False, model.tries, cluster not in lun.held
                else:
                    reserve = conflicts >= model.fallback_after
                    most, free = None, lun.reserved_by is None and cluster not in lun.held
                if free:
                    break
                conflicts += 1
                met.append((env.now, i))
                tried_by_reservation += reserve
                if conflicts == most or (most is None and tried_by_reservation == model.tries):
                    break
                key = own_key(model.key, host, number)
                yield at(back_off(key, conflicts, model.backoff_ns, DISTRIBUTIONS[model.distribution]), 1 + host)
            waits[i], retries[i], failed[i] = env.now - times[i], conflicts, not free
            if free:
                if reserve:
                    lun.reserved_by = host
                if cluster is not None:
                    lun.held.add(cluster)
                yield at(holds[i], 0)  # releases go before attempts
                if reserve:
                    lun.reserved_by = None
                lun.held.discard(cluster)

    for host in range(hosts):
        env.process(run(host))
    env.run()
    return waits, retries, failed, met

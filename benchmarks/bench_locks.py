"""Speed of the lock model: the FIFO kernel, back-off, the public call, and SimPy beside them in the same run.

Run: python benchmarks/bench_locks.py
Gates: FIFO kernel at least 50 M requests/s, with back-off 3 M/s, also with 64 clones of one request each at a time,
public call 15 M/s, and 50 times SimPy, for FIFO and for back-off. Medians; SimPy runs the same rules on a part of the
same requests and must give the same waits.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bench_tools import MIB, MILLION, asked, command, finish, machine_text, most_resident, rates

from clonesim.lun import closed_waits, lock_model, lock_queue
from clonesim.lun.lock_model import LockModel
from clonesim.lun.locks import lock_waits

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

HOLD_NS, HOSTS, LOAD = 500_000, 8, 0.5
GATES = {"fifo_kernel": 50.0, "backoff_kernel": 3.0, "closed_kernel": 3.0, "public_call": 15.0, "times_simpy": 50.0}


def draw(n: int, load: float, hosts: int, seed: int = 1) -> tuple[Any, Any, Any]:
    """Poisson requests with constant holds: times, hosts, holds. [ns, 1, ns]"""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(HOLD_NS / load, n)).astype(np.int64)
    return times, rng.integers(0, hosts, n), np.full(n, HOLD_NS)


def simpy_fifo(times: list[int], holds: list[int]) -> list[int]:
    """Waits in SimPy's Resource."""
    import simpy

    env = simpy.Environment()
    lock = simpy.Resource(env, capacity=1)
    waits = [0] * len(times)

    def customer(i: int) -> Any:
        with lock.request() as mine:
            yield mine
            waits[i] = env.now - times[i]
            yield env.timeout(holds[i])

    def source() -> Any:
        for i, at in enumerate(times):
            yield env.timeout(at - env.now)
            env.process(customer(i))

    env.process(source())
    env.run()
    return waits


def run(n: int, rounds: int, part: int) -> dict[str, Any]:
    """All figures; the waits of the first `part` requests are compared with SimPy's."""
    from reference_locks import simpy_locks  # type: ignore[import-not-found]

    times, host, hold = draw(n, LOAD, HOSTS)
    model = lock_model("scsi-reservation")
    frame = pd.DataFrame({"time_s": times / 1e9, "host": host, "hold_s": hold / 1e9})
    found: dict[str, Any] = {
        "fifo_kernel": rates(n, rounds, lambda: lock_waits(times, host, hold)),
        "backoff_kernel": rates(n, rounds, lambda: lock_waits(times, host, hold, model)),
        "closed_kernel": rates(n, rounds, lambda: closed_waits(times, np.arange(n) * 37 % 64, host, hold, model)),
        "public_call": rates(n, rounds, lambda: lock_queue(frame)),
        "public_call_backoff": rates(n, rounds, lambda: lock_queue(frame, model)),
        "more": [],
    }
    for name in ("scsi-reservation", "ats", "ats+scsi"):
        for load, hosts in ((0.1, 8), (0.5, 32), (0.9, 8), (0.9, 32)):
            case = draw(n, load, hosts)
            given = (*case, lock_model(name))
            waits, retries, failed = lock_waits(*given)
            found["more"].append(
                {"locking": name, "load": load, "hosts": hosts}
                | {"per_s": rates(n, 1, lambda given=given: lock_waits(*given))["median"]}  # type: ignore[misc]
                | {"wait_ms": float(waits.mean()) / 1e6, "retries": float(retries.mean()), "failed": int(failed.sum())}
            )
    few = [column[:part] for column in (times, host, hold)]
    lists = [column.tolist() for column in few]
    found["simpy_fifo"] = beside(few, None, lambda: simpy_fifo(lists[0], lists[2]))
    found["simpy_backoff"] = beside(few, model, lambda: simpy_locks(*lists, HOSTS, model)[0])
    return found


def beside(few: list[Any], model: LockModel | None, slow: Callable[[], list[int]]) -> dict[str, Any]:
    """SimPy's rate and the kernel's on the same requests, and their ratio; the waits must be the same."""
    n = few[0].size
    begin = time.perf_counter()
    waits = slow()
    taken = time.perf_counter() - begin
    mine = lock_waits(*few) if model is None else lock_waits(*few, model)
    if mine[0].tolist() != waits:
        sys.exit("SimPy and the kernel disagree")
    fast = rates(n, 5, lambda: lock_waits(*few) if model is None else lock_waits(*few, model))["median"]
    return {"simpy": round(n / taken / MILLION, 4), "kernel": fast, "times_simpy": round(fast * MILLION * taken / n, 1)}


def main(argv: Sequence[str] | None = None) -> int:
    """Print command, machine and figures; exit with 1 where a gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=5 * MILLION)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", type=int, default=100_000, help="requests that SimPy serves too")
    chosen = asked(parser, argv, requests=5000, rounds=1, part=500)
    found = run(chosen.requests, chosen.rounds, chosen.part)
    ratio = min(found["simpy_fifo"]["times_simpy"], found["simpy_backoff"]["times_simpy"])
    got = {name: found[name]["median"] for name in GATES if name in found} | {"times_simpy": ratio}
    found |= {
        "requests": chosen.requests,
        "peak_mib": round(most_resident() / MIB),
        "gates": GATES,
        "passed": all(got[name] >= GATES[name] for name in GATES),
    }
    print(f"command  {command(chosen)}\nmachine  {machine_text()}, peak memory {found['peak_mib']} MiB")
    show(found)
    return finish(chosen, found, found["passed"])


def show(found: dict[str, Any]) -> None:
    """Print the figures as lines."""
    print(f"workload {found['requests']:,} Poisson requests, {HOSTS} hosts, load {LOAD}, hold {HOLD_NS / 1e6} ms")
    for name in ("fifo_kernel", "backoff_kernel", "closed_kernel", "public_call", "public_call_backoff"):
        one, gate = found[name], f", wanted {GATES[name]:g}" if name in GATES else ""
        print(f"{name}: {one['median']:.1f} M/s ({one['slowest']:.1f} to {one['fastest']:.1f}){gate}")
    for name in ("simpy_fifo", "simpy_backoff"):
        one = found[name]
        print(f"{name}: {one['simpy'] * 1000:.1f} k/s; kernel {one['times_simpy']:,.0f} times as fast, wanted 50")
    for one in found["more"]:
        print(
            f"{one['locking']}, {one['hosts']} hosts, load {one['load']}: {one['per_s']:.1f} M/s, mean wait "
            f"{one['wait_ms']:.3f} ms, {one['retries']:.3f} retries, {one['failed']} failed"
        )
    print("passed" if found["passed"] else "MISSED a gate")


if __name__ == "__main__":
    sys.exit(main())

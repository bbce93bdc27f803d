"""Where the parts of a simulation run: in this process, in processes of our own, or on the user's executor."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clonesim.errors import ParameterError, WorkerError

WORTH_PROCESSES = 4_000  # desktop-days below which starting processes costs more than it brings
ANSWER_S = 10.0  # for a scheduler to answer
MAIN_MODULES = ("clonesim", "clonesim.__main__", "clonesim.cli")


@contextmanager
def workers(executor: Executor | None, desktop_days: float, count: int | None = None) -> Iterator[Executor | None]:
    """Executor for a simulation of so many desktop-days; None: do it in this process.

    Without an executor, processes are started where they pay and where they can: not from a script, which new
    processes would run again from its first line.

    Parameters
    ----------
    executor : Executor, optional
        The user's own; it is left open.
    desktop_days : float
        Size of the simulation.
    count : int, optional
        Processes to start; by default one per core, and none for small simulations. 1: none.
    """
    if executor is not None:
        yield executor
        return
    number = count if count is not None else _usual(desktop_days)
    if number <= 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(number, mp_context=context, initializer=_end_with_parent) as own:
        yield own


@contextmanager
def scheduler(address: str | None) -> Iterator[Executor | None]:
    """Executor of a Dask scheduler such as "tcp://head:8786"; None for no address.

    Raises
    ------
    ParameterError
        If the extra is missing, the address is none, or nobody answers there.
    WorkerError
        If no worker has joined the scheduler.
    """
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        remedy = "Install it: pip install 'clonesim[distributed]'."
        raise ParameterError("scheduler", address, "distributed is not installed", remedy) from None
    try:
        client: Any = Client(address, timeout=ANSWER_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        remedy = "Start one with `dask scheduler`, and give the address that it tells, such as tcp://head:8786."
        raise ParameterError("scheduler", address, f"no scheduler answers there ({_line(error)})", remedy) from None
    _silence("distributed", "tornado", "asyncio")  # what goes wrong is told by our errors
    with client:
        if not client.scheduler_info()["workers"]:
            raise WorkerError(f"No worker has joined the scheduler {address}. Start some: dask worker {address}")
        yield client.get_executor(pure=False)


def _silence(*names: str) -> None:
    """Let these loggers tell nothing, nor those below them, of which some have levels of their own."""
    known = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in names]
    for name in {*names, *known}:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _line(error: Exception) -> str:
    """An error's text, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _end_with_parent() -> None:
    """Make a worker process end when its parent has ended, however that came about; it would wait forever for work."""
    import threading

    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for, args=(parent,), daemon=True).start()


def _wait_for(parent: Any) -> None:
    parent.join()
    os._exit(1)


def width(executor: Executor) -> float:
    """Jobs that an executor works on at a time; infinite where it does not tell."""
    client = getattr(executor, "_client", None)
    if client is not None:
        return float(sum(client.nthreads().values()))
    return float(getattr(executor, "_max_workers", math.inf))


def results(
    executor: Executor | None,
    function: Callable[[Any], Any],
    jobs: Sequence[Any],
    work: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, Any]]:
    """Results of all jobs with their positions, as they get done; `progress` is told the work done and in all."""
    each = [1] * len(jobs) if work is None else work
    done, total = 0, sum(each)
    for k, result in _results(executor, function, jobs):
        yield k, result
        done += each[k]
        if progress:
            progress(done, total)


def _results(
    executor: Executor | None, function: Callable[[Any], Any], jobs: Sequence[Any]
) -> Iterator[tuple[int, Any]]:
    if executor is None:
        for k, job in enumerate(jobs):
            yield k, function(job)
        return
    futures: dict[Future[Any], int] = {}
    try:
        futures |= {executor.submit(function, job): k for k, job in enumerate(jobs)}
        for future in as_completed(futures):
            yield futures.pop(future), future.result()
    except BrokenExecutor as error:
        what = "A worker process ended before its work was done: memory ran out, or a script started it that has no"
        remedy = "`if __name__ == '__main__':`. Ask for fewer processes; processes=1 needs no workers."
        raise WorkerError(f"{what} {remedy}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "distributed":
            raise
        remedy = "Look at the workers' logs: memory ran out, or they do not reach the folder of the results."
        raise WorkerError(f"The scheduler gave up a part of the work ({_line(error)}). {remedy}") from error
    finally:
        for future in futures:
            future.cancel()


def _usual(desktop_days: float) -> int:
    if desktop_days < WORTH_PROCESSES or not _may_spawn():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _may_spawn() -> bool:
    """Whether new processes would not run the caller's script again: a notebook, a prompt, our command line."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return spec.name in MAIN_MODULES
    path = getattr(main, "__file__", None)
    return path is None or Path(path).stem.removesuffix(".exe") in ("clonesim", "clonesim-script")

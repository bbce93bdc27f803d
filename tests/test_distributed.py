"""Clones simulated by workers of a Dask scheduler, each a process: the same bytes, also when one is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_parts import COMMAND as SHORT
from test_parts import files, of

from clonesim.errors import ParameterError, WorkerError
from clonesim.pool.workers import scheduler

pytest.importorskip("distributed", reason="distributed is missing: pip install 'clonesim[distributed]'")
SECONDS = 120
COMMAND = [word.replace("pool.clones=24", "pool.clones=150").replace("pool.days=3", "pool.days=8") for word in SHORT]
PARTS = 50  # of this pool: three clones each; some seconds of work, so that a worker can be killed midway
QUIET = {**os.environ, "DASK_DISTRIBUTED__ADMIN__LOG_FORMAT": "%(message)s"}


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of Dask's, ended in the end."""
    command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=QUIET) as program:
        try:
            yield program
        finally:
            program.terminate()
            try:
                program.wait(20)
            except subprocess.TimeoutExpired:
                program.kill()


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler's address, and its workers: the recipe of docs/distributed.md, on this machine."""
    from contextlib import ExitStack

    file = folder / "scheduler.json"
    with ExitStack() as stack:
        stack.enter_context(started("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)))
        until(lambda: file.is_file() and file.stat().st_size > 0)
        address = json.loads(file.read_text())["address"]
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
        yield address, [stack.enter_context(started("worker", address, *options)) for _ in range(workers)]


def until(holds) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> dict[str, bytes]:
    """Files of the same run in one process."""
    out = tmp_path_factory.mktemp("straight")
    subprocess.run([*COMMAND, "--out", str(out)], check=True, capture_output=True)
    return files(out)


def joined(address: str, count: int) -> bool:
    from distributed import Client

    with Client(address, timeout=10, set_as_default=False) as client:
        return len(client.scheduler_info()["workers"]) == count


def test_one_of_two_workers_is_killed_midway(straight, tmp_path) -> None:
    out = tmp_path / "out"
    with cluster(tmp_path, 2) as (address, workers):
        until(lambda: joined(address, 2))
        command = [*COMMAND, "--out", str(out), "--scheduler", address]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as driver:
            until(lambda: len(of(out)) >= 3 or driver.poll() is not None)
            assert driver.poll() is None, "over before a worker could be killed"
            workers[1].send_signal(signal.SIGKILL)
            _, err = driver.communicate(timeout=SECONDS)
        assert driver.returncode == 0, err
    assert files(out) == straight
    assert not (out / "parts").exists()


def test_all_workers_are_lost_and_the_run_goes_on_here(straight, tmp_path) -> None:
    """The scheduler waits for new workers; the user stops the driver, and the same command goes on without Dask."""
    out = tmp_path / "out"
    with cluster(tmp_path, 1) as (address, workers):
        until(lambda: joined(address, 1))
        command = [*COMMAND, "--out", str(out), "--scheduler", address]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as driver:
            until(lambda: len(of(out)) >= 2 or driver.poll() is not None)
            workers[0].send_signal(signal.SIGKILL)
            time.sleep(0.5)
            driver.send_signal(signal.SIGINT)
            _, err = driver.communicate(timeout=SECONDS)
        assert driver.returncode == 130, err
        assert "clonesim: interrupted. What is finished is kept in" in err
        assert "Traceback" not in err
    done = len(of(out))
    assert 2 <= done < PARTS
    subprocess.run([*COMMAND, "--out", str(out)], check=True, capture_output=True)
    assert files(out) == straight


def test_a_scheduler_without_workers_is_refused(tmp_path) -> None:
    with cluster(tmp_path, 0) as (address, _):
        done = subprocess.run([*COMMAND, "--scheduler", address], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"clonesim: No worker has joined the scheduler {address}. Start some: dask worker {address}\n"


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "ftp://x:1"])
def test_nobody_answers(address, monkeypatch) -> None:
    monkeypatch.setattr("clonesim.pool.workers.ANSWER_S", 0.5)
    told = r"no scheduler answers there \(.*\)\. Start one with `dask scheduler`"
    with pytest.raises(ParameterError, match=told), scheduler(address):
        raise AssertionError


def test_without_an_address_there_is_no_executor() -> None:
    with scheduler(None) as executor:
        assert executor is None


def test_the_extra_is_named_where_it_is_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    told = r"scheduler='tcp://x:1': distributed is not installed\. Install it: pip"
    with pytest.raises(ParameterError, match=told), scheduler("tcp://x:1"):
        raise AssertionError


def test_what_the_scheduler_gives_up_is_told() -> None:
    from concurrent.futures import Future

    from distributed.scheduler import KilledWorker

    from clonesim.pool.workers import results

    class GivesUp:
        def submit(self, *_):
            future = Future()
            future.set_exception(KilledWorker("part", SimpleNamespace(address="tcp://w"), 3))
            return future

    with pytest.raises(
        WorkerError, match=r"The scheduler gave up a part of the work \(.*\)\. Look at the workers' logs"
    ):
        list(results(GivesUp(), int, ["1"]))

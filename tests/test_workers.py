"""Where jobs run: how many processes, what is cancelled, and how a worker's error reaches the user."""

import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from pool_tools import Reversed, small

from clonesim.errors import (
    ClonesimError,
    FileNameError,
    ParameterError,
    Problem,
    ScenarioError,
    TraceError,
    VolumeFullError,
    WorkerError,
)
from clonesim.pool import workers as module
from clonesim.pool.simulate import simulate
from clonesim.pool.workers import WORTH_PROCESSES, results, workers


class TestWhere:
    def test_the_user_s_executor_is_left_open(self) -> None:
        with ThreadPoolExecutor(1) as mine:
            with workers(mine, 10**9, 4) as found:
                assert found is mine
            assert mine.submit(int, "3").result() == 3

    @pytest.mark.parametrize("count", [1, None])
    def test_a_small_simulation_stays_here(self, count) -> None:
        with workers(None, WORTH_PROCESSES - 1, count) as found:
            assert found is None

    def test_one_process_asked_for_stays_here(self) -> None:
        with workers(None, 10**9, 1) as found:
            assert found is None

    def test_two_asked_for_are_started_and_stopped(self) -> None:
        with workers(None, 1, 2) as found:
            assert found.submit(os.getpid).result() != os.getpid()
        with pytest.raises(RuntimeError, match="shutdown"):
            found.submit(os.getpid)

    @pytest.mark.parametrize(
        ("main", "expected"),
        [
            (SimpleNamespace(__spec__=None, __file__="/home/me/study.py"), 1),  # a script: it would run again
            (SimpleNamespace(__spec__=SimpleNamespace(name="study")), 1),  # python -m study
            (SimpleNamespace(__spec__=None), None),  # a notebook, a prompt
            (SimpleNamespace(__spec__=None, __file__="/venv/bin/clonesim"), None),
            (SimpleNamespace(__spec__=None, __file__="C:/venv/Scripts/clonesim.exe"), None),
            (SimpleNamespace(__spec__=SimpleNamespace(name="clonesim.__main__")), None),
        ],
    )
    def test_processes_only_where_no_script_runs_twice(self, monkeypatch, main, expected) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        monkeypatch.setitem(sys.modules, "__main__", main)
        assert module._usual(WORTH_PROCESSES) == (expected or cores)
        assert module._usual(WORTH_PROCESSES - 1) == 1

    def test_a_script_without_a_guard_is_not_run_twice(self, tmp_path) -> None:
        """A plain script that simulates enough for processes: its first line is printed once."""
        script = tmp_path / "study.py"
        script.write_text(
            "import clonesim.pool.workers as w\n"
            "print('here')\n"
            "with w.workers(None, 10**9) as found:\n"
            "    print(found)\n"
        )
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["here", "None"]


class TestResults:
    def test_here_one_by_one(self) -> None:
        seen: list[int] = []
        found = results(None, lambda job: seen.append(job) or job, [5, 6])
        assert next(found) == (0, 5)
        assert seen == [5], "lazily: progress is told in between"
        assert next(found) == (1, 6)

    def test_positions_whatever_the_order(self) -> None:
        assert dict(results(Reversed(), str, [7, 8, 9, 10])) == {0: "7", 1: "8", 2: "9", 3: "10"}

    def test_one_failure_cancels_what_has_not_begun(self) -> None:
        started: list[int] = []
        go = threading.Event()

        def job(number: int) -> int:
            started.append(number)
            if number == 0:
                go.wait(10)
                raise ParameterError("guest.used", 1, "too little")
            return number

        with ThreadPoolExecutor(1) as executor:
            found = results(executor, job, range(50))
            go.set()
            with pytest.raises(ParameterError, match=r"guest\.used=1: too little"):
                list(found)
        assert len(started) < 50

    def test_an_interrupted_caller_cancels(self) -> None:
        """Ctrl-C, or a caller that stops listening: closing the generator cancels."""

        class Never(Executor):
            def __init__(self) -> None:
                self.futures: list[Future] = []

            def submit(self, fn, /, *args, **kwargs):
                future = Future()
                self.futures.append(future)
                if len(self.futures) == 1:
                    future.set_result(0)
                return future

        executor = Never()
        found = results(executor, int, range(3))
        assert next(found) == (0, 0)
        found.close()
        assert [future.cancelled() for future in executor.futures] == [False, True, True]


class Dying(Executor):
    """Its processes are gone, as after the kernel's out-of-memory killer."""

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        future.set_exception(BrokenExecutor("A process in the process pool was terminated abruptly"))
        return future


class TestErrors:
    def test_a_worker_s_error_reaches_the_user(self) -> None:
        scenario = small(guest={"used": "300 MiB"})
        with pytest.raises(ParameterError) as here:
            simulate(scenario, processes=1)
        with pytest.raises(ParameterError) as there:
            simulate(scenario, processes=2)
        assert str(here.value) == str(there.value)
        assert str(here.value).startswith("guest.used='300 MiB': the page file, caches and databases in use need ")

    def test_a_worker_that_died(self) -> None:
        with pytest.raises(WorkerError) as caught:
            simulate(small(), executor=Dying())
        assert isinstance(caught.value, ClonesimError)
        assert str(caught.value) == (
            "A worker process ended before its work was done: memory ran out, or a script started it that has no "
            "`if __name__ == '__main__':`. Ask for fewer processes; processes=1 needs no workers."
        )

    @pytest.mark.parametrize(
        "error",
        [
            ParameterError("guest.used", "1 GiB", "too little", "Take more."),
            ScenarioError("mine", [Problem("guest.used", 1, "too little")]),
            TraceError("a.csv", "no number", "Look there.", 3, "offset", "x"),
            VolumeFullError("full"),
            FileNameError("name='a': no such file."),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_errors_travel_whole(self, error: ClonesimError) -> None:
        arrived = pickle.loads(pickle.dumps(error))
        assert (type(arrived), str(arrived), vars(arrived)) == (type(error), str(error), vars(error))

"""Trials: the tests of a file's group run against one mutant of it, in a forked process of its own.

A session is a process that holds Numba with compiling switched off, clonesim from a copy of the tree, and the tests
of a group, collected once. For each mutant it forks a child, which puts the changed function's code into place and
runs the tests that reach that function, those first that killed other mutants of the file, then the quickest, until
one fails. What is changed outside functions (constants, decorators), or in functions that run while modules are
imported, is written to the copy, and a session of its own imports it.

A test that takes far more processor time than it does unchanged ends the child: the mutant runs for ever, or nearly,
and is killed by its time. Limits count processor time, so a busy machine changes no outcome.
"""

from __future__ import annotations

import fnmatch
import json
import os
import resource
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import patch

COPIED = ("clonesim", "tests", "data", "pyproject.toml")
CEILING = 3 * 2**30  # memory of a child, and of the process that measures what tests take unchanged [B]
IMPORTS = 60.0  # processor seconds for importing and collecting, and for a test's fixtures
CALM = ["-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
LEFT = shutil.ignore_patterns("__pycache__", "baseline")


def copy_tree(root: Path, folder: Path) -> None:
    """Copy what the tests need."""
    for name in COPIED:
        source, target = root / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=LEFT, dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def warm_up(folder: Path) -> None:
    """Import what every session needs, with compiling switched off; never clonesim itself."""
    os.environ |= {"NUMBA_DISABLE_JIT": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"}
    os.chdir(folder)
    sys.path[:0] = [str(folder), str(folder / "tests")]
    import hypothesis.stateful
    import numba
    import pandas
    import plain_kernels
    import pyarrow
    import pydantic
    import pytest
    import scipy.stats

    assert numba.config.DISABLE_JIT and plain_kernels and pandas and pyarrow and pydantic and pytest and scipy
    # The same examples at every trial, none kept for the next; no time spent on making a failure small.
    hypothesis.settings.register_profile(
        "trial", database=None, derandomize=True, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate]
    )
    hypothesis.settings.load_profile("trial")


def limit_memory() -> None:
    """Let this process have no more memory than a trial may take."""
    resource.setrlimit(resource.RLIMIT_AS, (CEILING, CEILING))


class Slow(BaseException):
    """A test takes longer than the baseline wants to know."""


class Session:
    """Plugin of pytest that runs jobs instead of the collected tests.

    Parameters
    ----------
    jobs : sequence of dict
        "key", "path", "nodes" (tests in the order wanted, with their limits [s]), and "source" (the changed file), or
        None if the copy of the tree is changed already.
    say : callable
        Takes a dict for each job when it ended.
    folder : Path
        Where children leave notes.
    """

    def __init__(self, jobs: Sequence[dict[str, Any]], say: Any, folder: Path) -> None:
        self.jobs, self.say, self.notes = jobs, say, folder / f"notes-{os.getpid()}"
        self.killers: dict[str, list[str]] = {}

    def pytest_runtestloop(self, session: Any) -> bool:
        """Run the jobs, each in a child."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        items = {item.nodeid: item for item in session.items}
        for job in self.jobs:
            if session.testsfailed:  # a test's module could not be imported
                self.say({"key": job["key"], "outcome": "killed", "by": "import"})
                continue
            first = [node for node in self.killers.get(job["path"], ()) if node in job["nodes"]]
            order = [items[node] for node in dict.fromkeys([*first, *job["nodes"]]) if node in items]
            self.notes.unlink(missing_ok=True)
            child = os.fork()
            if not child:
                self.try_one(job, order)
            _, status = os.waitpid(child, 0)
            how, by = self.outcome(status)
            if by:
                known = self.killers.setdefault(job["path"], [])
                known[:] = [by, *(node for node in known if node != by)][:6]
            self.say({"key": job["key"], "outcome": how, "by": by})
        return True

    def try_one(self, job: dict[str, Any], order: list[Any]) -> None:
        """Be the child: change the function, run the tests."""
        code = 8
        try:
            limit_memory()
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)  # `0 is x` is a mutant like any other
                put = job["source"] is None or patch.put(job["path"], job["source"])
            if put:
                code = 0
                for item, after in zip(order, [*order[1:], None], strict=True):
                    self.note(item.nodeid)
                    self.limit = job["nodes"][item.nodeid]
                    self.failed = False
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
                    if self.failed:
                        code = 1
                        break
            else:
                code = 7
        finally:
            os._exit(code)

    def note(self, nodeid: str) -> None:
        """Leave the name of the test that is running."""
        self.notes.write_text(nodeid, encoding="utf-8")
        signal.setitimer(signal.ITIMER_PROF, IMPORTS)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Give the test its time when its fixtures are ready."""
        if report.when == "setup":
            signal.setitimer(signal.ITIMER_PROF, self.limit)
        elif report.when == "call":
            signal.setitimer(signal.ITIMER_PROF, IMPORTS)
        self.failed |= report.outcome == "failed"

    def outcome(self, status: int) -> tuple[str, str]:
        """How a trial ended, and the test that ended it."""
        last = self.notes.read_text(encoding="utf-8") if self.notes.exists() else ""
        if os.WIFSIGNALED(status):
            return ("time" if os.WTERMSIG(status) == signal.SIGPROF else "killed"), last
        code = os.WEXITSTATUS(status)
        assert last or code in (0, 7), f"a trial ended with {code} before its first test"
        ways = {0: ("survived", ""), 7: ("import", "")}  # 7: not to be put into place, must be imported
        return ways.get(code, ("killed", last))


class Baseline:
    """Plugin of pytest that learns how long each test takes unchanged, and which functions it reaches.

    Parameters
    ----------
    packages : list of Path
        Whose functions.
    most : float
        Tests that take longer are given up [s].
    without : list of str
        Patterns of tests to leave out.
    data : Path
        Coverage's file.
    """

    def __init__(self, packages: list[Path], most: float, without: list[str], data: Path) -> None:
        import coverage

        self.most, self.without = most, without
        self.times: dict[str, float] = {}
        self.cover = coverage.Coverage(
            data_file=str(data), source=[str(path) for path in packages], config_file=False, messages=False
        )
        self.cover.start()
        self.outcomes: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave tests out."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        items[:] = [
            item
            for item in items
            if not any(fnmatch.fnmatchcase(item.nodeid.replace("[", "<"), p.replace("[", "<")) for p in self.without)
        ]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Count lines for this test from here on."""
        self.cover.switch_context(nodeid)
        signal.signal(signal.SIGPROF, self.give_up)
        self.begun = time.process_time()

    def give_up(self, _number: int, frame: Any) -> None:
        """Break the test off; a moment later where coverage is at work, which may hold a lock."""
        import coverage

        own = str(Path(coverage.__file__).parent)
        while frame is not None:
            if frame.f_code.co_filename.startswith(own):
                signal.setitimer(signal.ITIMER_PROF, 0.01)
                return
            frame = frame.f_back
        raise Slow

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep time and outcome."""
        if report.when == "setup":
            self.begun = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, self.most)
        elif report.when == "call":
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.times[report.nodeid] = round(time.process_time() - self.begun, 3)
        if self.outcomes.get(report.nodeid) != "failed":
            self.outcomes[report.nodeid] = report.outcome

    def pytest_sessionfinish(self) -> None:
        """Keep the lines."""
        self.cover.stop()
        self.cover.save()


def forked(work: Any) -> Iterator[dict[str, Any]]:
    """Do `work(say)` in a child; what it says, as it comes."""
    sys.stdout.flush()
    sys.stderr.flush()
    there, here = os.pipe()
    child = os.fork()
    if not child:
        os.close(there)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, IMPORTS)
        try:
            if not os.environ.get("MUTATION_LOUD"):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 1)
                os.dup2(null, 2)
            with os.fdopen(here, "w", encoding="utf-8") as file:
                work(lambda row: (file.write(json.dumps(row) + "\n"), file.flush()))
        finally:
            os._exit(0)
    os.close(here)
    with os.fdopen(there, encoding="utf-8") as file:
        yield from map(json.loads, file)
    os.waitpid(child, 0)


def run_session(tests: Sequence[str], plugin: Any, keep_compiled: bool) -> None:
    """Collect tests and hand them to a plugin (in a forked process)."""
    import pytest

    sys.dont_write_bytecode = not keep_compiled
    pytest.main([*CALM, *tests], plugins=[plugin])

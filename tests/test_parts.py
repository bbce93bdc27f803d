"""An interrupted run goes on: whatever ended it, the same bytes come out, and only the part in work is lost."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pool_tools import small

from clonesim.cli import main
from clonesim.errors import ParameterError, WriteError
from clonesim.pool import clones, parts, replicates
from clonesim.pool.parts import FOLDER, STATE, Parts, decode, encode, is_whole, progress_of, run_key
from clonesim.pool.simulate import simulate
from clonesim.pool.store import Store
from clonesim.scenario.load import load_scenario

KILLS = 20
COMMAND = [sys.executable, "-m", "clonesim", "run", "windows-7-office", "--set", "pool.clones=24"]
COMMAND += ["--set", "pool.days=3", "--band", "none", "--processes", "1", "--seed", "7"]
ON_POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork is missing: no process can be killed so")


@pytest.fixture(scope="module")
def scenario():
    return small(pool={"clones": 24, "days": 3})


@pytest.fixture(scope="module")
def whole(scenario, tmp_path_factory) -> dict[str, bytes]:
    """Files of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    simulate(scenario, seed=7, out=folder)
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def of(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{FOLDER}/*/*.part"))


class StopError(Exception):
    pass


def stopped(scenario, folder: Path, after: int, monkeypatch, **options) -> None:
    """Run until so many parts are made, and stop."""
    made = []

    def run_job(job):
        if len(made) == after:
            raise StopError
        made.append(job)
        return clones.run_job(job)

    with monkeypatch.context() as patch:
        patch.setattr(parts, "run_job", run_job)
        with pytest.raises(StopError):
            simulate(scenario, seed=7, out=folder, **options)


def counted(monkeypatch) -> list:
    """Jobs that are simulated from now on."""
    jobs = []

    def run_job(job):
        jobs.append(job)
        return clones.run_job(job)

    monkeypatch.setattr(parts, "run_job", run_job)
    return jobs


class TestGoingOn:
    def test_what_is_finished_is_not_made_again(self, scenario, whole, tmp_path, monkeypatch) -> None:
        stopped(scenario, tmp_path, 9, monkeypatch)
        assert len(of(tmp_path)) == 9
        jobs = counted(monkeypatch)
        simulate(scenario, seed=7, out=tmp_path)
        assert len(jobs) == 24 - 9  # a job has one clone here
        assert files(tmp_path) == whole
        assert not (tmp_path / FOLDER).exists()

    @pytest.mark.parametrize("harm", ["cut", "emptied", "a bit turned", "head lost", "deleted"])
    def test_a_torn_part_is_made_again(self, harm, scenario, whole, tmp_path, monkeypatch) -> None:
        stopped(scenario, tmp_path, 6, monkeypatch)
        victim = of(tmp_path)[2]
        data = bytearray(victim.read_bytes())
        if harm == "cut":
            data = data[: len(data) // 2]
        elif harm == "emptied":
            data = bytearray()
        elif harm == "a bit turned":
            data[-100] ^= 4
        elif harm == "head lost":
            data = data[data.index(b"\n") + 1 :]
        victim.write_bytes(bytes(data))
        if harm == "deleted":
            victim.unlink()
        (state,) = progress_of(tmp_path)
        assert (state.parts, state.done, state.torn) == (24, 5, 0 if harm == "deleted" else 1)
        jobs = counted(monkeypatch)
        simulate(scenario, seed=7, out=tmp_path)
        assert len(jobs) == 24 - 5
        assert files(tmp_path) == whole

    def test_parts_of_a_changed_scenario_are_not_mixed(self, scenario, whole, tmp_path, monkeypatch) -> None:
        stopped(scenario, tmp_path, 9, monkeypatch)
        other = load_scenario(scenario, guest={"policy": "best-fit"})
        jobs = counted(monkeypatch)
        simulate(other, seed=7, out=tmp_path)
        assert len(jobs) == 24
        assert files(tmp_path)["growth.parquet"] != whole["growth.parquet"]
        assert len(of(tmp_path)) == 9  # of the other scenario: they stay until it goes on
        simulate(scenario, seed=8, out=tmp_path)
        assert len(jobs) == 48
        simulate(scenario, seed=7, out=tmp_path)
        assert files(tmp_path) == whole
        assert not (tmp_path / FOLDER).exists()

    def test_another_start_under_the_same_name_is_another_key(self, tmp_path, monkeypatch) -> None:
        import numpy as np

        path = tmp_path / "start.bin"
        usual = small(pool={"clones": 2, "days": 1})
        start = usual.guest.start.model_copy(update={"bitmap": str(path)})
        given = usual.model_copy(update={"guest": usual.guest.model_copy(update={"start": start})})
        path.write_bytes(np.zeros(8, np.uint8).tobytes())
        before = run_key(given, 0)
        path.write_bytes(np.ones(8, np.uint8).tobytes())
        assert run_key(given, 0) != before

    def test_replicates_and_rebalances_go_on_too(self, tmp_path, monkeypatch) -> None:
        scenario = small(
            pool={"clones": 12, "days": 3},
            luns={"count": 2},
            strategy=[{"name": "rebalance", "every": "1 d", "at": "03:30"}],
        )
        usual = simulate(scenario, seed=7, replicates=2)
        stopped(scenario, tmp_path, 17, monkeypatch, replicates=2)
        run = simulate(scenario, seed=7, replicates=2, out=tmp_path)
        assert run.hash == usual.hash

    @ON_POSIX
    def test_killed_at_any_moment_it_comes_to_the_same_bytes(self, scenario, whole, tmp_path) -> None:
        """SIGKILL of the driver at 20 random moments, each time followed by a run to the end."""
        begun = time.perf_counter()
        simulate(scenario, seed=7, out=tmp_path / "warm")
        length = time.perf_counter() - begun
        rng = random.Random(1)
        midway = 0
        for k in range(KILLS):
            folder = tmp_path / str(k)
            child = os.fork()
            if child == 0:  # pragma: no cover (a process of its own)
                simulate(scenario, seed=7, out=folder)
                os._exit(0)
            time.sleep(rng.uniform(0.02, 1.1) * length)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            midway += bool(of(folder))
            simulate(scenario, seed=7, out=folder)
            assert files(folder) == whole
            assert not (folder / FOLDER).exists()
        assert midway >= KILLS // 4  # most were killed while clones were simulated


class TestFaults:
    def test_a_full_disk_is_told_and_the_run_goes_on(self, whole, tmp_path) -> None:
        """A limit on the size of files stands for the disk: an error of the same kind, met at the first large part."""
        resource = pytest.importorskip("resource")
        out = tmp_path / "out"

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))

        command = [*COMMAND, "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited)
        assert done.returncode == 2
        assert "it cannot be written: File too large" in done.stderr
        assert f"What is finished is kept in {out / FOLDER}: the same command goes on from there." in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(out.rglob(".*"))
        again = subprocess.run(command, capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        assert not (out / FOLDER).exists()

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a program can catch")
    def test_sigterm_ends_cleanly_and_the_run_goes_on(self, tmp_path) -> None:
        out, straight = tmp_path / "out", tmp_path / "straight"
        run = subprocess.Popen(
            [*COMMAND, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 120
        while not of(out) and time.monotonic() < deadline and run.poll() is None:
            time.sleep(0.01)
        run.send_signal(signal.SIGTERM)
        _, err = run.communicate(timeout=120)
        assert run.returncode == 128 + signal.SIGTERM
        assert (
            err
            == f"clonesim: stopped. What is finished is kept in {out / FOLDER}: the same command goes on from there.\n"
        )
        for folder in (out, straight):
            subprocess.run([*COMMAND, "--out", str(folder)], check=True, capture_output=True)
        assert files(out) == files(straight)

    @ON_POSIX
    def test_workers_end_when_their_parent_was_killed(self, tmp_path) -> None:
        code = (
            "import time\nfrom clonesim.pool.workers import workers\nimport os\n"
            "if __name__ == '__main__':\n"
            "    with workers(None, 1, 2) as pool:\n"
            "        print(pool.submit(os.getpid).result(), flush=True)\n        time.sleep(600)\n"
        )
        path = tmp_path / "driver.py"
        path.write_text(code)
        with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True) as driver:
            worker = int(driver.stdout.readline())
            driver.kill()
        deadline = time.monotonic() + 30
        while alive(worker) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive(worker)

    def test_a_worker_s_error_says_that_parts_are_kept(self, scenario, tmp_path, monkeypatch) -> None:
        def run_job(job):
            raise WriteError("x", "No space left on device", "Make room")

        monkeypatch.setattr(parts, "run_job", run_job)
        with pytest.raises(WriteError) as caught:
            simulate(scenario, seed=7, out=tmp_path)
        assert caught.value.__notes__ == [
            f"What is finished is kept in {tmp_path / FOLDER}: the same command goes on from there."
        ]


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


class TestParts:
    def test_a_batch_comes_back_bit_for_bit(self, scenario) -> None:
        job = replicates._jobs(scenario, 7, 0, clones.timeline(scenario, 7, 0), 1)[0]
        batch = clones.run_job(job)
        again = decode(encode(batch), job)
        for name in parts.ARRAYS:
            one, other = getattr(batch, name), getattr(again, name)
            assert one.dtype == other.dtype and np.array_equal(one, other), name
        assert encode(again) == encode(batch)

    def test_every_cut_and_every_turned_byte_is_found_out(self, scenario) -> None:
        job = replicates._jobs(scenario, 7, 0, clones.timeline(scenario, 7, 0), 1)[0]
        data = encode(clones.run_job(job))
        assert is_whole(data)
        for cut in [0, 1, 40, len(data) // 2, len(data) - 1]:
            assert not is_whole(data[:cut])
        rng = random.Random(3)
        for _ in range(300):
            place = rng.randrange(len(data))
            harmed = data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
            found = decode(harmed, job)
            assert found is None or encode(found) == data  # the length in the head may be another way to write it

    def test_status_of_folders(self, scenario, tmp_path, monkeypatch) -> None:
        assert progress_of(tmp_path) == []
        stopped(scenario, tmp_path, 4, monkeypatch)
        (found,) = progress_of(tmp_path)
        assert (found.parts, found.done, found.torn) == (24, 4, 0)
        assert (found.desktops, found.days, found.replicates, found.seed) == (24, 3, 1, 7)
        state = next(tmp_path.glob(f"{FOLDER}/*/{STATE}"))
        state.write_text("{")
        with pytest.raises(ParameterError, match=r"the file is damaged\. Delete it\."):
            progress_of(tmp_path)

    def test_the_command_tells_it(self, scenario, tmp_path, monkeypatch, capsys) -> None:
        assert main(["status", str(tmp_path / "none")]) == 2
        assert "there is no such folder. Name the one given to --out." in capsys.readouterr().err
        assert main(["status", str(tmp_path)]) == 2
        assert "no run was begun or finished in this folder. Name the one" in capsys.readouterr().err
        stopped(scenario, tmp_path, 4, monkeypatch)
        of(tmp_path)[0].write_bytes(b"torn")
        assert main(["status", str(tmp_path)]) == 0
        told = capsys.readouterr().out
        assert re.search(r"24 +3 +1 +7 +24 +3 +12\.5 +1 ", told)
        simulate(scenario, seed=7, out=tmp_path)
        assert main(["status", str(tmp_path), "--json"]) == 0
        finished = {"folder": ".", "desktops": 24, "days": 3, "replicates": 1, "seed": 7}
        assert json.loads(capsys.readouterr().out) == {"begun": [], "finished": [finished]}


class TestStore:
    def test_files_are_whole_or_not_there(self, tmp_path) -> None:
        store = Store(tmp_path / "new")
        assert store.get("a/b.part") is None
        assert store.names("a") == []
        store.put("a/b.part", b"one")
        store.put("a/b.part", b"two", final=True)
        store.put("a/c", b"")
        assert store.get("a/b.part") == b"two"
        assert store.names("a") == ["a/b.part", "a/c"]
        assert sorted(path.name for path in (tmp_path / "new/a").iterdir()) == ["b.part", "c"]
        store.remove("a")
        assert store.names("a") == []
        store.remove("a")

    def test_a_remote_folder_works_the_same(self, scenario, monkeypatch) -> None:
        pytest.importorskip("fsspec", reason="fsspec is missing: pip install 'clonesim[distributed]'")
        store = Store("memory://clonesim-test/run")
        store.put("a/b", b"one")
        assert store.get("a/b") == b"one" and store.get("a/c") is None
        assert store.names("a") == ["a/b"] and store.names("z") == []
        usual = simulate(scenario, seed=7)
        jobs = counted(monkeypatch)
        run = simulate(scenario, seed=7, out="memory://clonesim-test/run")
        assert len(jobs) == 24 and run.hash == usual.hash
        assert json.loads(store.get("run.json"))["parameters"]["frames_hash"] == usual.hash
        assert store.names(FOLDER) == []
        growth = pd.read_parquet("memory://clonesim-test/run/growth.parquet")
        assert growth.equals(usual.growth)
        store.remove("a")

    @pytest.mark.parametrize("name", ["../x", "/etc/x", "a//b", "a/../b", ".hidden", "a/.b", "", "a\\b", "a b", "a\n"])
    def test_names_cannot_lead_out(self, name, tmp_path) -> None:
        with pytest.raises(ParameterError, match="a part's name has letters, digits"):
            Store(tmp_path).put(name, b"")

    def test_it_travels(self, tmp_path) -> None:
        import pickle

        store = pickle.loads(pickle.dumps(Parts(Store(tmp_path), "k"))).store
        store.put("x", b"1")
        assert (tmp_path / "x").read_bytes() == b"1"

    def test_addresses_nobody_knows(self) -> None:
        pytest.importorskip("fsspec", reason="fsspec is missing: pip install 'clonesim[distributed]'")
        with pytest.raises(
            ParameterError, match=r"out='nowhere://x': no such kind of storage is known .*Name a folder"
        ):
            Store("nowhere://x").get("a")
        with pytest.raises(
            ParameterError, match=r"its driver is not installed .*pip install 'clonesim\[distributed\]'"
        ):
            Store("abfs://x").get("a")

    def test_errors_of_the_system_are_ours(self, tmp_path) -> None:
        (tmp_path / "a").write_text("a file")
        with pytest.raises(WriteError, match=r"a/b: it cannot be written: "):
            Store(tmp_path).put("a/b", b"")

    def test_errors_of_a_driver_are_ours(self, monkeypatch) -> None:
        pytest.importorskip("fsspec", reason="fsspec is missing: pip install 'clonesim[distributed]'")
        store = Store("memory://clonesim-test/broken")

        def broken(*_):
            raise RuntimeError("access\ndenied")

        monkeypatch.setattr(store._remote, "pipe_file", broken)
        with pytest.raises(WriteError, match=r"a: it cannot be written: access denied\. Look at its rights"):
            store.put("a", b"")

"""`clonesim replay --stream`: the same answer as without, and the right words for several volumes."""

import json

import pytest
from typer.testing import CliRunner

from clonesim.cli import app


def run(*words):
    return CliRunner().invoke(app, ["replay", *words])


def test_a_replay_of_a_stream_prints_the_same(tmp_path):
    words = ["packaged", "--format", "vmfs-sparse", "--format", "qcow2", "--at", "1 min", "--at", "3 min"]
    plain, stream = run(*words, "--json"), run(*words, "--json", "--stream")
    assert plain.exit_code == stream.exit_code == 0
    assert json.loads(plain.stdout) == json.loads(stream.stdout)
    for name, more in (("plain", []), ("stream", ["--stream"])):
        assert run(*words, "--out", str(tmp_path / name), *more).exit_code == 0
    assert (tmp_path / "plain" / "replay.csv").read_bytes() == (tmp_path / "stream" / "replay.csv").read_bytes()


@pytest.mark.parametrize("more", [[], ["--stream"]])
def test_a_trace_of_many_volumes_asks_for_one(tmp_path, more):
    path = tmp_path / "volumes.csv"
    path.write_text("".join(f"{v % 12},W,{v * 4096},{4096 * (v % 12 + 1)},{v}\n" for v in range(600)))
    from clonesim.errors import ParameterError

    refused = run(str(path), *more)
    assert refused.exit_code != 0
    message = str(refused.exception) if isinstance(refused.exception, ParameterError) else refused.output
    assert "12 devices; those with most written: 11 (" in message and "Name the one to replay" in message
    one = run(str(path), "--device", "11", "--format", "vmfs-sparse", "--json", *more)
    assert one.exit_code == 0 and json.loads(one.stdout)["rows"][0]["written_bytes"] == 50 * 12 * 4096

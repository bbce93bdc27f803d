"""The CSV form of the real vSCSI trace has whole seconds only, and must end in the same last row as the binary form."""

import pytest

import clonesim as cs

LAST = 7200  # seconds: 120 minutes after the first command


@pytest.mark.parametrize("delta_format", ["vmfs-sparse", "qcow2", "se-sparse", "vhd"])
def test_csv_ends_where_the_binary_ends(shared, delta_format):
    traces = shared / "samples" / "traces"
    rows = []
    for suffix in (".vscsi", ".csv"):
        trace = cs.read_trace(traces / f"cloudPhysicsIO{suffix}")
        delta = cs.replay(trace, format=delta_format, capacity="32 GiB")
        rows.append(delta.table(at=[LAST]).iloc[0].to_dict())
    assert rows[0] == rows[1]
    assert rows[0]["written_bytes"] == 2_408_565_760  # facts: 66,898 writes, counted from the file

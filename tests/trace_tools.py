"""What the tests of trace readers share; the fixture `trace_of` stands in conftest.py."""


def rows_of(trace):
    """Each row: time, operation, offset, length, name of its device."""
    names = [trace.devices[i] for i in trace.device]
    columns = (trace.time_s, trace.op, trace.offset, trace.length)
    return list(zip(*[column.tolist() for column in columns], names, strict=True))

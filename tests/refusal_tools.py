"""What the tests of refused inputs share."""

import pytest


def refused(read, kind, path, content, /, **options):
    """Error of a reader, of some kind, that names the file."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(kind) as caught:
        read(path, **options)
    assert str(path) in str(caught.value)
    return caught.value

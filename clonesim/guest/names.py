"""Names of files as the directory sorts them."""

from __future__ import annotations

LONGEST_NAME = 255  # UTF-16 units, NTFS's limit
_CHARACTERS = 9  # characters packed into one sort key


def name_units(name: str) -> int:
    """Length of a name in UTF-16 units."""
    return len(name.encode("utf-16-le", "surrogatepass")) // 2


def sort_keys(name: str) -> tuple[int, int]:
    """Two keys that sort names as NTFS collates them: without case, by their first 18 characters.

    Characters beyond ASCII sort behind it, and names that agree in 18 characters in the order of their MFT records.
    """
    codes = [min(ord(c), 127) for c in name.upper()[: 2 * _CHARACTERS]]
    codes += [0] * (2 * _CHARACTERS - len(codes))
    keys = []
    for part in (codes[:_CHARACTERS], codes[_CHARACTERS:]):
        key = 0
        for code in part:
            key = key << 7 | code
        keys.append(key)
    return keys[0], keys[1]

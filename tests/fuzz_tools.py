"""Mutations of good inputs for the readers' fuzz tests, and how many of them are tried."""

import os
import random

RUNS = int(os.environ.get("FUZZ", "600"))  # FUZZ=200000 for a long run
BOLD = [b"9" * 25, b"-1", b"1e400", b"nan", b"inf", b"\0", b'"', b",", b"\n", b"\xff\xfe", b"{", b"[" * 50, b"0" * 4000,
        b"99999999999999999999 MiB", b"0001-01-01", b"3/4/2026", b"{}", b"null",
        b";", b"\t", b"\x80", b"r=", b"<", b"  "]  # fmt: skip


def mutate(seed: bytes, rng: random.Random) -> bytes:
    """A few changes of bytes, pieces and lines."""
    data = bytearray(seed)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if data:
                data[place % len(data)] = rng.randrange(256)
            case 1:
                data[place:place] = rng.choice(BOLD)
            case 2:
                del data[place : place + rng.randint(1, 40)]
            case 3:
                end = place + rng.randint(1, 200)
                data[place:place] = data[place:end] * rng.randint(1, 3)
            case 4:
                data[place : place + rng.randint(1, 12)] = rng.choice(BOLD)
            case 5:
                lines = bytes(data).split(b"\n")
                rng.shuffle(lines)
                data = bytearray(b"\n".join(lines))
            case _:
                del data[place:]
    return bytes(data)

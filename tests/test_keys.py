"""Random streams depend on their key, and on nothing else."""

from itertools import product
from zlib import crc32

import numpy as np
import pytest
from scipy import stats

from clonesim.errors import ParameterError
from clonesim.keys import POOL, generator

NAMES = ["user:person", "user:presence", "user:logon", "user:length", "clone:boots", "pool:patches", "pool:definitions"]


def test_a_stream_is_its_key():
    again = [generator(0, 0, 7, "user:logon").random(5) for _ in range(2)]
    assert np.array_equal(*again)
    generator(0, 0, 8, "user:logon").random(1000)  # what others draw does not matter
    assert np.array_equal(generator(0, 0, 7, "user:logon").random(5), again[0])


def test_no_two_keys_share_a_stream():
    keys = list(product((0, 1), (0, 1), (POOL, 0, 1, 2), NAMES))
    first = {generator(*key).integers(2**63) for key in keys}
    assert len(first) == len(keys)


def test_the_key_is_the_one_documented():
    """Results stay the same from one version to the next."""
    sequence = np.random.SeedSequence(3, spawn_key=(2, 6, crc32(b"clone:boots")))
    expected = np.random.Generator(np.random.PCG64DXSM(sequence)).random(4)
    assert np.array_equal(generator(3, 2, 5, "clone:boots").random(4), expected)


def test_streams_of_neighbours_are_not_alike():
    """First draws of 4,000 users look uniform, and neighbours' draws do not go together."""
    first = np.array([generator(1, 0, user, "user:presence").random() for user in range(4000)])
    assert stats.kstest(first, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 4 / np.sqrt(4000)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ((-1, 0, 0, "user:x"), "seed=-1: allowed are whole numbers from 0 up."),
        ((0, -1, 0, "user:x"), "replicate=-1: allowed are whole numbers from 0 up."),
        ((0, 0, -2, "user:x"), "who=-2: allowed are whole numbers from -1 up."),
        ((0, 0, 0, "x"), "what='x': allowed are names that start with 'user:', 'clone:', 'pool:'."),
    ],
)
def test_other_keys_are_refused(key, message):
    with pytest.raises(ParameterError) as refused:
        generator(*key)
    assert str(refused.value) == message

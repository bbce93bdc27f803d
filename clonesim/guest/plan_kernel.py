"""Loops of the plan of a clone's activity: keyed draws, arrivals, file numbers.

Draws are counters, not streams: a draw is a hash (the finalizer of splitmix64) of an event's 64-bit key and of a code
for what is drawn. So an event's size does not depend on how many events there are, nor on what else is drawn for it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

KERNELS = "2c6c66b026b2c0cb"

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
S27, S30, S31, S11, ONE = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11), np.uint64(1)
SMALLEST = 2.0**-53

# Wichura's AS 241 (PPND16, Applied Statistics 37, 1988): the normal quantile to about 1 part in 1e16.
A = np.array(
    [
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ]
)
B = np.array(
    [
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ]
)
C = np.array(
    [
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ]
)
D = np.array(
    [
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ]
)
E = np.array(
    [
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ]
)
F = np.array(
    [
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ]
)


@njit(cache=True)
def mix(z):
    """Finalizer of splitmix64: every bit of the result depends on every bit of z. uint64 -> uint64."""
    z = (z ^ (z >> S30)) * MIX_1
    z = (z ^ (z >> S27)) * MIX_2
    return z ^ (z >> S31)


@njit(cache=True)
def uniform(z):
    """Number in (0, 1) from the upper 53 bits of a hash; neither 0 nor 1. uint64 -> float64."""
    return (np.float64(z >> S11) + 0.5) * SMALLEST


@njit(cache=True)
def ratio(p, q, x):
    """Ratio of two polynomials of degree 7."""
    over, under = p[7], q[7]
    for i in range(6, -1, -1):
        over, under = over * x + p[i], under * x + q[i]
    return over / under


@njit(cache=True)
def quantile(u):
    """Normal quantile (AS 241). float64 in (0, 1) -> float64."""
    q = u - 0.5
    if abs(q) <= 0.425:
        return q * ratio(A, B, 0.180625 - q * q)
    r = math.sqrt(-math.log(min(u, 1.0 - u)))
    x = ratio(C, D, r - 1.6) if r <= 5.0 else ratio(E, F, r - 5.0)
    return -x if q < 0 else x


@njit(cache=True)
def sub_keys(keys, code, out):
    """Key of a part of each event. uint64 (n,), uint64, uint64 (n,) out."""
    for i in range(keys.size):
        out[i] = mix(mix(keys[i] + code * GOLDEN) + GOLDEN)


@njit(cache=True)
def uniforms(keys, code, out):
    """Uniform number of each event. uint64 (n,), uint64, float64 (n,) out."""
    for i in range(keys.size):
        out[i] = uniform(mix(keys[i] + code * GOLDEN))


@njit(cache=True)
def lognormals(keys, code, median, sigma, most, out):
    """Lognormal number of each event, capped. uint64 (n,), uint64, 3 float64, float64 (n,) out."""
    for i in range(keys.size):
        out[i] = min(most, median * math.exp(sigma * quantile(uniform(mix(keys[i] + code * GOLDEN)))))


@njit(cache=True)
def arrivals(keys, start, length, out_key, out_row, out_x):
    """Poisson arrivals of rate 1 in the intervals [start, start + length).

    uint64 (n,), float64 (n,), float64 (n,), out: uint64, int64, float64 (room,) -> number of arrivals, or -1 where
    `room` is too small. Arrivals stand in order of interval and place.
    """
    count = 0
    for i in range(keys.size):
        x, z = 0.0, keys[i]
        while True:
            z = z + GOLDEN
            x -= math.log(uniform(mix(z)))
            if x >= length[i]:
                break
            if count == out_x.size:
                return -1
            out_key[count], out_row[count], out_x[count] = mix(mix(z) + GOLDEN), i, start[i] + x
            count += 1
    return count


@njit(cache=True)
def file_slots(birth, death, deaths, base, out):
    """Slot of each file: the lowest that no living file has. Returns the number of slots used.

    float64 (n,) ascending, float64 (n,), int64 (n,) order of the deaths, int64: the first `base` files exist from the
    start, int64 (n,) out. At equal times a death comes before a birth.
    """
    taken = np.zeros(birth.size + 1, np.uint8)
    lowest, used, dead = 0, 0, 0
    for i in range(birth.size):
        if i >= base:
            while death[deaths[dead]] <= birth[i]:
                slot = out[deaths[dead]]
                taken[slot] = 0
                lowest = min(lowest, slot)
                dead += 1
        while taken[lowest]:
            lowest += 1
        taken[lowest], out[i] = 1, lowest
        used = max(used, lowest + 1)
    return used


@njit(cache=True)
def cache_deaths(group, size, birth, cap, out):
    """When the files of a cache are evicted: oldest first, just before the file that would pass the cap is made.

    int64 (n,) ascending groups with births ascending in each, int64 (n,), float64 (n,), int64, float64 (n,) out; inf
    where a file stays. No file is larger than the cap.
    """
    first, held = 0, 0
    for i in range(group.size):
        if i > 0 and group[i] != group[i - 1]:
            first, held = i, 0
        held += size[i]
        out[i] = np.inf
        while held > cap:
            out[first] = birth[i]
            held -= size[first]
            first += 1

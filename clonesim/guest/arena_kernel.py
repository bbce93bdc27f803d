"""A volume's memory: one int64 array with named regions, bit words, and pages saved at their first change.

Everything a guest volume knows lives in one array, the arena, so that kernels take one argument, a volume is copied by
one memory copy, and reverting is generic: after a snapshot the first change of a page (512 words, 4 KiB) saves its old
content; `rollback` copies back the saved pages, which costs what was touched and not what the volume holds.

Layout: header (scalars) | region 0 | region 1 | ...; each region starts on a page. The arena's second half, from
`HALF`, holds the saved pages at the same distance. The header is saved whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from clonesim.delta.law_kernel import emit_prefetch

KERNELS = "2c6c66b026b2c0cb"

ZERO, ONE, NONE = np.array([0, 1, -1])
PAGE = np.int64(512)  # words of a saved page

# Header words. A region has two: its first word (relative to the arena) and its length in words.
HALF = np.int64(0)  # words from a page to its saved copy
COW = np.int64(1)  # 1: save pages at their first change
TOUCHED = np.int64(2)  # pages saved so far
HEADER_FIXED = np.int64(3)  # header words below this one are not rolled back

# Regions
R_DIRTY = np.int64(0)  # 1 for each page that was saved
R_TOUCHED = np.int64(1)  # the saved pages, in order
R_BITMAP = np.int64(2)  # a bit per cluster: allocated or quarantined
R_WRITTEN = np.int64(3)  # a bit per cluster: ever written
R_RUNS_DIR = np.int64(4)  # free runs by address: directory, then blocks of keys
R_RUNS = np.int64(5)
R_SIZES_DIR = np.int64(6)  # free runs by size: directory, then blocks of keys
R_SIZES = np.int64(7)
R_QUEUE = np.int64(8)  # quarantine: freed runs that wait for their checkpoint, a ring
R_FILE = np.int64(9)  # a record per MFT record
R_EXTENT = np.int64(10)  # chunks of extents
R_NODE = np.int64(11)  # directory index blocks
R_MFT = np.int64(12)  # a bit per MFT record: in use
R_SLOT = np.int64(13)  # MFT record of each file number, plus 1; 0 for none
R_BLOCK = np.int64(14)  # a bit per directory index block: in use
R_STREAM = np.int64(15)  # records of streams that are no file's data
R_FOLDER = np.int64(16)  # directories of numbered files: MFT record plus 1 | files in it
R_TABLE = np.int64(17)  # where a file's table of attributes is, plus 1; 0 for none (ntfs3g)
R_OUT = np.int64(18)  # block requests of the operations at hand; not rolled back
REGIONS = np.int64(19)
REGION = np.int64(4)  # header word of region 0's first word; 2 words a region
SCALARS = REGION + 2 * REGIONS  # first header word that other kernels may use


# Kernels called by kernels only take the arena as a pointer to its words: no bounds, strides or counts travel along,
# which keeps compiling them an order of magnitude cheaper. Kernels called from Python are `entry` and take the array.
inner = njit(error_model="numpy")
entry = njit(cache=True, error_model="numpy")


@intrinsic
def words(typingctx: Any, arena: Any) -> Any:
    """Pointer to an arena's first word."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(types.int64)(arena), codegen


@intrinsic
def apart(typingctx: Any) -> Any:
    """Keep the function that calls this out of its callers' code.

    A kernel is compiled together with all that it calls. Inlining everything everywhere made that take minutes.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Position of the lowest set bit of a word; 64 for 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], context.get_constant(types.boolean, False))

    return types.int64(types.int64), codegen


@intrinsic
def prefetch(typingctx: Any, m: Any, i: Any) -> Any:
    """Fetch word `i` of the arena into the caches, without waiting for it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit_prefetch(context, builder, args[0], args[1])

    return types.void(m, types.int64), codegen


@intrinsic
def opaque(typingctx: Any, value: Any) -> Any:
    """Return the value; the compiler does not look through, so it cannot turn arithmetic on it into a branch."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        return builder.asm(ir.FunctionType(word, [word]), "", "=r,0", [args[0]], False)

    return types.int64(types.int64), codegen


@inner
def base(m, region):
    """First word of a region."""
    return m[REGION + 2 * region]


@inner
def room(m, region):
    """Length of a region in words."""
    return m[REGION + 2 * region + 1]


@inner
def save_page(m, page):
    """Save a page's content and remember that it was touched."""
    apart()
    m[base(m, R_DIRTY) + page] = 1
    m[base(m, R_TOUCHED) + m[TOUCHED]] = page
    m[TOUCHED] += 1
    first, half = page * PAGE, m[HALF]
    for i in range(first, first + PAGE):
        m[half + i] = m[i]


@inner
def touch(m, i):
    """Save the page of word `i` before it changes."""
    if m[COW] and m[base(m, R_DIRTY) + i // PAGE] == 0:
        save_page(m, i // PAGE)


@inner
def touch_range(m, first, last):
    """Save the pages of words first .. last before they change."""
    if m[COW]:
        dirty = base(m, R_DIRTY)
        for page in range(first // PAGE, last // PAGE + 1):
            if m[dirty + page] == 0:
                save_page(m, page)


@inner
def put(m, i, value):
    """Change one word."""
    touch(m, i)
    m[i] = value


@inner
def rollback(m):
    """Put every saved page back and forget them; pages are saved anew from here on."""
    apart()
    half, dirty, touched = m[HALF], base(m, R_DIRTY), base(m, R_TOUCHED)
    for k in range(m[TOUCHED]):
        page = m[touched + k]
        first = page * PAGE
        for i in range(first, first + PAGE):
            m[i] = m[half + i]
        m[dirty + page] = 0
    m[TOUCHED] = 0
    for i in range(HEADER_FIXED, PAGE):
        m[i] = m[half + i]


@inner
def mark(m):
    """Make the present state the one that `rollback` returns to."""
    apart()
    half, dirty, touched = m[HALF], base(m, R_DIRTY), base(m, R_TOUCHED)
    for k in range(m[TOUCHED]):
        m[dirty + m[touched + k]] = 0
    m[TOUCHED] = 0
    m[COW] = 1
    for i in range(HEADER_FIXED, PAGE):
        m[half + i] = m[i]


# --- bit words: cluster c is bit c % 64 of word c // 64 ------------------------------------------------------------


@inner
def span_mask(low, high):
    """Word with the bits low .. high - 1 set, 0 <= low < high <= 64."""
    return (np.int64(-1) if high == 64 else (np.int64(1) << high) - 1) & (np.int64(-1) << low)


@inner
def bit(m, region, c):
    """Bit of one cluster, 0 or 1."""
    return (m[base(m, region) + (c >> 6)] >> (c & 63)) & 1


@inner
def set_bits(m, region, start, length):
    """Set the bits of a run of clusters."""
    apart()
    words = base(m, region)
    first, last = start >> 6, (start + length - 1) >> 6
    touch_range(m, words + first, words + last)
    for w in range(first, last + 1):
        low = start - (w << 6) if w == first else 0
        high = start + length - (w << 6) if w == last else 64
        m[words + w] |= span_mask(low, high)


@inner
def clear_bits(m, region, start, length):
    """Clear the bits of a run of clusters."""
    apart()
    words = base(m, region)
    first, last = start >> 6, (start + length - 1) >> 6
    touch_range(m, words + first, words + last)
    for w in range(first, last + 1):
        low = start - (w << 6) if w == first else 0
        high = start + length - (w << 6) if w == last else 64
        m[words + w] &= ~span_mask(low, high)


@inner
def next_equal(m, region, c, end, wanted):
    """First cluster from c on, below end, whose bit is `wanted`; end where there is none."""
    apart()
    words = base(m, region)
    flip = np.int64(0) if wanted else np.int64(-1)
    while c < end:
        word = (m[words + (c >> 6)] ^ flip) & (np.int64(-1) << (c & 63))
        if word:
            return min(end, (c & ~63) + trailing_zeros(word))
        c = (c & ~63) + 64
    return end

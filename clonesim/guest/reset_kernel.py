"""A plan of operations on a volume that is set back to its image from time to time.

A plan is drawn as if files stayed. After a reset some are gone and those of the image are there again, so operations
are changed to what the same work does then. Every byte that the plan writes is written, whatever became of the file.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from clonesim.ops import FileOp

KERNELS = "2c6c66b026b2c0cb"

CREATE, APPEND, OVERWRITE = np.int64(FileOp.CREATE), np.int64(FileOp.APPEND), np.int64(FileOp.OVERWRITE)
DELETE, RENAME, TRIM = np.int64(FileOp.DELETE), np.int64(FileOp.RENAME), np.int64(FileOp.TRIM)
SCATTER = np.int64(FileOp.SCATTER)
GONE = np.int64(-1)


@njit(cache=True)
def after_resets(ops, resets_s, image, size, epoch, keep):
    """Change operations of a plan, in place, to what can be done on a volume that was set back.

    Parameters
    ----------
    ops : (n,) array of OPS_DTYPE
        In order of time.
    resets_s : (r,) float64 array
        When the volume is set back; an operation at that time comes after it. [s]
    image : (files,) int64 array
        Sizes of the image's files by number, GONE for the others. [B]
    size, epoch : (files,) int64 array
        Room to work: `image`, and zeros.
    keep : (n,) bool array
        Filled: operations that are left; the others have nothing to do.

    Notes
    -----
    A create of a file that is there becomes an append, an append to one that is gone a create, an overwrite that does
    not fit in the file an append (or a create), and so does a scatter over an empty one; a delete or rename of one that
    is gone is left out.
    """
    now = 0
    for i in range(ops.size):
        while now < resets_s.size and resets_s[now] <= ops[i]["time_s"]:
            now += 1
        op, f = ops[i]["op"], ops[i]["file"]
        keep[i] = True
        if op == TRIM:
            continue
        if epoch[f] != now:
            epoch[f], size[f] = now, image[f]
        have, length = size[f], ops[i]["length"]
        if op == DELETE:
            keep[i] = have != GONE
            size[f] = GONE
        elif op == RENAME:
            onto = ops[i]["offset"]
            keep[i] = have != GONE
            if have != GONE and onto != f:
                epoch[onto], size[onto] = now, have
                size[f] = GONE
        elif have == GONE:
            ops[i]["op"], ops[i]["offset"] = CREATE, 0
            size[f] = length
        elif op == CREATE or op == APPEND or have < (ops[i]["offset"] + length if op == OVERWRITE else 1):
            keep[i] = length > 0
            ops[i]["op"], ops[i]["offset"] = APPEND, 0
            size[f] = have + length

"""How much files hold, operation by operation."""

from __future__ import annotations

import numpy as np
from numba import njit

from clonesim.ops import FileOp

KERNELS = "2c6c66b026b2c0cb"

CREATE, APPEND = np.int64(FileOp.CREATE), np.int64(FileOp.APPEND)
DELETE, RENAME = np.int64(FileOp.DELETE), np.int64(FileOp.RENAME)


@njit(cache=True)
def changes(op, file, offset, length, size, out):
    """Bytes by which each operation changes the sum of all files' sizes.

    Parameters
    ----------
    op, file, offset, length : (n,) int64 arrays
        Operations in order of time; a rename's offset is the file that it replaces.
    size : (files,) int64 array
        Sizes at the start, those at the end when done; 0 for files that are not there. [B]
    out : (n,) int64 array
        Filled. [B]
    """
    for i in range(op.size):
        f, out[i] = file[i], 0
        if op[i] == CREATE:
            out[i] = length[i] - size[f]
            size[f] = length[i]
        elif op[i] == APPEND:
            out[i] = length[i]
            size[f] += length[i]
        elif op[i] == DELETE:
            out[i] = -size[f]
            size[f] = 0
        elif op[i] == RENAME and offset[i] != f:
            out[i] = -size[offset[i]]
            size[offset[i]] = size[f]
            size[f] = 0

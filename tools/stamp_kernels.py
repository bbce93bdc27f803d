"""Write the hash of all kernel sources into every kernel file.

Numba caches a compiled kernel by its own file only, so an edited callee in another file would go unnoticed. With the
hash of all kernel files (and of what they take constants from) in each of them, any edit makes every cached kernel new.
Run: python tools/stamp_kernels.py [--check]
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "clonesim"
STAMP = re.compile(r'^KERNELS = "[0-9a-f]*"', re.MULTILINE)


def kernel_files() -> list[Path]:
    """All kernel files, in order of their path."""
    return sorted(p for p in PACKAGE.rglob("*.py") if p.name.endswith("kernel.py") or p.name.endswith("kernels.py"))


def stamp() -> str:
    """Hash of all kernel sources, their stamps left out, and of ops.py, whose codes they are compiled with."""
    digest = hashlib.sha256()
    for path in [*kernel_files(), PACKAGE / "ops.py"]:
        digest.update(path.name.encode() + STAMP.sub("", path.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:16]


def main() -> int:
    """Write the stamp, or with --check only say whether it is right."""
    line, stale = f'KERNELS = "{stamp()}"', []
    for path in kernel_files():
        text = path.read_text(encoding="utf-8")
        if not STAMP.search(text):
            sys.exit(f'{path}: a kernel file needs a line KERNELS = "" after its imports')
        if line not in text:
            stale.append(path)
            if "--check" not in sys.argv:
                path.write_text(STAMP.sub(line, text), encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"{len(stale)} kernel files carry an old stamp: run `make kernels`")
    return 0


if __name__ == "__main__":
    sys.exit(main())

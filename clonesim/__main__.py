"""`python -m clonesim` is the command `clonesim`."""

import sys

from clonesim.cli import main

if __name__ == "__main__":
    sys.exit(main())

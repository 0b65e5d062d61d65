"""``python -m baselines`` is ``imageclef``."""

import sys

from baselines.cli import main

if __name__ == "__main__":  # worker processes import the main module under another name
    sys.exit(main())

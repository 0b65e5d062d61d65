"""``python -m baselines`` is ``imageclef``."""

import sys

from baselines.cli import main

sys.exit(main())

"""Lets the tests of this folder import ``scans``, the maker of small volumes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

collect_ignore = ["scans.py"]

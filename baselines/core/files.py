"""Files: written whole or not at all, hashed, and read with every fault reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all."""
    raise NotImplementedError


def write_json_atomic(path: Path, value: Any) -> None:
    """Write a value as strict JSON, whole or not at all."""
    raise NotImplementedError


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    raise NotImplementedError

"""What was written is on the disk itself, and not only in the machine's memory."""

from __future__ import annotations

import os
from pathlib import Path


def to_disk(path: Path) -> None:
    """Returns when a file's bytes, or a folder's names, are on the disk. Raises OSError where the disk refuses."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

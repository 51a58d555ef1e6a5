"""Interpreters that have another library, for the tests of environments of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def with_library(requirement: str, folder: Path) -> str:
    """The path of an interpreter that has ``requirement``: what INSTAR_<LIBRARY>_PYTHON names, or that of a virtual
    environment made in ``folder``, which then fetches it."""
    folder.chmod(0o755)
    named = os.environ.get(f"INSTAR_{requirement.partition('==')[0].upper()}_PYTHON")
    if named is not None:
        return named
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", requirement], check=True)
    return python

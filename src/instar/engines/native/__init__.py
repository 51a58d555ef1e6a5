"""The engine over own kernels."""

from typing import Any

from instar.former import of_package


def __getattr__(name: str) -> Any:
    """By its former name, what stood in the module that this package was."""
    return of_package(__name__, name)

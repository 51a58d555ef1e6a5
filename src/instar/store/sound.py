"""Where reading a ledger fails in a way nobody foresaw: is it the ledger that is damaged, or is it our mistake?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from instar.errors import InstarError, StoreError
from instar.store.ledger import Ledger
from instar.store.verify import verify


@contextmanager
def sound(folder: Path) -> Iterator[None]:
    """Inside, an exception that is not for the user becomes a sentence if the run's ledger is damaged; else it stays
    what it is, for then it is a mistake of ours and must be seen."""
    try:
        yield
    except (InstarError, OSError):
        raise
    except Exception as e:
        wrong = _wrong(folder / "ledger.db")
        if not wrong:
            raise
        raise StoreError(
            f"the ledger of {folder.name} is damaged: {wrong[0]}. It was noticed by this: {type(e).__name__}.",
            f"`instar verify {folder.name}` says all that is wrong; put a copy of {folder / 'ledger.db'} in its place.",
        ) from None


def _wrong(path: Path) -> list[str]:
    try:
        ledger = Ledger.read(path)
    except StoreError as e:
        return [e.message]
    try:
        return verify(ledger)
    finally:
        ledger.close()

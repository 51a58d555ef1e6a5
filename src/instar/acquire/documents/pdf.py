"""The text of a PDF's pages, by pypdf. It is called in a process that may be killed (``documents.confined``)."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from instar.acquire.documents.limits import Limits
from instar.errors import ConfigError, DataError

PAGE_END = "\n\n"


def need_pypdf() -> None:
    """Raises ConfigError where it is not installed."""
    if find_spec("pypdf") is None:
        raise ConfigError("pypdf is needed to read PDFs.", "pip install 'instar[documents]'.")


def pages_of(path: Path, limits: Limits) -> tuple[str, list[str]]:
    """The text of all pages in their order, and what was left out. A page that is broken is one page less. Raises
    DataError for a PDF that wants a password, and whatever pypdf does for one that is broken as a whole."""
    from pypdf import PdfReader

    logging.disable(logging.CRITICAL)  # it tells of every object that is not as it should be
    reader = PdfReader(path)
    if reader.is_encrypted and not reader.decrypt(""):
        raise DataError("it is locked with a password", "Save it without one.")
    said: list[str] = []
    left_out: list[str] = []
    count, characters, broken = len(reader.pages), 0, 0
    for number in range(min(count, limits.pages)):
        try:
            page = str(reader.pages[number].extract_text() or "")
        except MemoryError:
            raise
        except Exception:  # whatever its library raises
            broken += 1
            continue
        characters += len(page)
        if characters > limits.characters:
            left_out.append(f"pages from {number + 1} on: more than {limits.characters:,} characters")
            break
        said.append(page)
    if count > limits.pages:
        left_out.append(f"{count - limits.pages} pages after the first {limits.pages}")
    if broken:
        left_out.append(f"{broken} pages that are broken")
    return PAGE_END.join(said), left_out

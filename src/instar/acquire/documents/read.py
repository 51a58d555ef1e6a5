"""From files to text: plain text, Markdown, HTML and PDF, within limits, each file that is not read with its reason.

A document is untrusted. Nothing in it is run or fetched: no script, no link, no attachment. What it says is material,
whatever it orders; where a model is shown it, it stands between marks (``acquire.feedback.fence``).
"""

from __future__ import annotations

import hashlib
import stat
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from instar.acquire.documents.confined import extract
from instar.acquire.documents.html import closed, text_of_html
from instar.acquire.documents.limits import Limits
from instar.acquire.documents.pdf import need_pypdf
from instar.errors import DataError
from instar.legible import MOST_MARKS, storable, unheaped

PLAIN = (".txt", ".text", ".md", ".markdown", ".rst")
HTML = (".html", ".htm", ".xhtml")
PDF = (".pdf",)
AT_ONCE = 2**16
"""Bytes of a page that are read without a process of their own, where its marks are closed: none keeps a tokenizer
busy."""
KINDS = (*PLAIN, *HTML, *PDF)


class Document(NamedTuple):
    """What was read of a file. ``text`` is NFC with plain line ends; spans count its characters. ``digest`` is of the
    file's bytes; ``left_out`` says what of it was not read, and why."""

    name: str
    digest: str
    text: str
    left_out: tuple[str, ...] = ()


class Unread(NamedTuple):
    """A file that was not read, and why."""

    name: str
    reason: str


class Shelf(NamedTuple):
    """What a folder held, in the order of names."""

    documents: tuple[Document, ...]
    unread: tuple[Unread, ...]


class _Refused(Exception):
    """Why a file cannot be read."""


def read_folder(folder: Path, limits: Limits | None = None, kinds: Sequence[str] = KINDS) -> Shelf:
    """All documents of these kinds in a folder and the folders in it. A copy of another file (the same bytes) counts
    once; a link is not followed, for it may lead anywhere. Where other ``kinds`` are named than documents usually are,
    all else is passed over in silence, and so are hidden folders.

    Raises:
        DataError: no such folder, or none of its files could be read, with the first reasons.
    """
    limits = limits or Limits()
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", "Give the folder in which your files are.")
    documents: list[Document] = []
    unread: list[Unread] = []
    seen: dict[str, str] = {}
    paths = sorted(p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
    if kinds != KINDS:
        paths = [p for p in paths if p.suffix.lower() in kinds and not _hidden(p.relative_to(folder))]
    for number, path in enumerate(paths):
        name = storable(path.relative_to(folder).as_posix())  # a file's name need not be UTF-8
        try:
            if number >= limits.files:
                raise _Refused(f"the folder has more than {limits.files:,} files")
            found = read_file(path, name, limits, kinds)
        except _Refused as why:
            unread.append(Unread(name, str(why)))
            continue
        if isinstance(found, Unread):
            unread.append(found)
        elif found.digest in seen:
            unread.append(Unread(name, f"the same bytes as {seen[found.digest]}"))
        else:
            seen[found.digest] = name
            documents.append(found)
    if not documents:
        said = "; ".join(f"{u.name}: {u.reason}" for u in unread[:3])
        raise DataError(
            f"No document in {folder} could be read{f' ({said})' if said else ''}.",
            f"Put files there that end in {', '.join(kinds)}.",
        )
    return Shelf(tuple(documents), tuple(unread))


def _hidden(path: Path) -> bool:
    """Whether a path leads through what is not the user's own: a hidden folder, or packages that were installed."""
    return any(part.startswith(".") or part in ("site-packages", "node_modules") for part in path.parts)


def read_file(path: Path, name: str, limits: Limits, kinds: Sequence[str] = KINDS) -> Document | Unread:
    """One file's text, or why there is none."""
    try:
        raw = _bytes(path, limits, kinds)
        kind = path.suffix.lower()
        text, left_out = _text(path, kind, raw, limits)
    except _Refused as why:
        return Unread(name, str(why))
    text, cut = cleaned(text, limits)
    if not text.strip():
        lost = "; ".join((*left_out, *cut))
        return Unread(name, f"there is no text in it{f': left out were {lost}' if lost else ''}")
    return Document(name, hashlib.sha256(raw).hexdigest(), text, (*left_out, *cut))


def _bytes(path: Path, limits: Limits, kinds: Sequence[str]) -> bytes:
    kind = path.suffix.lower()
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            raise _Refused("it is no plain file")
        if kind not in kinds:
            raise _Refused(f"{kind or 'a name without an ending'} is no kind that is read ({', '.join(kinds)})")
        if about.st_size > limits.file_bytes:
            raise _Refused(f"it has {about.st_size:,} bytes, and {limits.file_bytes:,} are read at most")
        with path.open("rb") as file:
            raw = file.read(limits.file_bytes + 1)
    except OSError as error:
        raise _Refused(f"it cannot be opened: {error.strerror}") from None
    if len(raw) > limits.file_bytes:
        raise _Refused(f"it has more than {limits.file_bytes:,} bytes")
    return raw


def _text(path: Path, kind: str, raw: bytes, limits: Limits) -> tuple[str, Sequence[str]]:
    """What a file says, and what of it was left out."""
    if kind in PDF:
        need_pypdf()
        return _elsewhere(path, "pdf", limits)
    try:
        decoded = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Refused(f"it is not UTF-8 text ({error.reason} at byte {error.start})") from None
    if "\0" in decoded:
        raise _Refused("it holds zero bytes: it is no text")
    if kind not in HTML:
        return decoded, ()
    at_once = len(raw) <= AT_ONCE and closed(decoded)
    return text_of_html(decoded, limits) if at_once else _elsewhere(path, "html", limits)


def _elsewhere(path: Path, kind: Literal["pdf", "html"], limits: Limits) -> tuple[str, Sequence[str]]:
    found = extract(path, kind, limits)
    if found.error is not None:
        raise _Refused(found.error)
    return found.text, found.left_out


def cleaned(text: str, limits: Limits) -> tuple[str, list[str]]:
    """NFC, plain line ends, no control characters, no line and no text longer than allowed; and what was left out."""
    left_out: list[str] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    long = sum(len(line) > limits.line for line in lines)
    if long:
        left_out.append(f"{long} lines of more than {limits.line:,} characters")
        lines = [line for line in lines if len(line) <= limits.line]
    text = "\n".join(lines)
    if heaped := len(text) - len(text := unheaped(text)):
        left_out.append(f"{heaped:,} combining marks, of more than {MOST_MARKS} in a row")
    text = unicodedata.normalize("NFC", text)
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    if len(text) > limits.characters:
        left_out.append(f"{len(text) - limits.characters:,} characters after the first {limits.characters:,}")
        text = text[: limits.characters]
    return text, left_out

"""What a model, a checker or a data set says, made fit to be kept and to be shown: any text, any value.

Anyone may say half an emoji (a lone surrogate, which no UTF-8 holds), a number of 6,000 digits or a list that holds
itself. None of it may stop a run: what cannot be kept as it is is *written out*, ``\\ud83d`` as six characters. Text
that can be kept stays the same object, so that no digest of it changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import sys
import unicodedata
import warnings
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

DEEPEST = 150
"""Levels of nesting that are kept: readers of JSON give up at about 200."""
LONGEST = 2**20
"""Characters kept of one text, where not all can be kept."""
LARGEST = 2**26
"""Bytes of one value beyond which not all is kept."""
MOST_MARKS = 30
"""Combining marks in a row that are kept: as many as Unicode's stream-safe text has (UAX #15), more than any script."""
NormalForm = Literal["NFC", "NFD", "NFKC", "NFKD"]
_WRITTEN_OUT = re.compile(r"\\u(d[89a-f][0-9a-f]{2})")
_INVISIBLE_BUT_MEANT = "\u200c\u200d"  # joiners: in emojis, in Persian
R = TypeVar("R", bound=BaseModel)


def storable(text: str) -> str:
    """The text itself if UTF-8 can hold it; else with each lone surrogate written out as ``\\ud83d``."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def unwritten(text: str) -> str:
    """The text that ``storable`` was given, as far as one can tell: what it writes out might have been said so."""
    return _WRITTEN_OUT.sub(lambda found: chr(int(found[1], 16)), text)


def kept(value: Any, depth: int = 0) -> Any:
    """Plain data that JSON holds and gives back: what it cannot hold is written out, cut, or named by its type."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return kept(value.value, depth)
    if isinstance(value, str):
        return storable(_cut(str(value)))
    if isinstance(value, int):
        # Python refuses to write or read more than 4,300 digits
        return value if value.bit_length() < 14_000 else f"a whole number of {value.bit_length():,} bits"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, (bytes, bytearray)):
        try:
            return _cut(bytes(value).decode())
        except UnicodeDecodeError:
            return {"bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    if depth >= DEEPEST:
        return f"a {type(value).__name__} nested deeper than {DEEPEST}"
    if isinstance(value, BaseModel):
        return {name: kept(getattr(value, name, None), depth + 1) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {_text(k): kept(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [kept(v, depth + 1) for v in value]
    return _text(value)


def fit(record: R) -> R:
    """The record itself if JSON gives it back equal; else as it comes back once what cannot be held is written out.

    Raises ValueError, with the reason in words, when there is no such record: a score that is no number, say.
    """
    kind = type(record)
    with contextlib.suppress(Exception):  # whatever is in the way is taken out below
        body = record.model_dump_json(warnings=False)
        if len(body) <= LARGEST and kind.model_validate_json(body) == record:
            return record
    fields: dict[str, Any] = {}
    for name in kind.model_fields:
        value = kept(getattr(record, name, None))
        size = len(json.dumps(value))
        fields[name] = {"left_out": f"{size:,} bytes"} if size > LARGEST and isinstance(value, dict) else value
    try:
        return kind.model_validate_json(json.dumps(fields).encode())
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"its {where} cannot be kept: {first['msg']} (it is {_text(first['input']):.100})") from None


def why_not(value: Any, depth: int = 0) -> str | None:
    """Why a value from a file cannot be a part of a task, in words; None if it can. Nothing is mended here: whoever
    wrote the file should know."""
    if isinstance(value, str):
        if "\0" in value:
            return (
                f"holds a NUL (at character {value.index(chr(0)) + 1}), as a text that was read in the wrong encoding"
            )
        if value.isascii() or storable(value) is value:
            return None
        at = next(i for i, c in enumerate(value) if "\ud800" <= c <= "\udfff")
        return f"holds half a character, {storable(value[at])} (at character {at + 1}): a lone surrogate"
    if isinstance(value, float) and not math.isfinite(value):
        beyond = f"a number too large to be read (beyond {sys.float_info.max:.1e})" if math.isinf(value) else "NaN"
        return f"holds {beyond}, which is not a finite number"
    if isinstance(value, (Mapping, list, tuple)):
        if depth >= DEEPEST:
            return f"is nested deeper than {DEEPEST}"
        inside = [*value, *value.values()] if isinstance(value, Mapping) else value
        return next((why for v in inside if (why := why_not(v, depth + 1))), None)
    return None


def normal(form: NormalForm, text: str) -> str:
    """A normal form of Unicode, of any text in no more time than its length asks for. Combining marks in a row are put
    in order, which takes the square of their number: a line of 200,000, as anybody may write one, took minutes. Of more
    than ``MOST_MARKS`` in a row the rest goes."""
    return unicodedata.normalize(form, unheaped(text))


def unheaped(text: str) -> str:
    """The text without the combining marks beyond ``MOST_MARKS`` in a row; itself where there are none."""
    return text if text.isascii() else _heaps().sub(lambda found: found[0][:MOST_MARKS], text)


@lru_cache(maxsize=1)
def _heaps() -> re.Pattern[str]:
    """Finds more combining marks in a row than are kept, those among them that are one only once they are taken apart.
    All stand below U+20000."""
    marks = [c for c in map(chr, range(0x300, 0x20000)) if _begins_with_a_mark(c)]
    return re.compile(f"[{''.join(marks)}]{{{MOST_MARKS + 1},}}")


def _begins_with_a_mark(c: str) -> bool:
    return unicodedata.combining(unicodedata.normalize("NFKD", c)[0]) > 0


def shown(text: str, *, lines: bool = False) -> str:
    """The text for a terminal: each control character, and each that turns the direction of writing, written out as
    ``\\x1b``; line breaks and tabs stay if ``lines``. Whoever wrote it cannot move the cursor or colour the screen."""
    if text.isprintable():
        return text
    return "".join(c if _harmless(c) or (lines and c in "\n\t") else _escaped(c) for c in text)


def as_python(text: str) -> str:
    """The text as Python source says it, in double quotes, whatever it holds."""
    signs = (f"\\{c}" if c in '"\\' else c if c.isprintable() else _unprintable(c) for c in text)
    return f'"{"".join(signs)}"'


def python_command(code: str) -> str:
    """The command that runs these statements, for a user to paste into a shell: by this very Python, which has the
    packages. It goes by its whole path where ``python`` is another one or, as on Debian, none."""
    found = shutil.which("python")
    same = found is not None and os.path.dirname(found) == os.path.dirname(sys.executable)
    return f"{'python' if same else shlex.quote(sys.executable)} -c {shlex.quote(code)}"


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """Without what Python warns of while it reads a text that anybody wrote: ``"\\d"``, ``1and 2``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def said(error: BaseException) -> str:
    """What an exception says. It may be anybody's: its own words may fail, or be anything."""
    return _text(error)


def _harmless(c: str) -> bool:
    return c.isprintable() or c in _INVISIBLE_BUT_MEANT or (c.isspace() and c >= "\xa0" and c not in "\u2028\u2029")


def _unprintable(c: str) -> str:
    return c.encode("unicode_escape", "surrogatepass").decode("ascii")


def _escaped(c: str) -> str:
    return f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}" if ord(c) < 65536 else f"\\U{ord(c):08x}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def _text(value: Any) -> str:
    try:
        return storable(_cut(str(value)))
    except (Exception, SystemExit):  # it may be anybody's class
        return f"a {type(value).__name__} that cannot be shown"

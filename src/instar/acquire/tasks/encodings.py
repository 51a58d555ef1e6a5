"""The bytes of a file of rows as text: UTF-8, or UTF-16 with its mark; of all else what it is, and what mends it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from instar.errors import DataError
from instar.legible import as_python, python_command

_CODES = (
    ("SHIFT_JIS", r"[\u3040-\u30ff]", 0.1), ("EUC-KR", r"[\uac00-\ud7a3]", 0.9), ("GB18030", r"[\u4e00-\u9fff]", 0.5),
)  # fmt: skip
"""Encodings that a text may be in, and which of its signs make up how much of what is not ASCII then."""
_MARKS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_HALVES = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
"""Half of a character beyond 16 bits, as UTF-8 never writes it and CESU-8 does."""
_PAIR = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")


def as_text(path: Path, data: bytes) -> str:
    """The text of a file. Raises DataError with its encoding, or with the place of the bytes that fit none."""
    marked = next((code for mark, code in _MARKS.items() if data.startswith(mark)), None)
    if marked == "UTF-16":
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as e:
            raise DataError(
                f"{path} is not whole UTF-16 text ({e.reason} at byte {e.start}).", "Save it again, as UTF-8."
            ) from None
    wide = marked or _without_mark(data[:400])
    if wide is not None:
        what = f"is {wide} text" if marked else f"holds NUL bytes: it is no text, or {wide} without its mark"
        raise DataError(f"{path} {what}.", f"Save it as UTF-8: {_iconv(path, wide)}")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise _not_utf8(path, data, e) from None


def _without_mark(data: bytes) -> str | None:
    """The wide encoding that a text with NULs is likely in, told by where they are; None where there are none."""
    if b"\0" not in data:
        return None
    whole = data[: len(data) // 4 * 4]
    if not any(whole[1::4]) and not any(whole[2::4]) and whole:
        return "UTF-32LE" if not any(whole[3::4]) else "UTF-32BE"
    return "UTF-16BE" if data[::2].count(0) > data[1::2].count(0) else "UTF-16LE"


def _not_utf8(path: Path, data: bytes, e: UnicodeDecodeError) -> DataError:
    line = data.count(b"\n", 0, e.start) + 1
    begins = data.rfind(b"\n", 0, e.start) + 1
    column = len(data[begins : e.start].decode("utf-8", "replace")) + 1
    broken = data[e.start : e.start + 3 if _HALVES.match(data, e.start) else max(e.end, e.start + 1)]
    where = f"{path}, line {line}, column {column}: the bytes {broken.hex(' ').upper()} are"
    try:
        data.decode("utf-8", "surrogatepass")
        if not _HALVES.search(_PAIR.sub(b"", data)):
            into = as_python(f"utf8{path.suffix}")
            read = f"open({as_python(str(path))}, 'rb').read().decode('utf-8', 'surrogatepass')"
            write = f"open({into}, 'wb').write({read}.encode('utf-16', 'surrogatepass').decode('utf-16').encode())"
            return DataError(
                f"{where} half a character: it is CESU-8, not UTF-8.", f"Save it as UTF-8: {python_command(write)}"
            )
        return DataError(f"{where} half a character (a lone surrogate), not UTF-8 text.", f"Mend line {line}.")
    except UnicodeDecodeError:
        pass
    read = data.decode("utf-8", "replace")
    wrong = read.count("\ufffd")
    if sum(ord(c) > 127 for c in read) - wrong >= wrong:  # what is read as UTF-8 for the most part is UTF-8
        return DataError(f"{where} no UTF-8 text ({e.reason}); the rest of it is.", f"Mend line {line}.")
    code = _encoding(data)
    return DataError(
        f"{path} is not UTF-8 text ({e.reason} at byte {e.start}, line {line}, column {column}).",
        f"Save it as UTF-8. It looks like {code}: {_iconv(path, code)}",
    )


def _iconv(path: Path, code: str) -> str:
    return f"iconv -f {code} -t UTF-8 {shlex.quote(str(path))} > utf8{shlex.quote(path.suffix)}"


def _encoding(data: bytes) -> str:
    """What a text that is not UTF-8 is likely written in: a two-byte code if it reads as one that says something, else
    that of Western Windows."""
    for code, common, share in _CODES:
        try:
            text = data.decode(code)
        except UnicodeDecodeError:
            continue
        letters = sum(ord(c) > 127 for c in text)
        # accents between Latin letters come out as single signs
        runs = sum(map(len, re.findall(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]{2,}", text)))
        if 2 * runs > letters and len(re.findall(common, text)) > share * letters:
            return code
    return "WINDOWS-1252"

"""The program in a reply: the last fenced block, or the whole text. Untrusted: it is cut out, never looked into."""

from __future__ import annotations

import re

LONGEST = 20_000
"""Characters of a reply that are looked at, from its beginning."""

_FENCE = re.compile(r"^[ \t]{0,3}```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]{0,3}```|\Z)", re.MULTILINE | re.DOTALL)
_START = re.compile(r"^(?:(?:def|class|import|from|async def) |@|[A-Za-z_]\w* *=[^=])", re.MULTILINE)
_GOES_ON = "def|class|import|from|async|if|for|while|try|with|else|elif|except|finally"
_END = re.compile(
    rf"^(?=[^\s#@)\]}}])(?!(?:{_GOES_ON})\b)(?![A-Za-z_][\w.\[\]]* *[-+*/]?=[^=])",
    re.MULTILINE,
)
"""A line that begins at the margin with neither a statement nor an assignment: prose, or a call to show off with."""


def program_in(reply: str) -> str | None:
    """The program a reply holds, or None when it is empty.

    Of several fenced blocks the last one that is Python (or says nothing of its language). Without a fence, what begins
    at the first line of code up to the first line of prose after it; with no such line, all of it, since it may be
    the body of a function that was begun in the question.
    """
    text = reply[:LONGEST]
    blocks = [body for language, body in _FENCE.findall(text) if language.lower() in ("", "python", "py", "python3")]
    if blocks:
        return blocks[-1].rstrip() or None
    if not text.strip():
        return None
    start = _START.search(text)
    if start is None:
        return text.rstrip()
    code = text[start.start() :]
    first = code.find("\n") + 1
    end = _END.search(code, first) if first else None
    return (code[: end.start()] if end else code).rstrip() or None

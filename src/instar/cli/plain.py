"""Model output in a terminal: it is untrusted, so nothing in it may move the cursor or colour the screen."""

from __future__ import annotations


def plain(text: str, *, lines: bool = False) -> str:
    """The text with every control character written out as ``\\x1b``; line breaks and tabs stay if ``lines``."""
    return "".join(c if c.isprintable() or (lines and c in "\n\t") else _written(c) for c in text)


def _written(c: str) -> str:
    return f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}" if ord(c) < 65536 else f"\\U{ord(c):08x}"

"""A reply's text while it is being written: from token ids so far to pieces that a person can read at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from instar.chat import ChatTokenizer

BROKEN = "\ufffd"
"""What a character of which some bytes are still missing is decoded to."""


class Detokenizer:
    """Turns the token ids so far into new pieces of text; what a later token may still change is held back."""

    def __init__(self, on_token: Callable[[str], None]) -> None:
        self.on_token = on_token
        self.text = ""

    def to(self, tokenizer: ChatTokenizer, ids: Sequence[int]) -> None:
        """Say what is new. A token alone is not decoded: what it reads as depends on those before it."""
        self._say(tokenizer.text(ids).rstrip(BROKEN))

    def end(self, text: str) -> None:
        """Say the rest of the finished text."""
        self._say(text)

    def _say(self, text: str) -> None:
        if len(text) > len(self.text) and text.startswith(self.text):
            fresh, self.text = text[len(self.text) :], text
            self.on_token(fresh)

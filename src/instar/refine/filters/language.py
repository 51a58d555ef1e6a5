"""Keep answers in the languages that were asked for: small models drift into others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, field_validator

from instar.errors import ConfigError
from instar.protocols import Filter
from instar.records import Decision, Experience


class Language(Filter):
    """Drops answers written in a language that is not in ``allowed`` (ISO 639-1 codes), as py3langid reads them.

    Below ``shortest`` letters no reading is worth anything, and the answer is kept: "12" has no language.
    """

    name: ClassVar[str] = "language"

    allowed: tuple[str, ...] = ("en",)
    shortest: int = Field(default=40, ge=1)

    @field_validator("allowed")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or any(len(code) != 2 or not code.islower() for code in value):
            raise ConfigError(f"{list(value)} are not languages.", 'Give ISO 639-1 codes, such as ["en", "zh"].')
        return value

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return [self._decide(item) for item in items]

    def _decide(self, item: Experience) -> Decision:
        text = item.solution.text
        letters = sum(c.isalpha() for c in text)
        if letters < self.shortest:
            return Decision(item=item.id, kept=True, reason=f"too short to tell: {letters} letters")
        code = _language(text)
        kept = code in self.allowed
        return Decision(item=item.id, kept=kept, reason=f"reads as {code}" + ("" if kept else ", which is not allowed"))


def _language(text: str) -> str:
    try:
        import py3langid
    except ImportError as e:
        raise ConfigError("py3langid is needed to tell languages.", "pip install 'instar[hygiene]'.") from e
    return str(py3langid.classify(text)[0])

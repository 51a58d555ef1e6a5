"""What every noun of a run is: frozen, without unknown fields, with a digest of its content."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from instar.hashing import hash_of


class Record(BaseModel):
    """Base of all nouns: frozen, no unknown fields, a content digest."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: ClassVar[str] = "record"
    id: str = ""

    def content(self) -> dict[str, Any]:
        """The JSON-able content that the digest covers: every field but the id."""
        return self.model_dump(mode="json", exclude={"id"})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, but the copy does not inherit the digest of the content it no longer has."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("digest", None)
        return copy

    @cached_property
    def digest(self) -> str:
        return hash_of("content", self.kind, self.content())

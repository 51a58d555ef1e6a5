"""How much of a document is read. What is more is left out with a reason: documents are untrusted input."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """A file above ``file_bytes`` is not read at all; of one that is read, what goes beyond a limit is left out.

    ``line`` and ``characters`` are characters of text (of a line, of a document); ``rows`` is of all tables of a
    document together; ``seconds`` and ``memory`` (bytes of address space) are what a PDF may cost the process that
    reads it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: int = Field(default=10_000, ge=1)
    file_bytes: int = Field(default=20 * 2**20, ge=1)
    line: int = Field(default=20_000, ge=80)
    characters: int = Field(default=2_000_000, ge=1)
    pages: int = Field(default=500, ge=1)
    rows: int = Field(default=2_000, ge=1)
    seconds: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    memory: int = Field(default=2 * 2**30, ge=2**28)

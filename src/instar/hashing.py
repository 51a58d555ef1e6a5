"""Ids and digests: one text for one value, and a tagged hash of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

ID_SCHEME = "i1"


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_of(tag: str, *parts: Any) -> str:
    """A tagged hash ``i1:<32 hex>`` of JSON-able parts. The tag keeps different kinds of thing from colliding."""
    body = canonical_json([ID_SCHEME, tag, *parts]).encode("utf-8", "surrogatepass")
    return f"{ID_SCHEME}:{hashlib.sha256(body).hexdigest()[:32]}"


def hash_of_rows(tag: str, tables: Iterable[Iterable[Sequence[Any]]]) -> str:
    """``hash_of(tag, [[row, ...], ...])`` without holding the rows: the same text, hashed piece by piece."""
    h = hashlib.sha256(f"[{canonical_json(ID_SCHEME)},{canonical_json(tag)},[".encode())
    for n, rows in enumerate(tables):
        h.update(b",[" if n else b"[")
        for i, row in enumerate(rows):
            h.update(("," if i else "").encode() + canonical_json(list(row)).encode("utf-8", "surrogatepass"))
        h.update(b"]")
    h.update(b"]]")
    return f"{ID_SCHEME}:{h.hexdigest()[:32]}"


def mint(kind: str, op: str, inputs: Sequence[str], round: int, index: int) -> str:
    """The id of a record: what kind it is, which operator made it, from what, in which round, at which place."""
    return hash_of("record", kind, op, list(inputs), round, index)

"""What a model says of a few token sequences, kept beside its weights: who loads them can tell that it is this model.

A config can be read in two ways, and a saved folder can differ from what was trained: both answer fluently, as another
model. The trainer therefore writes down log-probabilities of the very model it trained, in its memory, and every engine
compares before it answers. The file is no part of an artefact's digest, as the manifest is not.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from instar.errors import ModelError

FILE = "fingerprint.json"
VERSION = 1
TEXT = (
    "What is 17 + 25? It is 42, because 7 + 5 = 12. Paris is the capital of France; "
    "\u4e24\u52a0\u4e8c\u7b49\u4e8e\u56db\u3002\n"
    "def f(x):\n    return [x ** 2, x - 1]\n"
)
LENGTHS = (3, 40, 97)
"""Tokens of the drawn sequences: the last spans pages, blocks and many rotations."""
TOLERANCES = {"f32": (0.02, 0.002), "bf16": (2.0, 0.25), "int8": (4.0, 0.6)}
"""Precision -> nats a token that rounding explains, at most and on average. Measured (2026-11-27, a CPU of AMD)
on SmolLM2: f32 3e-4 and 7e-5 (openvino; native 6e-5 and 1e-5), bf16 0.29 and 0.05, int8 0.74 and 0.16; on random models
of eight kinds: f32 9e-6 and 2e-6, bf16 0.42 and 0.07, int8 0.42 and 0.06. Another model is whole nats away."""


_ADVICE = (
    f"Its files were changed since (then remove its {FILE}: it is made again), or they are not what was "
    "trained, as with an adapter on tied embeddings (then train without it)."
)


@dataclass(frozen=True)
class Fingerprint:
    """Token sequences, and the log-probability of each of their tokens but the first, given those before it."""

    by: str
    """Who computed it, in words."""
    sequences: tuple[tuple[int, ...], ...]
    logprobs: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Distance:
    """How far an engine is from a fingerprint, in nats a token."""

    most: float
    mean: float
    tokens: int


def sequences(rows: int, context: int, text: Sequence[int] = ()) -> tuple[tuple[int, ...], ...]:
    """What is asked of a model with ``rows`` tokens and ``context`` positions: the tokens of ``TEXT``, and some drawn
    from all over the vocabulary. A function of its arguments; none is longer than the context."""
    drawn = [[_number(f"{length}|{i}") % rows for i in range(length)] for length in LENGTHS]
    known = [t for t in text if 0 <= t < rows][: LENGTHS[-1]]
    cut = (tuple(s[:context]) for s in (known, *drawn))
    return tuple(dict.fromkeys(s for s in cut if len(s) > 1))


def of(by: str, asked: Sequence[Sequence[int]], found: Sequence[Sequence[float]]) -> Fingerprint | None:
    """The fingerprint of these log-probabilities; None if one is not a number: such weights cannot be told apart."""
    if not all(math.isfinite(x) for row in found for x in row):
        return None
    rounded = tuple(tuple(round(x, 6) for x in row) for row in found)
    return Fingerprint(by, tuple(map(tuple, asked)), rounded)


def write(folder: Path, made: Fingerprint) -> None:
    """Write it into a folder: a temporary file, then a rename. Lets OSError pass."""
    body = {"version": VERSION, "by": made.by, "sequences": made.sequences, "logprobs": made.logprobs}
    part = folder / f".{FILE}.{os.getpid()}"
    try:
        with part.open("w", encoding="utf-8") as f:
            f.write(json.dumps(body))
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, folder / FILE)
    finally:
        part.unlink(missing_ok=True)


def read(folder: Path) -> Fingerprint | None:
    """The fingerprint in a folder; None if there is none, or one of another version. Raises ModelError for a damaged
    file."""
    path = folder / FILE
    try:
        body = json.loads(path.read_text("utf-8"))
        if body["version"] != VERSION:
            return None
        asked = tuple(tuple(int(t) for t in s) for s in body["sequences"])
        found = tuple(tuple(float(x) for x in s) for s in body["logprobs"])
        if [len(s) - 1 for s in asked] != [len(s) for s in found] or not asked:
            raise ValueError("its numbers do not belong to its tokens")
        return Fingerprint(str(body["by"]), asked, found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ModelError(
            f"{path} cannot be read: {type(e).__name__}: {e}.", "Remove that file: it is made again from the weights."
        ) from e


def distance(kept: Fingerprint, found: Sequence[Sequence[float]]) -> Distance:
    """How far what was found is from what was kept. Sequences may be cut: no token sees later ones."""
    apart = [
        abs(a - b) for row, mine in zip(kept.logprobs, found, strict=True) for a, b in zip(row, mine, strict=False)
    ]
    return Distance(max(apart, default=0.0), math.fsum(apart) / max(len(apart), 1), len(apart))


def compare(kept: Fingerprint, found: Sequence[Sequence[float]], *, folder: Path, engine: str, precision: str) -> None:
    """Raises ModelError if an engine is farther from a fingerprint than its precision explains."""
    most, mean = TOLERANCES.get(precision, TOLERANCES["int8"])
    apart = distance(kept, found)
    if apart.most <= most and apart.mean <= mean:
        return
    raise ModelError(
        f"The {engine} engine at {precision} does not run the model of {folder}: its log-probabilities of "
        f"{apart.tokens} tokens differ from those of {kept.by}, by {apart.most:.3g} nats at most and {apart.mean:.3g} "
        f"on average; rounding explains {most:g} and {mean:g}.",
        _ADVICE if engine == "transformers" else f"Use engine=transformers, which may read it rightly. {_ADVICE}",
    )


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])

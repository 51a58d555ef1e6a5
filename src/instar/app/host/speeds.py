"""How fast each engine samples here: measured once for a machine and a model's shape, and kept in INSTAR_HOME.

A run that chooses by it writes the choice into its ledger before its first ask; a resumed run measures nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from instar.app.host.machine import Beside, processor
from instar.app.host.versions import versions
from instar.hashing import hash_of

KEPT = "speeds.json"
PROMPTS, SAMPLES, TOKENS = 32, 8, 16
"""The workload: so many prompts, each answered so often, each answer so long. It fills an engine's batch."""
LIMIT = 180.0
"""Seconds that one measurement may take, loading included; an engine that takes longer is not chosen."""
SHAPE = ("model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
         "num_key_value_heads", "head_dim", "vocab_size", "tie_word_embeddings")  # fmt: skip
PACKAGES = ("instar", "openvino", "openvino-genai", "torch", "transformers")
"""What else a speed depends on."""
EXACT = ("f32", "bf16", "int8")
"""Precisions, the most exact first."""
NEAR = 0.85
"""An engine that samples at least so fast as the fastest is as good, and then the more exact precision is taken."""


@dataclass(frozen=True)
class Speed:
    """Generated tokens a second of an engine at a precision; None where it could not be measured, with the reason."""

    engine: str
    precision: str
    tokens_per_s: float | None
    why: str = ""


def measured(
    home: Path, folder: Path, candidates: Sequence[tuple[str, str]], say: Callable[[str], None]
) -> tuple[list[Speed], bool]:
    """The speeds of these (engine, precision) on the weights of ``folder``, and whether the machine was quiet.

    Known ones are read; the others are measured one after the other, each in a process of its own: threads and memory
    of an engine that is not taken would stay. What was measured on a busy machine is measured again by the next run.
    """
    key = _key(folder)
    kept = _read(home).get(key, {})
    found = {(s["engine"], s["precision"]): Speed(**s) for s in kept.get("speeds", ())} if kept.get("quiet") else {}
    missing = [c for c in candidates if c not in found]
    if missing:
        beside = Beside()
        say(f"measuring how fast {_named(missing)} sample this model here (once, about {10 * len(missing)} s)")
        for engine, precision in missing:
            found[engine, precision] = _time(engine, precision, folder)
        calm = beside.quiet()
        if not calm:
            say("  that was beside other work: the next run measures again")
        _write(home, key, {"quiet": calm, "speeds": [asdict(s) for s in found.values()]})
        return [found[c] for c in candidates], calm
    return [found[c] for c in candidates], True


def known(home: Path, folder: Path, candidates: Sequence[tuple[str, str]]) -> bool:
    """Whether all of these were measured before, on a quiet machine."""
    kept = _read(home).get(_key(folder), {})
    return bool(kept.get("quiet")) and set(candidates) <= {(s["engine"], s["precision"]) for s in kept["speeds"]}


def best(speeds: Sequence[Speed]) -> Speed | None:
    """The most exact of those that are nearly as fast as the fastest; None where none could be measured."""
    rates = [s.tokens_per_s for s in speeds if s.tokens_per_s]
    near = [s for s in speeds if s.tokens_per_s and s.tokens_per_s >= NEAR * max(rates)]
    return min(near, key=lambda s: (EXACT.index(s.precision), -(s.tokens_per_s or 0.0)), default=None)


def time_here(engine: str, precision: str, folder: str) -> float:
    """Tokens a second, in this process: the workload once, after a smaller one that loads and warms."""
    import asyncio
    import time

    from instar.app.configs.registry import EngineContext, engines
    from instar.records import Message, Policy, Role, Sampling, Weights

    policy = Policy(weights=Weights(place="artefact", digest="timed", name="timed")).identified()
    with tempfile.TemporaryDirectory(prefix="instar-speed-") as scratch:
        options = {"sample_precision": precision}
        made = engines()[engine](EngineContext(_Lent(Path(folder)), Path(scratch), options))

        async def ask(seed: int, n: int, tokens: int) -> int:
            words = [Message(role=Role.user, content=f"What is {seed + 3} + {7 * seed + 2}? Explain it in words.")]
            sampling = Sampling(temperature=1.0, max_tokens=tokens)
            replies = await made.ask(policy, words, n=n, sampling=sampling, seed=seed, precision=precision)
            return sum(r.tokens for r in replies)

        async def work() -> float:
            await asyncio.gather(*(ask(1000 + i, 2, 2) for i in range(4)))
            began = time.perf_counter()
            tokens = await asyncio.gather(*(ask(i, SAMPLES, TOKENS) for i in range(PROMPTS)))
            return sum(tokens) / (time.perf_counter() - began)

        try:
            return asyncio.run(work())
        finally:
            made.close()


class _Lent:
    """The one folder that is timed, as an artefact store; nothing is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, digest: str) -> Path:
        return self._folder

    def has(self, digest: str) -> bool:
        return True

    def put(self, folder: Path, *, about: Mapping[str, Any] | None = None) -> str:
        raise NotImplementedError("nothing is stored while engines are timed")

    def lend(self, digest: str, folder: Path) -> Any:
        raise NotImplementedError("nothing is lent while engines are timed")


def _time(engine: str, precision: str, folder: Path) -> Speed:
    code = "import sys; from instar.app.host.speeds import time_here as t; print('rate', t(*sys.argv[1:]))"
    command = [sys.executable, "-c", code, engine, precision, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)
        return Speed(engine, precision, round(float(done.stdout.split("rate ")[-1]), 1))
    except subprocess.TimeoutExpired:
        return Speed(engine, precision, None, f"took more than {LIMIT:.0f} s")
    except (subprocess.CalledProcessError, ValueError, OSError) as e:
        said = (getattr(e, "stderr", "") or str(e)).strip().splitlines() or ["no reason given"]
        return Speed(engine, precision, None, said[-1][:300])


def _named(candidates: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{engine} {precision}" for engine, precision in candidates)


def _key(folder: Path) -> str:
    """The machine, the model's shape and the packages: what a speed is a speed of."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    shape = {k: config.get(k) for k in SHAPE}
    p, has = processor(), versions()
    packages = {name: has.get(name) for name in PACKAGES}
    return hash_of("speed", p["processor"], p["cores"], p["units"], shape, packages)


def _read(home: Path) -> dict[str, Any]:
    try:
        kept = json.loads((home / KEPT).read_text("utf-8"))
        return kept if isinstance(kept, dict) else {}
    except (OSError, ValueError):
        return {}  # not measured yet, or damaged: measured anew


def _write(home: Path, key: str, value: dict[str, Any]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    temporary = home / f"{KEPT}.{os.getpid()}"
    temporary.write_text(json.dumps({**_read(home), key: value}, indent=1), "utf-8")
    temporary.replace(home / KEPT)

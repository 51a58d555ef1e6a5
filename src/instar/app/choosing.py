"""Which engine answers for a policy: the one that is named, or the one that "auto" chooses, once in a run."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instar.app.config import Plan
from instar.app.registry import REAL_ENGINES, EngineContext, engines, has_options
from instar.errors import CannotContinue, ModelError
from instar.protocols import ArtefactStore, Engine
from instar.records import Policy
from instar.store.ledger import Ledger

PACKAGES = {"openvino": "openvino_genai", "transformers": "transformers"}
"""What a built-in engine imports when it is first asked."""


def engine_of(plan: Plan, base: Policy, folder: Path, store: ArtefactStore, ledger: Ledger) -> Engine:
    """A run's engine. ``auto`` chooses once in a run: what was measured on two engines cannot be compared.

    Raises CannotContinue when the engine of the replies so far does not run here.
    """
    name, begun = plan.run.engine, last_engine(ledger)
    going_on = name == "auto" and begun is not None
    if going_on:
        name = str(begun)
    elif name == "auto":
        name = engine_for(base, store, plan.run.engine_options)
    scratch = folder / "scratch" / "engine"
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        if going_on and name not in engines():
            raise ModelError(f"no package that is installed offers {name}.")
        if going_on and (package := PACKAGES.get(name)) and importlib.util.find_spec(package) is None:
            raise ModelError(f"the package {package} is not installed.")  # else its first ask would say so
        return engines()[name](EngineContext(store, scratch, dict(plan.run.engine_options)))
    except ModelError as e:
        if not going_on:
            raise
        raise CannotContinue(
            f"the replies of this run so far are of the engine {name}, which does not run here: {e.message}",
            f"Resume it where {name} runs, or mix two engines knowingly: --set engine=NAME --accept-changes.",
        ) from e


def last_engine(ledger: Ledger) -> str | None:
    """The engine of a run's latest reply; None before the first."""
    rows = ledger.select("select engine from journal order by rowid desc limit 1")
    return str(rows[0]["engine"]) if rows else None


def engine_for(
    base: Policy, store: ArtefactStore, options: Mapping[str, Any] | None = None, *, before: str | None = None
) -> str:
    """``auto``: native for a Llama on a machine that runs our kernels, openvino for one elsewhere, transformers for
    every other architecture; and of those only one that has the engine options that were given. Where ``before`` is
    one that can, it is that."""
    if base.weights.place == "scripted":
        return "scripted"
    folder, given = store.open(base.weights.digest), options or {}
    able = [name for name in REAL_ENGINES if _can_run(name, folder, given)]
    able.sort(key=lambda name: name != before)
    # where none has them all, the preferred one says which it lacks
    return next((name for name in able if has_options(name, given)), able[0])


def _can_run(name: str, folder: Path, options: Mapping[str, Any]) -> bool:
    from instar.engines import compiled
    from instar.engines.llama import Shape
    from instar.model_folder.folder import plain_llama

    try:
        if name == "native":
            Shape.of(folder)
            wanted = {"f32", options.get("exam_precision"), options.get("sample_precision")} & set(compiled.NEEDED)
            return all(compiled.why_not(precision) is None for precision in wanted)
        if name == "openvino":
            plain_llama(folder)
    except ModelError:
        return False
    return True

"""What every update that trains weights does around its training: make them once, write what came of it, be stopped."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from instar.errors import ModelError, StoreError
from instar.protocols import Update, UpdateContext, identity
from instar.records import Policy, Weights, hash_of
from instar.update.weights.trainer import checkpoint
from instar.update.weights.trainer.hardware import card

P = ParamSpec("P")
T = TypeVar("T")


def refuse_adapters(policy: Policy) -> None:
    """Raises ModelError for a policy with adapters: they would not fit other weights."""
    if policy.adapters:
        raise ModelError(
            f"The policy carries adapters ({', '.join(sorted(policy.adapters))}), which were made for its weights.",
            "Merge or remove them before its weights are trained.",
        )


def with_weights(policy: Policy, weights: Weights, made_by: str) -> Policy:
    """The policy that an update made."""
    changed = {"weights": weights, "parent": policy.id, "made_by": made_by, "id": ""}
    return policy.model_copy(update=changed).identified()


def settings_of(op: Update) -> dict[str, Any]:
    """An update's settings, without how often it is checkpointed: that does not change what comes out, so it may differ
    between a kill and the resume."""
    return {k: v for k, v in identity(op).items() if not k.startswith("checkpoint_")}


def belongs(
    tag: str, op: Update, policy: Policy, precision: str, device: str, context: UpdateContext, learned: Any
) -> str:
    """A digest of all that decides what comes out: a checkpoint or a result of another one is not gone on with."""
    place = () if device == "cpu" else (device,)
    return hash_of(tag, policy.weights.digest, settings_of(op), precision, context.seed, learned, *place)


async def made_once(
    policy: Policy, belongs: str, context: UpdateContext, make: Callable[[], Awaitable[str]]
) -> Weights:
    """The weights that ``make`` trains, by their digest: those of this call's journal, if it trained them before."""
    done = context.recall("trained")
    if not (done and done.get("belongs") == belongs and context.artefacts.has(done["digest"])):
        done = {"belongs": belongs, "digest": await make()}
        await context.remember("trained", done)
        checkpoint.clear(context.scratch)
    return Weights(place="artefact", digest=done["digest"], name=policy.weights.name)


async def in_thread(thread: ThreadPoolExecutor, stopped: Callable[[], None], work: Callable[[], T]) -> T:
    """Run it in this thread. A thread cannot be cancelled: ``stopped`` is called then, and waited until it ends."""
    job = asyncio.wrap_future(thread.submit(work))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        stopped()
        await asyncio.wait([job])
        job.exception()  # if it has one too, the cancellation is the news
        raise


def put(
    op: Update,
    precision: str,
    device: str,
    told: Mapping[str, Any],
    context: UpdateContext,
    save: Callable[[Path], None],
) -> str:
    """What ``save`` writes into a folder, with ``training.json`` beside it, as an artefact; its digest."""
    with context.timed("save"):
        folder = context.scratch / "trained"
        save(folder)
        about = {"update": settings_of(op), "precision": precision, **card(device), **told}
        try:
            (folder / "training.json").write_text(json.dumps(about, indent=1, sort_keys=True), "utf-8")
        except OSError as e:
            shutil.rmtree(folder, ignore_errors=True)
            raise StoreError(f"{folder} could not be written: {e}.", "Free some disk space.") from e
        return context.artefacts.put(folder)

"""What every update of a memory does around its change: read what is there, write what comes of it."""

from __future__ import annotations

from instar.errors import DataError
from instar.memory import kept
from instar.memory.value import Memory
from instar.protocols import Model, UpdateContext
from instar.records import Policy
from instar.records.exchange import SELF

REFLECTOR = "reflector"
"""The role of a model, a stronger one perhaps, that writes notes in the policy's place."""


def memory_of(policy: Policy, context: UpdateContext, embedder: str | None = None) -> Memory:
    """The policy's memory; an empty one, for this embedder, where it has none. Raises DataError for a memory of
    another embedder, and for none where no embedder is given."""
    if policy.memory is None:
        if embedder is None:
            raise DataError("the policy has no memory to change.", "Insert something first.")
        return Memory(embedder=embedder)
    memory = kept.read(context.artefacts, policy.memory)
    if embedder not in (None, memory.embedder):
        raise DataError(
            f"the policy's memory is searched by {memory.embedder}, and this update was to use {embedder}.",
            f'Set embedder = "{memory.embedder}", or begin with an empty memory.',
        )
    return memory


def writer_of(context: UpdateContext) -> Model:
    """Who writes notes: the role "reflector" where somebody has it, else the policy. Raises DataError where the recipe
    handed nobody in."""
    if SELF not in context.models:
        raise DataError("this update has notes written, and was handed no model.", "Pass models=run.models(policy).")
    return context.models.get(REFLECTOR, context.models[SELF])


def with_memory(policy: Policy, memory: Memory, context: UpdateContext, made_by: str) -> Policy:
    """The policy with this memory, which is kept first. Nothing was learned in the sense of replay: no weight moved."""
    root = kept.keep(memory, context.artefacts, context.scratch)
    context.learned(())
    changed = {"memory": root, "parent": policy.id, "made_by": made_by, "id": ""}
    return policy.model_copy(update=changed).identified()

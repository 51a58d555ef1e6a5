"""What every update of a memory does around its change: read what is there, write what comes of it."""

from __future__ import annotations

from instar.errors import DataError, NothingLearned
from instar.memory import kept, value
from instar.memory.examples import example_turns
from instar.memory.trust import overtrusted
from instar.memory.value import Memory
from instar.protocols import Model, UpdateContext
from instar.records import Decision, Note, NoteKind, Policy
from instar.records.exchange import SELF

REFLECTOR = "reflector"
"""The role of a model, a stronger one perhaps, that writes notes in the policy's place."""
LEAKED = "not remembered: it repeats words of a task that is held out"


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


def _looked_at(note: Note) -> str:
    """What of a note may repeat a held-out task. An example's question is a training task's, which was proved to be
    none of them and may share its form with them: of an example, the answer."""
    turns = example_turns(note.text) if note.what is NoteKind.demonstration else None
    return note.text if turns is None else turns[1].content


def with_memory(policy: Policy, memory: Memory, context: UpdateContext, made_by: str) -> Policy:
    """The policy with this memory, which is kept first. Nothing was learned in the sense of replay: no weight moved.

    Whatever the update, no new note repeats a task that is held out (of an example, its answer): one that does is left
    out, with a decision that does not quote it. And none is believed further than what it was made from
    (``memory.trust``).

    Raises DataError for a note that claims more, NothingLearned where nothing is left that is new.
    """
    before = kept.read(context.artefacts, policy.memory) if policy.memory is not None else Memory()
    new = [n for n in memory.notes.values() if n.id not in before.notes]
    if bold := overtrusted(new, memory.notes):
        raise DataError(
            f"the note {bold[0].id} claims to be {bold[0].trust}, and was made from notes that are less.",
            "Make it with memory.trust.derived_note.",
        )
    leaked = [n.id for n, leaks in zip(new, context.leaks([_looked_at(n) for n in new]), strict=True) if leaks]
    if leaked:
        context.decide(Decision(item=id, kept=False, reason=LEAKED) for id in leaked)
        memory = value.without(memory, leaked)
        if memory.notes.keys() == before.notes.keys() and dict(memory.states) == dict(before.states):
            raise NothingLearned(f"no note is left that is new: all {len(leaked)} repeat tasks that are held out.")
    root = kept.keep(memory, context.artefacts, context.scratch)
    context.learned(())
    changed = {"memory": root, "parent": policy.id, "made_by": made_by, "id": ""}
    return policy.model_copy(update=changed).identified()

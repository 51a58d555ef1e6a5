"""What an operator asks, and what answers: handles on models, engines, the store of weights."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from instar.records import Message, Policy, Reply, Sampling


@runtime_checkable
class Model(Protocol):
    """A light handle, bound to one policy for life and, inside a verb, to one call's key."""

    policy: Policy

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]: ...


@runtime_checkable
class Borders(Protocol):
    """What a model at hand inside a call offers besides: to journal what else that does. See ``borders.crossing``."""

    async def cross(
        self, kind: str, asked: Any, work: Callable[[], Awaitable[Any]], *, again: bool,
        says: Callable[[Any], bool] | None,
    ) -> Any: ...  # fmt: skip


@runtime_checkable
class Scores(Protocol):
    """What a model at hand inside a call offers besides: to say how likely it finds given answers."""

    async def score(self, messages: Sequence[Message], replies: Sequence[Reply]) -> list[float]:
        """Of each reply the log-probability (nats) given the prompt: the sum of ``Engine.score``. Journalled like what
        else a call does. Raises EngineError as ``Engine.score``."""
        ...


@runtime_checkable
class Branches(Protocol):
    """What a model at hand inside a call offers besides: to go several ways at once. See ``borders.side_by_side``."""

    def branch(self, name: str) -> Model:
        """The same model, whose asks and crossings are journalled as those of this branch: counted on their own, so
        that what other branches do shifts none of them. Raises StepFailed for a branch that there is already."""
        ...

    def has_branch(self, name: str) -> bool:
        """Whether there is such a branch already."""
        ...

    def begun_in_turn(self) -> bool:
        """Whether an instar that had no branches began what comes now: it is ended as it was begun."""
        ...


@runtime_checkable
class Parts(Protocol):
    """What a model at hand inside a call offers besides: to take another part in it. See ``borders.acting_as``."""

    def acting_as(self, role: str) -> Model:
        """The same policy in another role: with the adapter that it has for it, and with asks of that role's own."""
        ...


Models = Mapping[str, Model]


class Engine(Protocol):
    """Something heavy that answers for policies. ``ask`` is called concurrently by hundreds of operator calls."""

    name: str
    batch_invariant: bool
    """True only if the engine promises, and its tests show, that a reply does not depend on what else is asked."""
    concurrency: int
    """How many operator calls should be in flight to keep it full."""

    @property
    def resident_max(self) -> int:
        """How many sets of weights it holds at once."""
        ...

    async def ask(
        self, policy: Policy, messages: Sequence[Message], *, n: int, sampling: Sampling, seed: int, precision: str
    ) -> list[Reply]:
        """``n`` replies, different from each other, the same again for the same seed, of the policy's weights with
        ``policy.weights.adapter`` on them; a reply says which adapter was.

        Raises EngineError on an empty prompt, on a prompt that leaves no room in the context, and when the engine
        answers with fewer than ``n`` replies.
        """
        ...

    async def score(
        self, policy: Policy, messages: Sequence[Message], replies: Sequence[Reply], *, precision: str
    ) -> list[list[float]]:
        """For each reply the log-probability (nats) of each of its tokens, given the prompt and those before it, at
        temperature 1 and without top-k or top-p, whoever wrote it and however it was sampled. [] for an empty reply.

        A reply's tokens are its ``token_ids``; its text is tokenized only where it has none, without a stop token.
        Raises EngineError for a token that the model has no row for, and for a prompt and reply that together do not
        fit, with the number; else as ``ask``.
        """
        ...

    def precision_for(self, purpose: Literal["sample", "exam"]) -> str:
        """The arithmetic used for sampling, or for exams; recorded on every reply."""
        ...

    def busy_seconds(self) -> float:
        """Seconds this engine has spent working (loading, exporting, generating) since it was made."""
        ...

    def evict(self, policy: Policy) -> None: ...

    def unload(self) -> None:
        """Free all memory held for policies, before training. The next ask loads again."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Streams(Protocol):
    """What an engine may offer besides: to say a reply while it is being written. For people who wait, not for runs."""

    async def stream(
        self, policy: Policy, messages: Sequence[Message], *, sampling: Sampling, seed: int, precision: str,
        on_token: Callable[[str], None],
    ) -> Reply:  # fmt: skip
        """The reply that ``ask`` gives for ``n = 1``. ``on_token`` is called in the event loop with each new piece of
        its text; joined, the pieces are the text. Raises as ``ask``; what was heard until then is no reply."""
        ...


@runtime_checkable
class Holds(Protocol):
    """What an engine offers besides that loads weights: to make room for several sets that are asked in turn, which it
    would otherwise load again for each ask."""

    def hold(self, most: int) -> None: ...


@runtime_checkable
class Routes(Protocol):
    """What an engine offers besides that holds several, and answers for each policy with the one that has its
    weights."""

    def precision_beside(self, policy: Policy, precision: str) -> str:
        """The precision at which ``policy`` is asked where the policy at hand answers at ``precision``."""
        ...


class ArtefactStore(Protocol):
    """Content-addressed folders: written whole or not at all, verified when opened."""

    def put(self, folder: Path, *, about: Mapping[str, Any] | None = None) -> str:
        """Move a finished folder into the store and return its digest."""
        ...

    def open(self, digest: str) -> Path:
        """The folder of an artefact, its hashes verified. Raises StoreError naming the damaged file."""
        ...

    def has(self, digest: str) -> bool: ...

    def lend(self, digest: str, folder: Path) -> AbstractContextManager[None]:
        """Inside, ``open(digest)`` gives this folder, which is neither moved, hashed nor kept: weights that an update
        is half way through with. ``digest`` is a name of the caller's own."""
        ...

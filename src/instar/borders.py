"""What an operator does beyond asking models: it is done once, journalled, and replayed when a run is resumed.

And how it goes several ways at once, with the same keys in whatever order they end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any, TypeVar

from instar.errors import STOPS_THE_RUN
from instar.protocols import Borders, Branches, Model, Models, Parts

T = TypeVar("T")


async def crossing(
    model: Model, kind: str, asked: Any, work: Callable[[], Awaitable[Any]], *, again: bool = True,
    says: Callable[[Any], bool] | None = None,
) -> Any:  # fmt: skip
    """What ``work`` gives, plain data, under the next key of this kind of the call that ``model`` is at hand in.

    ``asked`` is what makes it this crossing: plain data too, such as a tool's name and what it is given. ``again``
    False: it has effects outside, so where it was begun and is not known to have ended it is not done again, and the
    call fails. ``says``: whether what came of it says anything; where it does not, and the call is made again because
    it gave no score, it is done again too. Outside a run nothing is journalled, and the work is just done.
    """
    if isinstance(model, Borders):
        return await model.cross(kind, asked, work, again=again, says=says)
    return await work()


async def side_by_side(models: Models, ways: Sequence[Callable[[Models], Awaitable[T]]]) -> list[T]:
    """What each of these ways gives, in order: all at once, each with models at hand of its own, whose asks and
    crossings have keys of their own. In whatever order they end, the journal is the same, and so are all seeds.

    All come to their end, also where one fails; then the first failure is raised, what stops the run before the rest.
    One after the other, with the models as they are: outside a run, and where the call was begun so by an instar that
    had no branches.
    """
    apart = [m for m in models.values() if isinstance(m, Branches)]
    if len(apart) < len(models) or any(m.begun_in_turn() for m in apart):
        return [await way(models) for way in ways]
    # all named before any begins: what was said is told in this order
    forks = (_named(fork, len(ways)) for fork in count())
    named = next(names for names in forks if not any(m.has_branch(n) for m in apart for n in names))
    at_hand = [{role: m.branch(name) for role, m in models.items()} for name in named]  # type: ignore[attr-defined]  # a run's models can
    ended = await asyncio.gather(*(_ended(way(own)) for way, own in zip(ways, at_hand, strict=True)))
    failures = [error for _, error in ended if error is not None]
    if failures:
        raise min(failures, key=lambda e: not isinstance(e, STOPS_THE_RUN))
    return [said for said, _ in ended]  # type: ignore[misc]  # none failed


def acting_as(models: Models, role: str) -> Model:
    """Who plays ``role``: whoever is at hand for it, else "self", with the adapter that its policy has for that role.
    So one policy plays all parts of a group, in what is sampled and in every exam. Outside a run it is "self" as it
    is."""
    if role in models:
        return models[role]
    own = models["self"]
    return own.acting_as(role) if isinstance(own, Parts) else own


def _named(fork: int, ways: int) -> list[str]:
    """The names of the branches of a call's first fork, and of those after it."""
    return [f"{fork}.{i}" if fork else str(i) for i in range(ways)]


async def _ended(way: Awaitable[T]) -> tuple[T | None, BaseException | None]:
    """What a way gives, or what it failed of: a tool may raise anything, SystemExit too."""
    try:
        return await way, None
    except asyncio.CancelledError as e:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise  # it is the call that is given up
        return None, e  # the way's own: the others go on to their end
    except (Exception, SystemExit) as e:
        return None, e

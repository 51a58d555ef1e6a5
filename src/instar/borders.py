"""What an operator does beyond asking models: it is done once, journalled, and replayed when a run is resumed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from instar.protocols import Borders, Model


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

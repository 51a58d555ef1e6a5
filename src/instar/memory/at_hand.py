"""What an operator recalls: from the memory of the model at hand, journalled as a border of its call."""

from __future__ import annotations

from collections.abc import Sequence

from instar.errors import EngineError
from instar.protocols import Found, Model, Query, Recalls


async def recalled(model: Model, query: Query) -> Sequence[Found]:
    """What fits the query in the memory of this model's policy, the best first; nothing where it has none.

    It is looked up once: on replay the journal says what was found, whatever an index or an embedder would say now.
    Raises EngineError for a model that is at hand outside of a run and has a memory.
    """
    if model.policy.memory is None:
        return ()
    if not isinstance(model, Recalls):
        raise EngineError("a memory can be searched only inside a run, where the call has a key.")
    return await model.recall(query)

"""Models on servers, asked for a word before a run: is the server there, does it take the key, has it the model?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from instar.app.configs.config import Plan
from instar.engines.remote.address import Address
from instar.engines.remote.calls import Loop, Refused
from instar.engines.remote.engine import REMOTE, OpenAIEngine
from instar.errors import InstarError
from instar.legible import storable
from instar.records import Message, Policy, Role, Sampling

ASKED = (Message(role=Role.user, content="Say yes."),)
ENOUGH = 16
"""Tokens: some servers refuse to write fewer."""
NAMED = 8
"""Models of a server that one sentence names."""


def reached(plan: Plan, addresses: Sequence[Address]) -> list[InstarError]:
    """What stands between a run and these models. Each is asked for a word, for only an answer proves URL, key and
    model: it costs a few tokens of that server."""
    return [e for address in dict.fromkeys(addresses) for e in _reached(plan, address)]


def _reached(plan: Plan, address: Address) -> Iterator[InstarError]:
    engine = OpenAIEngine(**{**plan.run.openai.model_dump(), "tries": 2})
    policy = Policy(weights=address.weights()).identified()
    sampling = Sampling(temperature=0.0, max_tokens=ENOUGH)

    async def ask() -> InstarError | None:
        try:
            await engine.ask(policy, ASKED, n=1, sampling=sampling, seed=1, precision=REMOTE)
        except Refused as e:
            if e.status == 429 and e.transient:  # it is there and knows us; it is busy now
                return None
            return await _named(engine, address, e) if e.status == 404 else e
        except InstarError as e:
            return e
        return None

    loop = Loop()  # of its own: in a notebook one is running here
    try:
        found = loop.result(ask())
    finally:
        engine.close()
        loop.close()
    if found is not None:
        yield found


async def _named(engine: OpenAIEngine, address: Address, refused: Refused) -> InstarError:
    """A 404 as what it is: a model that the server does not have, or a URL that leads nowhere."""
    there = await engine.models(address)
    if there is None:
        refused.message = f"nothing at {address.base_url} answers for a model (404)."
        refused.hint = "The URL of an OpenAI-compatible server mostly ends in /v1."
    else:
        more = f" and {len(there) - NAMED} more" if len(there) > NAMED else ""
        refused.message = f"the server {address.base_url} has no model {storable(address.model)!r} (404)."
        refused.hint = f"It has: {', '.join(m[:80] for m in there[:NAMED])}{more}."
    return refused

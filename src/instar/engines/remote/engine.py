"""The openai engine: a model on any server that speaks OpenAI's chat completions (llama.cpp, vLLM, hosted ones).

It gives text and nothing else: no token ids, no log-probabilities, no training. So its models judge, and teach, while
a model of this machine evolves. What a server says is untrusted; its own defaults hold for what the API cannot say
(llama.cpp's ``min_p``, say).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from instar.engines.remote.address import Address, address_of_policy
from instar.engines.remote.calls import Calls, Loop, Refused
from instar.engines.remote.key import LIKELY_A_WORD, VARIABLE, Key
from instar.engines.scheduler.clock import Clock
from instar.engines.scheduler.validation import check_ask
from instar.errors import EngineError
from instar.legible import storable
from instar.records import Finish, Message, Policy, Reply, Sampling, calls_answered, hash_of, in_words

REMOTE = "remote"
"""The one precision: nobody but the server knows its arithmetic."""
CUT = ("length", "max_tokens", "content_filter")
"""Finish reasons of a reply that is not whole."""
MOST = 2**31
"""Tokens that a server may say a reply had."""


class OpenAIEngine:
    """Answers for policies of place ``remote``, each of which names its server and model.

    ``key``: the environment variable that holds the key ("" sends none). ``concurrency``: requests under way at once.
    ``connect_seconds`` and ``seconds``: how long a connection and a whole answer may take. ``tries``: attempts at what
    asking again may mend (429, 5xx, no connection, no answer in time), with growing pauses, or those that the server
    asks for. ``plain_http``: whether the key may go to another machine unencrypted.

    ``n`` samples are one request where the server has ``n``, else ``n`` requests with seeds of their own. At
    temperature 0 one is asked for and copied. A server need not heed a seed: what it said stands in the journal.
    """

    name = "openai"
    batch_invariant = False
    resident_max = 64
    precisions = (REMOTE,)

    def __init__(
        self,
        *,
        key: str = VARIABLE,
        concurrency: int = 8,
        connect_seconds: float = 10.0,
        seconds: float = 300.0,
        tries: int = 6,
        plain_http: bool = False,
    ) -> None:
        if concurrency < 1 or tries < 1 or not connect_seconds > 0 or not seconds > 0:
            raise EngineError(
                f"concurrency is {concurrency}, tries {tries}, connect_seconds {connect_seconds}, seconds {seconds}.",
                "The first two are at least 1, the others more than 0.",
            )
        self.concurrency = concurrency
        self._key = Key(key)
        self._begin = partial(
            Calls, self._key, concurrency=concurrency, connect_seconds=connect_seconds, seconds=seconds, tries=tries,
            plain_http=plain_http,
        )  # fmt: skip
        self._clock = Clock()
        self._loop: Loop | None = None
        self._calls: Calls | None = None
        self._lacks: dict[Address, set[str]] = {}
        """What a server was found not to take: "n", "seed", "max_tokens"."""

    async def ask(
        self, policy: Policy, messages: Sequence[Message], *, n: int, sampling: Sampling, seed: int, precision: str
    ) -> list[Reply]:
        """``n`` replies. Raises ModelError for a policy of no server, EngineError as every engine does."""
        address = address_of_policy(policy)
        check_ask(policy, messages, n)
        self._check_precision(precision)
        wanted = 1 if sampling.temperature == 0 else n
        with self._clock.running():
            said = await self._in_loop().do(self._replies(address, messages, wanted, sampling, seed))
        replies = [Reply(policy=policy.id, engine=self.name, precision=REMOTE, **s) for s in said]
        return replies if wanted == n else replies * n

    async def models(self, address: Address) -> list[str] | None:
        """The models that a server says it has; None where it says nothing of them."""
        try:
            data = (await self._in_loop().do(self._sender().send(address, "/models"))).get("data")
        except EngineError:
            return None
        rows = data if isinstance(data, list) else []
        return [storable(i)[:200] for r in rows if isinstance(r, dict) and isinstance(i := r.get("id"), str)] or None

    async def score(
        self, policy: Policy, messages: Sequence[Message], replies: Sequence[Reply], *, precision: str
    ) -> list[list[float]]:
        """Refused: raises EngineError."""
        raise EngineError(
            "The openai engine gets text from a server, not log-probabilities: it cannot score a reply.",
            "Score with a model of this machine, such as smollm2-135m.",
        )

    def precision_for(self, purpose: Literal["sample", "exam"]) -> str:
        """Always "remote"."""
        return REMOTE

    def busy_seconds(self) -> float:
        """Seconds during which a request was under way or waiting its turn."""
        return self._clock.seconds()

    def evict(self, policy: Policy) -> None:
        """Nothing is held."""

    def unload(self) -> None:
        """Nothing is held: the weights are elsewhere."""

    def close(self) -> None:
        """Close all connections. The next ask opens them again."""
        loop, calls, self._loop, self._calls = self._loop, self._calls, None, None
        if loop is not None and calls is not None:
            loop.result(calls.close(), 10)
            loop.close()

    def _check_precision(self, precision: str) -> None:
        if precision != REMOTE:
            raise EngineError(f"The openai engine has no precision {precision!r}.", f"It has one: {REMOTE!r}.")

    def _in_loop(self) -> Loop:
        if self._loop is None:
            self._loop = Loop()
            self._calls = self._begin()
        return self._loop

    def _sender(self) -> Calls:
        self._in_loop()
        assert self._calls is not None
        return self._calls

    # --- within the engine's own loop ---------------------------------------------------------------------------------

    async def _replies(
        self, address: Address, messages: Sequence[Message], n: int, sampling: Sampling, seed: int
    ) -> list[dict[str, Any]]:
        """What a ``Reply`` is made of, ``n`` times."""
        lacks = self._lacks.setdefault(address, set())
        said: list[dict[str, Any]] = []
        if n > 1 and "n" not in lacks:
            try:
                said = (await self._choices(address, messages, n, sampling, seed))[:n]
            except Refused as e:
                if e.status not in (400, 422, 501):
                    raise
        if len(said) == n:
            return said
        seeds = [seed if i == 0 else _seed(seed, i) for i in range(len(said), n)]
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._choices(address, messages, 1, sampling, s)) for s in seeds]
        except BaseExceptionGroup as many:
            raise many.exceptions[0] from None
        if n > 1:
            lacks.add("n")  # it answers one at a time, so it was ``n`` that it did not take
        return [*said, *(t.result()[0] for t in asked)]

    async def _choices(
        self, address: Address, messages: Sequence[Message], n: int, sampling: Sampling, seed: int
    ) -> list[dict[str, Any]]:
        lacks = self._lacks[address]
        while True:
            sent = _request(address, messages, n, sampling, seed, lacks)
            try:
                answer = await self._sender().send(address, "/chat/completions", sent)
            except Refused as e:
                lesson = _lesson(e)
                if lesson is None or lesson in lacks:
                    raise
                lacks.add(lesson)
            else:
                return self._told(address, answer, sampling.max_tokens)

    def _told(self, address: Address, answer: dict[str, Any], most: int) -> list[dict[str, Any]]:
        """The replies in an answer. Raises EngineError where there is none, or one that cannot be read."""
        choices = answer.get("choices")
        found = [_read(c) for c in choices] if isinstance(choices, list) else []
        read = [r for r in found if r is not None]
        if not read or len(read) < len(found):
            what = "no choices" if not found else "a choice without a text"
            raise EngineError(
                f"the server {address.base_url} answered with {what}.", "Look at the server's log.", transient=True
            )
        # a server that says the key back has no secret to keep; a ledger has
        texts = [self._key.out_of(storable(r[0]), shortest=LIKELY_A_WORD) for r in read]
        usage = answer.get("usage")
        counted = usage if isinstance(usage, dict) else {}
        tokens = _shared(_count(counted.get("completion_tokens")), texts)
        prompt = _count(counted.get("prompt_tokens"))
        return [
            {"text": text, "finish": _finish(r[1], t, most), "tokens": t, "prompt_tokens": prompt}
            for text, r, t in zip(texts, read, tokens, strict=True)
        ]


def _request(
    address: Address, messages: Sequence[Message], n: int, sampling: Sampling, seed: int, lacks: set[str]
) -> dict[str, Any]:
    sent: dict[str, Any] = {
        "model": address.model,
        "messages": _sent(messages),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        # OpenAI's newer models know the second name alone, most other servers the first
        "max_completion_tokens" if "max_tokens" in lacks else "max_tokens": sampling.max_tokens,
    }
    if "seed" not in lacks:
        sent["seed"] = seed
    if sampling.top_k is not None:
        sent["top_k"] = sampling.top_k
    if n > 1:
        sent["n"] = n
    if tools := [t for m in messages for t in m.tools]:
        about = [{"name": t.name, "description": t.about, "parameters": json.loads(t.parameters)} for t in tools]
        sent["tools"] = [{"type": "function", "function": f} for f in about]
    return sent


def _sent(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as servers take them. A call has an id, which its result names; a result of no call (one that could not
    be read, say) is told in words: a strict server refuses it."""
    answered = calls_answered(messages)
    sent: list[dict[str, Any]] = []
    for i, m in enumerate(messages):
        if i in answered:
            sent.append({"role": "tool", "tool_call_id": _call_id(*answered[i]), "content": m.content})
            continue
        sent.append({"role": m.role.value, "content": m.content if m.result_of is None else in_words((m,))[0].content})
        if m.calls:
            functions = [{"name": c.name, "arguments": c.arguments} for c in m.calls]
            sent[-1]["tool_calls"] = [
                {"id": _call_id(i, k), "type": "function", "function": f} for k, f in enumerate(functions)
            ]
    return sent


def _call_id(place: int, which: int) -> str:
    return f"call_{place}_{which}" if which else f"call_{place}"


def _lesson(refused: Refused) -> str | None:
    """What a server does not take, where it says so and it can be asked without. How a reply is sampled is never left
    out in silence."""
    if refused.status not in (400, 422):
        return None
    if "max_completion_tokens" in refused.said:
        return "max_tokens"
    return "seed" if "seed" in refused.said.lower() else None


def _seed(seed: int, i: int) -> int:
    """The seed of the i-th of several samples, 31 bits."""
    return int(hash_of("sample", seed, i).rsplit(":", 1)[1][:8], 16) & 0x7FFFFFFF


def _read(choice: Any) -> tuple[str, Any] | None:
    """Text and finish reason of a choice; None where it has no text of any kind."""
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return None
    content = message.get("content")
    if isinstance(content, list):  # parts
        texts = [p.get("text") for p in content if isinstance(p, dict) and p.get("type") == "text"]
        content = "".join(t for t in texts if isinstance(t, str))
    if content is None:  # it only thought, or refused: an empty reply, and the finish says whether it was cut
        content = ""
    if not isinstance(content, str):
        return None
    return content + _calls(message.get("tool_calls")), choice.get("finish_reason")


def _calls(made: Any) -> str:
    """The calls that a server took out of a reply, written back into it."""
    found = [c.get("function") for c in made if isinstance(c, dict)] if isinstance(made, list) else []
    told = [f for f in found if isinstance(f, dict)]
    return "".join(
        f'\n<tool_call>\n{{"name": {json.dumps(f.get("name"))}, "arguments": {_arguments(f)}}}\n</tool_call>'
        for f in told
    )


def _arguments(function: dict[str, Any]) -> str:
    given = function.get("arguments")
    return given if isinstance(given, str) and given else json.dumps(given or {})


def _finish(reason: Any, tokens: int, most: int) -> Finish:
    cut = reason in CUT if isinstance(reason, str) else tokens >= most
    return Finish.length if cut else Finish.stop


def _count(value: Any) -> int:
    """Tokens as a server counts them; 0 where it does not say."""
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST
    return value if known else 0


def _shared(total: int, texts: Sequence[str]) -> list[int]:
    """Tokens of each text. A server counts those of all its choices together: they are shared out by length, and their
    sum, which budgets count, is the server's."""
    size = sum(map(len, texts)) or len(texts)
    parts = [total * (len(t) or size == len(texts)) // size for t in texts]
    parts[0] += total - sum(parts)
    return parts

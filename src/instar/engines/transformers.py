"""The transformers engine: any causal language model in an artefact folder, on a CPU or a GPU.

It keeps at most ``resident_max`` sets of weights loaded and answers for every policy that has those weights, whatever
its prompt. Each sample draws from a generator of its own, so it depends on the batch around it only through float
rounding; near-ties then flip, so it is *not* batch-invariant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from instar.chat import ChatTokenizer
from instar.engines.asks import Clock, check_ask, check_room
from instar.engines.batching import Part
from instar.engines.causal import PRECISIONS, CausalModel, device_of, sampling_precision
from instar.engines.request import Answer, Told
from instar.engines.residents import Key, Residents
from instar.engines.telling import Telling
from instar.engines.worker import Limits, Worker
from instar.errors import EngineError, ModelError
from instar.protocols import ArtefactStore
from instar.records import Message, Policy, Reply, Sampling


class TransformersEngine:
    """Answers for policies of place ``artefact``: GPT-NeoX, Gemma, Qwen, Llama, ... with attention layers only.

    Precisions: ``f32`` (exams) and ``bf16``; ``sample_precision`` "auto" is bf16 on a GPU or CPU that multiplies it in
    hardware, else f32. Up to ``rows`` samples run side by side, in at most ``cache_gb`` of key/value cache; the rest
    wait. At temperature 0 an ask for ``n`` gives ``n`` copies of the one greedy reply. ``trust_remote_code`` runs the
    Python code that a model folder brings: only for code you have read. When another policy is asked and the house is
    full, the least recently used idle one leaves; if none is idle, the ask waits until one is.

    The same ask with the same seed, alone, gives the same replies in f32. In bf16 it nearly always does: it was seen to
    differ once, and why was not found. The journal keeps what was said, so a resumed run does not ask again.
    """

    name = "transformers"
    batch_invariant = False

    def __init__(
        self,
        artefacts: ArtefactStore,
        scratch: Path | None = None,
        *,
        device: str = "auto",
        resident_max: int = 1,
        rows: int = 64,
        cache_gb: float = 2,
        exam_precision: str = "f32",
        sample_precision: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        for named in (exam_precision, *([] if sample_precision == "auto" else [sample_precision])):
            _check_precision(named)
        if resident_max < 1 or rows < 1 or not cache_gb > 0:
            raise EngineError(
                f"resident_max is {resident_max}, rows {rows} and cache_gb {cache_gb}.",
                "The first two are at least 1, the last is more than 0.",
            )
        if not isinstance(trust_remote_code, bool):
            raise EngineError(f"trust_remote_code is {trust_remote_code!r}.", "It is true or false.")
        self.resident_max = resident_max
        self.concurrency = 2 * rows  # a full batch, and the next asks at hand when rows leave it
        self.artefacts = artefacts
        self._asked_device, self._trust = device, trust_remote_code
        self._exam, self._sample = exam_precision, sample_precision
        self._limits = Limits(rows, cache_gb)
        self._clock = Clock()
        self._residents = Residents(self.name, resident_max, self._begin)

    async def ask(
        self, policy: Policy, messages: Sequence[Message], *, n: int, sampling: Sampling, seed: int, precision: str
    ) -> list[Reply]:
        """``n`` replies; ``token_ids`` end with the stop token when the reply stopped by itself.

        Raises EngineError as the protocol says, ModelError for weights it cannot run or a missing package, StoreError
        for a damaged artefact.
        """
        return await self._asked(policy, messages, n, sampling, seed, precision)

    async def stream(
        self, policy: Policy, messages: Sequence[Message], *, sampling: Sampling, seed: int, precision: str,
        hear: Callable[[str], None],
    ) -> Reply:  # fmt: skip
        """One reply, its text heard piece by piece; as ``ask`` else."""
        telling = Telling(hear)
        (reply,) = await self._asked(policy, messages, 1, sampling, seed, precision, telling)
        telling.end(reply.text)
        return reply

    async def _asked(
        self, policy: Policy, messages: Sequence[Message], n: int, sampling: Sampling, seed: int, precision: str,
        telling: Telling | None = None,
    ) -> list[Reply]:  # fmt: skip
        check_ask(policy, messages, n)
        _check_precision(precision)
        self._check_policy(policy)
        key = (policy.weights.digest, precision)
        worker = await self._residents.acquire(key)
        try:
            tokenizer = await self._residents.ready(key, worker)
            ids = _prompt(tokenizer, messages)
            check_room(len(ids), sampling.max_tokens, worker.context)
            told = None if telling is None else partial(telling.to, tokenizer)
            answers = await self._answers(worker, ids, n, sampling, seed, told)
        finally:
            self._residents.release(worker)
        if len(answers) < n:
            raise EngineError(f"transformers gave {len(answers)} replies where {n} were asked.", "Ask again.")
        return [
            Reply(
                text=tokenizer.text(out),
                finish=finish,
                policy=policy.id,
                engine=self.name,
                precision=precision,
                token_ids=out,
                prompt_tokens=len(ids),
                tokens=len(out),
            )
            for out, finish in answers
        ]

    async def logprobs(
        self, policy: Policy, messages: Sequence[Message], answer_ids: Sequence[int], precision: str
    ) -> list[float]:
        """The log-probability (nats, temperature 1) of each token of an answer, given the prompt and those before it.

        Raises EngineError for an empty answer, an unknown token or no room, and otherwise as ``ask``.
        """
        check_ask(policy, messages, 1)
        _check_precision(precision)
        self._check_policy(policy)
        key = (policy.weights.digest, precision)
        worker = await self._residents.acquire(key)
        try:
            tokenizer = await self._residents.ready(key, worker)
            ids, answer = _prompt(tokenizer, messages), list(answer_ids)
            wrong = [t for t in answer if not 0 <= t < worker.vocab_size]
            if not answer or wrong:
                what = f"holds the tokens {wrong[:5]}" if wrong else "is empty"
                raise EngineError(
                    f"The answer to score {what}; the model has tokens 0 to {worker.vocab_size - 1}.",
                    "Give the token ids that a reply of this model carries.",
                )
            check_room(len(ids), len(answer), worker.context)
            return await asyncio.wrap_future(worker.score(ids, answer))
        finally:
            self._residents.release(worker)

    def precision_for(self, purpose: Literal["sample", "exam"]) -> str:
        if purpose == "exam":
            return self._exam
        if self._sample == "auto":
            self._sample = sampling_precision(device_of(self._asked_device))
        return self._sample

    def busy_seconds(self) -> float:
        """Seconds of loading and generating."""
        return self._clock.seconds()

    def evict(self, policy: Policy) -> None:
        """Free this policy's weights, at every precision. Asks under way fail with a transient EngineError."""
        self._residents.drop([k for k in self._residents.loaded() if k[0] == policy.weights.digest])

    def unload(self) -> None:
        """Free all weights and give the memory back. Asks under way fail with a transient EngineError."""
        self._residents.drop(self._residents.loaded())

    def close(self) -> None:
        """Unload, for good."""
        self._residents.close()

    def _begin(self, key: Key, leaver: Worker | None) -> Worker:
        digest, precision = key
        return Worker(
            lambda: self.artefacts.open(digest),
            lambda folder: CausalModel(folder, precision, device_of(self._asked_device), self._trust),
            self._limits,
            self._clock,
            leaver,
        )

    async def _answers(
        self, worker: Worker, ids: list[int], n: int, sampling: Sampling, seed: int, told: Told | None
    ) -> list[Answer]:
        loop = asyncio.get_running_loop()
        reach = len(ids) + sampling.max_tokens
        if reach > worker.cache_tokens:
            raise EngineError(
                f"A reply of up to {sampling.max_tokens} tokens to a prompt of {len(ids)} needs {reach} cached tokens; "
                f"{self._limits.cache_gb} GB hold {worker.cache_tokens}.",
                "Lower max_tokens, or raise engine_options.cache_gb.",
            )
        greedy = sampling.temperature == 0
        size = max(1, min(self._limits.rows, worker.cache_tokens // reach))
        parts = [
            Part(ids, min(size, n - i), sampling, seed, loop, loop.create_future(), first=i, told=told)
            for i in range(0, 1 if greedy else n, size)
        ]
        if greedy:
            parts[0].n = 1
        answers: list[Answer] = []
        try:
            for part in parts:
                worker.submit(part)
            for part in parts:
                answers += await part.answer
        finally:
            for part in parts:
                if not part.answer.done() or part.answer.cancelled():
                    worker.cancel(part)
        return answers * n if greedy else answers

    def _check_policy(self, policy: Policy) -> None:
        if policy.weights.place != "artefact":
            raise ModelError(
                f"The transformers engine cannot answer for {policy.weights.name or policy.id}: its weights are of "
                f"place {policy.weights.place!r}, not an artefact.",
                "Use the scripted engine for the scripted model.",
            )
        if policy.adapters:
            names = ", ".join(sorted(policy.adapters))
            raise ModelError(
                f"The transformers engine does not apply adapters ({names}).", "Merge them into the weights."
            )


def _prompt(tokenizer: ChatTokenizer, messages: Sequence[Message]) -> list[int]:
    ids = tokenizer.prompt_ids(messages)
    if not ids:
        raise EngineError("The prompt has no tokens.", "Its words may all be unknown to the model's tokenizer.")
    return ids


def _check_precision(precision: str) -> None:
    if precision not in PRECISIONS:
        raise EngineError(f"There is no precision {precision!r}.", f"There are: {', '.join(PRECISIONS)}.")

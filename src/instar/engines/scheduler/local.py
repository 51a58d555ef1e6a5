"""What engines have in common that load the weights of artefacts in this process, each set with a worker of its own."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from instar.chat import ChatTokenizer
from instar.engines.scheduler.backend import Backend
from instar.engines.scheduler.clock import Clock
from instar.engines.scheduler.detokenizer import Detokenizer
from instar.engines.scheduler.limits import Limits
from instar.engines.scheduler.model_pool import Key, ModelPool
from instar.engines.scheduler.request import Answer, OnIds, Request
from instar.engines.scheduler.scoring import tokens_of, too_large
from instar.engines.scheduler.validation import check_ask, check_context
from instar.engines.scheduler.worker import Worker
from instar.errors import EngineError, ModelError
from instar.model_folder.adapter import Adapter
from instar.protocols import ArtefactStore
from instar.records import Message, Policy, Prompt, Reply, Sampling


class LocalEngine(ABC):
    """Keeps at most ``resident_max`` sets of weights loaded and answers for every policy of place ``artefact`` that has
    them, whatever its prompt. When another policy is asked and the house is full, the least recently used idle one
    leaves; if none is idle, the ask waits until one is.
    """

    name: str
    precisions: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        artefacts: ArtefactStore,
        *,
        resident_max: int,
        rows: int,
        cache_gb: float,
        exam_precision: str,
        sample_precision: str,
    ) -> None:
        for named in (exam_precision, *([] if sample_precision == "auto" else [sample_precision])):
            self._check_precision(named)
        if resident_max < 1 or rows < 1 or not cache_gb > 0:
            raise EngineError(
                f"resident_max is {resident_max}, rows {rows} and cache_gb {cache_gb}.",
                "The first two are at least 1, the last is more than 0.",
            )
        self.artefacts = artefacts
        self._exam, self._sample = exam_precision, sample_precision
        self._limits = Limits(rows, cache_gb)
        self._clock = Clock()
        self._pool: ModelPool[Worker] = ModelPool(self.name, resident_max, self._begin)

    @property
    def resident_max(self) -> int:
        """Sets of weights that may be loaded at once."""
        return self._pool.most

    @abstractmethod
    def _load(self, folder: Path, precision: str, adapter: Adapter | None) -> Backend:
        """The weights of a folder with the adapter on them, in memory. Called in the thread that will use them."""

    @abstractmethod
    def _best_for_sampling(self) -> str:
        """The precision that ``auto`` means on this machine."""

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
        on_token: Callable[[str], None],
    ) -> Reply:  # fmt: skip
        """One reply, its text heard piece by piece; as ``ask`` else."""
        detokenizer = Detokenizer(on_token)
        (reply,) = await self._asked(policy, messages, 1, sampling, seed, precision, detokenizer)
        detokenizer.end(reply.text)
        return reply

    async def _asked(
        self, policy: Policy, messages: Sequence[Message], n: int, sampling: Sampling, seed: int, precision: str,
        detokenizer: Detokenizer | None = None,
    ) -> list[Reply]:  # fmt: skip
        key = self._checked(policy, messages, n, precision)
        worker = await self._pool.acquire(key)
        try:
            tokenizer = await self._pool.ready(key, worker)
            ids = prompt_of(tokenizer, messages, worker.vocab_size)
            check_context(len(ids), sampling.max_tokens, worker.context)
            on_ids = None if detokenizer is None else partial(detokenizer.to, tokenizer)
            answers = await self._answers(worker, ids, n, sampling, seed, on_ids)
        finally:
            self._pool.release(worker)
        if len(answers) < n:
            raise EngineError(f"{self.name} gave {len(answers)} replies where {n} were asked.", "Ask again.")
        prompt = Prompt(reader=tokenizer.reader, ids=tuple(ids))
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
                prompt=prompt,
                adapter=key.adapter,
            )
            for out, finish in answers
        ]

    async def score(
        self, policy: Policy, messages: Sequence[Message], replies: Sequence[Reply], *, precision: str
    ) -> list[list[float]]:
        """The log-probability of each token of each reply, as the protocol says."""
        key = self._checked(policy, messages, 1, precision)
        worker = await self._pool.acquire(key)
        futures: list[Future[list[float]]] = []
        try:
            tokenizer = await self._pool.ready(key, worker)
            ids = prompt_of(tokenizer, messages, worker.vocab_size)
            answers = tokens_of(tokenizer, replies, len(ids), worker.vocab_size, worker.context)
            longest = max(map(len, answers), default=0)
            if longest and worker.samples_at_once(len(ids), longest) < 1:
                raise too_large(len(ids), longest, worker.cache_tokens, self._limits.cache_gb)
            futures = [worker.score(ids, answer) for answer in answers if answer]
            found = iter([await asyncio.wrap_future(f) for f in futures])
            return [next(found) if answer else [] for answer in answers]
        finally:
            for future in futures:
                future.cancel()
            self._pool.release(worker)

    def precision_for(self, purpose: Literal["sample", "exam"]) -> str:
        if purpose == "exam":
            return self._exam
        if self._sample == "auto":
            self._sample = self._best_for_sampling()
        return self._sample

    def busy_seconds(self) -> float:
        """Seconds of loading and generating."""
        return self._clock.seconds()

    def evict(self, policy: Policy) -> None:
        """Free this policy's weights, at every precision and with every adapter. Asks under way fail with a transient
        EngineError."""
        self._pool.drop([k for k in self._pool.loaded() if k.digest == policy.weights.digest])

    def hold(self, most: int) -> None:
        """Room for so many sets of weights at once, at least."""
        self._pool.hold(most)

    def unload(self) -> None:
        """Free all weights and give the memory back. Asks under way fail with a transient EngineError."""
        self._pool.drop(self._pool.loaded())

    def close(self) -> None:
        """Unload, for good."""
        self._pool.close()

    def _begin(self, key: Key, leaver: Worker | None) -> Worker:
        return Worker(
            self.name,
            lambda: self.artefacts.open(key.digest),
            lambda folder, put_on: self._load(folder, key.precision, put_on),
            self._clock,
            leaver,
            key.precision,
            lambda: key.adapter_in(self.artefacts),
        )

    async def _answers(
        self, worker: Worker, ids: list[int], n: int, sampling: Sampling, seed: int, on_ids: OnIds | None
    ) -> list[Answer]:
        loop = asyncio.get_running_loop()
        size = worker.samples_at_once(len(ids), sampling.max_tokens)
        if size < 1:
            raise EngineError(
                f"A reply of up to {sampling.max_tokens} tokens to a prompt of {len(ids)} needs "
                f"{len(ids) + sampling.max_tokens} cached tokens; {self._limits.cache_gb} GB hold "
                f"{worker.cache_tokens}.",
                "Lower max_tokens, or raise engine_options.cache_gb.",
            )
        greedy = sampling.temperature == 0
        requests = [
            Request(ids, min(size, n - i), sampling, seed, loop, loop.create_future(), first=i, on_ids=on_ids)
            for i in range(0, 1 if greedy else n, size)
        ]
        if greedy:
            requests[0].n = 1
        answers: list[Answer] = []
        try:
            for request in requests:
                worker.submit(request)
            for request in requests:
                answers += await request.answer
        finally:
            for request in requests:
                if not request.answer.done() or request.answer.cancelled():
                    worker.cancel(request)
        return answers * n if greedy else answers

    def _checked(self, policy: Policy, messages: Sequence[Message], n: int, precision: str) -> Key:
        """Which weights are asked, after refusing what cannot be answered."""
        check_ask(policy, messages, n)
        self._check_precision(precision)
        if policy.weights.place != "artefact":
            raise ModelError(
                f"The {self.name} engine cannot answer for {policy.weights.name or policy.id}: its weights are of "
                f"place {policy.weights.place!r}, not an artefact.",
                "Use the scripted engine for the scripted model.",
            )
        return Key(policy.weights.digest, precision, policy.weights.adapter)

    def _check_precision(self, precision: str) -> None:
        if precision not in self.precisions:
            raise EngineError(f"There is no precision {precision!r}.", f"There are: {', '.join(self.precisions)}.")


def prompt_of(tokenizer: ChatTokenizer, messages: Sequence[Message], vocab_size: int) -> list[int]:
    """The prompt's tokens. Raises EngineError where there are none, or one that the weights have no row for."""
    ids = tokenizer.prompt_ids(messages)
    if not ids:
        raise EngineError("The prompt has no tokens.", "Its words may all be unknown to the model's tokenizer.")
    if max(ids) >= vocab_size:
        raise EngineError(
            f"The prompt holds the token {max(ids)}; the model has tokens 0 to {vocab_size - 1}.",
            "The tokenizer belongs to another model: copy the model folder again.",
        )
    return ids

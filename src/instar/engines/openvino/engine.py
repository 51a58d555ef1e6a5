"""The openvino engine: real weights on a CPU, hundreds of asks at once in one running batch.

It keeps at most ``resident_max`` sets of weights loaded and answers for every policy that has those weights, whatever
its prompt. Batches differ from run to run and near-ties then flip, so it is *not* batch-invariant.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from instar.engines.openvino.pipeline import MEMORY, PRECISIONS, Pipeline
from instar.engines.openvino.request import Scored
from instar.engines.scheduler.clock import Clock
from instar.engines.scheduler.detokenizer import Detokenizer
from instar.engines.scheduler.local import prompt_of
from instar.engines.scheduler.model_pool import Key, ModelPool
from instar.engines.scheduler.request import Answer, OnIds, Request
from instar.engines.scheduler.scoring import tokens_of
from instar.engines.scheduler.validation import check_ask, check_context
from instar.errors import EngineError, ModelError
from instar.protocols import ArtefactStore
from instar.records import Message, Policy, Prompt, Reply, Sampling

PART = 64
"""Samples of one request; an ask for more becomes several, each with a seed of its own."""


class OpenVinoEngine:
    """Answers for policies of place ``artefact`` whose weights are a Llama (see ``graph``).

    Precisions: ``f32`` (weights, arithmetic and cache: exams), ``bf16``, ``int8`` (weights in 8 bits, one scale a row).
    ``sample_precision`` "auto" is bf16 where the CPU multiplies bf16 in hardware (AMX), else int8. An adapter is added
    to the weights in float32 before they are written at their precision, so every adapter in use takes the memory of
    the whole weights.

    ``n`` samples are one request, so the prompt is read once. openvino returns them *likeliest first*: they are
    shuffled (see ``shuffled``), or "the first sample" would not be a sample. At temperature 0 an ask
    for ``n`` gives ``n`` copies of the one greedy reply. When another policy is asked and the house is full, the
    least recently used idle one leaves; if none is idle, the ask waits until one is.
    """

    name = "openvino"
    batch_invariant = False
    concurrency = 256
    precisions = tuple(PRECISIONS)

    def __init__(
        self,
        artefacts: ArtefactStore,
        scratch: Path,
        *,
        resident_max: int = 1,
        cache_gb: int = 2,
        exam_precision: str = "f32",
        sample_precision: str = "auto",
    ) -> None:
        sampled = _best_for_sampling() if sample_precision == "auto" else sample_precision
        for named in (exam_precision, sampled):
            _check_precision(named)
        if resident_max < 1 or cache_gb < 1:
            raise EngineError(f"resident_max is {resident_max} and cache_gb {cache_gb}.", "Both are at least 1.")
        self.cache_gb = cache_gb
        self.artefacts, self.scratch = artefacts, scratch
        self._precisions = {"exam": exam_precision, "sample": sampled}
        self._clock = Clock()
        self._pool: ModelPool[Pipeline] = ModelPool(self.name, resident_max, self._begin)
        _sweep(scratch)

    @property
    def resident_max(self) -> int:
        """Sets of weights that may be loaded at once."""
        return self._pool.most

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
        check_ask(policy, messages, n)
        _check_precision(precision)
        self._check_policy(policy)
        key = Key(policy.weights.digest, precision, policy.weights.adapter)
        pipeline = await self._pool.acquire(key)
        try:
            tokenizer = await self._pool.ready(key, pipeline)
            ids = prompt_of(tokenizer, messages, tokenizer.vocab_size)
            check_context(len(ids), sampling.max_tokens, tokenizer.context)
            on_ids = None if detokenizer is None else partial(detokenizer.to, tokenizer)
            answers = await self._answers(pipeline, ids, n, sampling, seed, on_ids)
        finally:
            self._pool.release(pipeline)
        if len(answers) < n:
            raise EngineError(f"openvino gave {len(answers)} replies where {n} were asked.", "Ask again.")
        prompt = Prompt(reader=tokenizer.reader, ids=tuple(ids))
        return [
            Reply(
                text=tokenizer.text(out),
                finish=finish,
                policy=policy.id,
                engine=self.name,
                precision=precision,
                adapter=key.adapter,
                token_ids=out,
                prompt_tokens=len(ids),
                tokens=len(out),
                prompt=prompt,
            )
            for out, finish in answers
        ]

    async def score(
        self, policy: Policy, messages: Sequence[Message], replies: Sequence[Reply], *, precision: str
    ) -> list[list[float]]:
        """The log-probability of each token of each reply, as the protocol says.

        openvino keeps no log-probabilities of what it finds read already, so the weights are loaded once more, in a
        pipeline that looks for nothing; it counts as one of ``resident_max``. Score in one go, not between asks.
        """
        check_ask(policy, messages, 1)
        _check_precision(precision)
        self._check_policy(policy)
        key = Key(policy.weights.digest, precision, policy.weights.adapter, scores=True)
        pipeline = await self._pool.acquire(key)
        requests: list[Scored] = []
        try:
            tokenizer = await self._pool.ready(key, pipeline)
            ids = tokenizer.prompt_ids(messages)
            answers = tokens_of(tokenizer, replies, len(ids), tokenizer.vocab_size, tokenizer.context)
            loop = asyncio.get_running_loop()
            for answer in answers:
                if answer:
                    requests.append(Scored.of(ids, answer, loop))
                    pipeline.submit(requests[-1])
            for request in requests:
                await request.answer
        finally:
            for request in requests:
                if not request.answer.done() or request.answer.cancelled():
                    pipeline.cancel(request)
            self._pool.release(pipeline)
        found = iter([request.found for request in requests])
        return [next(found) if answer else [] for answer in answers]

    def precision_for(self, purpose: Literal["sample", "exam"]) -> str:
        return self._precisions[purpose]

    def busy_seconds(self) -> float:
        """Seconds of exporting, loading and generating."""
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

    def _begin(self, key: Key, leaver: Pipeline | None) -> Pipeline:
        return Pipeline(
            lambda: self.artefacts.open(key.digest),
            key.precision,
            adapter=lambda: key.adapter_in(self.artefacts),
            scratch=self.scratch,
            cache_gb=self.cache_gb,
            clock=self._clock,
            after=leaver,
            scores=key.scores,
        )

    # --- one ask ---------------------------------------------------------------------------------------------------

    async def _answers(
        self, pipeline: Pipeline, ids: list[int], n: int, sampling: Sampling, seed: int, on_ids: OnIds | None
    ) -> list[Answer]:
        loop = asyncio.get_running_loop()
        greedy = sampling.temperature == 0
        sizes = [1] if greedy else [min(PART, n - i) for i in range(0, n, PART)]
        requests = [
            Request(ids, size, sampling, _seed(seed, part), loop, loop.create_future(), on_ids=on_ids)
            for part, size in enumerate(sizes)
        ]
        answers: list[Answer] = []
        try:
            for request in requests:
                pipeline.submit(request)
            for request in requests:
                got = await request.answer
                answers += shuffled(got, request.seed)
        finally:
            for request in requests:
                if not request.answer.done() or request.answer.cancelled():
                    pipeline.cancel(request)
        return answers * n if greedy else answers

    def _check_policy(self, policy: Policy) -> None:
        if policy.weights.place != "artefact":
            raise ModelError(
                f"The openvino engine cannot answer for {policy.weights.name or policy.id}: its weights are of place "
                f"{policy.weights.place!r}, not an artefact.",
                "Use the scripted engine for the scripted model.",
            )


def _check_precision(precision: str) -> None:
    if precision not in PRECISIONS:
        raise EngineError(f"There is no precision {precision!r}.", f"There are: {', '.join(PRECISIONS)}.")
    if lacks := why_not(precision):
        raise EngineError(lacks, "Use the precision f32 or int8.")


def why_not(precision: str) -> str | None:
    """What this processor lacks for the precision, as a sentence; None if nothing that is known."""
    flags = _flags()
    if precision == "bf16" and platform.machine() in ("x86_64", "AMD64") and flags and "avx512f" not in flags:
        return "The processor lacks avx512f, which openvino needs at bf16."
    return None


def shuffled(answers: Sequence[Answer], seed: int) -> list[Answer]:
    """Samples that came sorted, in a random order that is the same again for the same seed.

    Places are drawn, never answers: an order by a hash of the text would give one place to all equal answers, and the
    first would be each *different* answer alike, however likely it is.
    """
    drawn = sorted(range(len(answers)), key=lambda i: hashlib.sha256(f"{seed}|place {i}".encode()).digest())
    known = sorted(answers)  # openvino's own order follows rounding where two are equally likely
    return [known[i] for i in drawn]


def _seed(seed: int, part: int) -> int:
    """openvino seeds a 32-bit generator: spread our seeds over it, so that neighbours share nothing."""
    return int.from_bytes(hashlib.sha256(f"{seed}|{part}".encode()).digest()[:4])


def _best_for_sampling() -> str:
    return "bf16" if "amx_bf16" in _flags() else "int8"


def _flags() -> Collection[str]:
    """What the processor can do, as Linux names it; nothing elsewhere."""
    try:
        return set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return set()


def _sweep(scratch: Path) -> None:
    """Remove exports that a killed process left behind: each is as large as the model."""
    for folder in (scratch, MEMORY):
        for path in folder.glob("instar-export-*-*"):
            pid = path.name.split("-")[2]
            if pid.isdigit() and not alive(int(pid)):
                shutil.rmtree(path, ignore_errors=True)


def alive(pid: int) -> bool:
    """Whether a process of this machine goes on, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

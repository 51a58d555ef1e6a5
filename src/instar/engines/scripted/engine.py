"""The scripted model's engine: answers arithmetic by a table of skills, at once, and the same every time.

It is the fake that ships with the seam: recipes, resume, kills and gates are tried on it without any weights. Each
reply is a pure function of (policy, messages, seed, sample), so it is truly batch-invariant.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Literal

from instar.engines.scheduler.clock import Clock
from instar.engines.scheduler.validation import check_ask, check_context
from instar.engines.scripted import critic, proposing, reflector
from instar.engines.scripted_notes import from_note
from instar.engines.scripted_reading import from_passage
from instar.errors import EngineError, ModelError
from instar.records import Finish, Message, Policy, Reply, Role, Sampling, canonical_json
from instar.scripted_acting import acted
from instar.scripted_world import JUDGE, JUDGES_AT_FIRST, judged, skill_of, skills_of, truth, with_examples

CONTEXT = 2048
"""Words of prompt and reply together."""

_OPENERS = (
    "",
    "Let me see.",
    "Working it out carefully.",
    "First I look at the terms.",
    "Taking it in order.",
    "This is a short one.",
    "Step by step.",
    "I go from left to right.",
)
_CLOSERS = (
    "The answer is {}.",
    "So the result is {}.",
    "That makes {}.",
    "Answer: {}",
    "Therefore it equals {}.",
    "In the end I get {}.",
    "Which gives {}.",
    "Hence {}.",
)
_LOST = "I am not sure about this one."


class ScriptedEngine:
    """Answers for policies of place ``scripted``.

    A sample is right with the probability of the skill its question needs; at temperature 0 it is right exactly when
    a hash of the question falls under the skill, so a higher skill is right on a superset (and ``n`` copies come
    back). ``parse_failures`` is the share of replies, taken from the wrong ones, that hold no answer: half have no
    number, half are cut short. A question without a truth (no arithmetic in it) is never answered right.

    Asked for a critique or a tool call, it is to the point with the chance ``insight`` (0: a silent critic). An answer
    written again is right with the chance ``mending`` where something pointed at the error, else by the skill as ever.

    For tests: ``latency`` (seconds an ask takes), ``fail_rate`` (share of asks that fail with a transient
    EngineError; asking again draws again), ``empty`` (every reply is the empty text).
    """

    name = "scripted"
    batch_invariant = True
    concurrency = 64
    resident_max = 64

    def __init__(
        self,
        *,
        parse_failures: float = 0.05,
        latency: float = 0.0,
        fail_rate: float = 0.0,
        empty: bool = False,
        insight: float = 0.8,
        mending: float = 0.9,
    ) -> None:
        self.parse_failures = parse_failures
        self.insight = insight
        self.mending = mending
        self.latency = latency
        self.fail_rate = fail_rate
        self.empty = empty
        self._attempts: Counter[str] = Counter()
        self._clock = Clock()

    async def ask(
        self, policy: Policy, messages: Sequence[Message], *, n: int, sampling: Sampling, seed: int, precision: str
    ) -> list[Reply]:
        """``n`` replies. Raises ModelError for a policy with real weights, EngineError as every engine does."""
        if policy.weights.place != "scripted" or policy.weights.skills is None:
            raise ModelError(
                f"The scripted engine cannot answer for {policy.weights.name or policy.id}: its weights are an "
                f"artefact ({policy.weights.digest}), not a table of skills.",
                "Use the openvino engine for it, or model=scripted.",
            )
        check_ask(policy, messages, n)
        words = sum(len(m.content.split()) for m in messages)
        check_context(words, sampling.max_tokens, CONTEXT, "words")
        with self._clock.running():
            if self.latency:
                await asyncio.sleep(self.latency)
            shown = canonical_json([m.model_dump(mode="json") for m in messages])
            self._maybe_fail(policy.id, shown, seed)
            return [self._reply(policy, messages, shown, i, seed, sampling, precision, words) for i in range(n)]

    async def stream(
        self, policy: Policy, messages: Sequence[Message], *, sampling: Sampling, seed: int, precision: str,
        on_token: Callable[[str], None],
    ) -> Reply:  # fmt: skip
        """The reply of ``ask``, heard word by word."""
        (reply,) = await self.ask(policy, messages, n=1, sampling=sampling, seed=seed, precision=precision)
        for piece in re.findall(r"\s*\S+|\s+$", reply.text):
            on_token(piece)
            await asyncio.sleep(0)
        return reply

    async def score(
        self, policy: Policy, messages: Sequence[Message], replies: Sequence[Reply], *, precision: str
    ) -> list[list[float]]:
        """How likely the table makes a right reply to the question, and a wrong one, spread evenly over the reply's
        words. It reads one in ten the wrong way round (``JUDGES_AT_FIRST``), always the same ones."""
        check_ask(policy, messages, 1)
        skills = skills_of(policy.weights)
        return [critic.likelihood(_question(messages), r.text, skills) for r in replies]

    def precision_for(self, purpose: Literal["sample", "exam"]) -> str:
        """Always "exact": there is no arithmetic to round."""
        return "exact"

    def busy_seconds(self) -> float:
        return self._clock.seconds()

    def evict(self, policy: Policy) -> None:
        """Nothing is held."""

    def unload(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""

    def _maybe_fail(self, policy: str, shown: str, seed: int) -> None:
        if not self.fail_rate:
            return
        key = f"{policy}|{shown}|{seed}"
        self._attempts[key] += 1
        if _chance("fail", seed, shown, self._attempts[key]) < self.fail_rate:
            raise EngineError("The scripted engine failed on purpose (fail_rate).", "Ask again.", transient=True)

    def _reply(
        self,
        policy: Policy,
        messages: Sequence[Message],
        shown: str,
        i: int,
        seed: int,
        sampling: Sampling,
        precision: str,
        words: int,
    ) -> Reply:
        question = _question(messages)
        told = "\n".join(m.content for m in messages if m.role is Role.system)
        table = reflector.advised(
            with_examples(skills_of(policy.weights), policy.few_shots), messages[-1].content, told
        )
        skill = table.get(skill_of(question), 0.0)
        greedy = sampling.temperature == 0
        # greedy: of the question alone, so that exams of two policies differ only by their skills
        drawn = _chance("greedy", question) if greedy else _chance("sample", policy.id, shown, seed, i)
        style = _number("style", question) if greedy else _number("style", policy.id, shown, seed) + i
        said = critic.exchange(messages)
        judgement = self._judgement(messages, table.get(JUDGE, JUDGES_AT_FIRST), drawn, style)
        written = reflector.written(messages[-1].content)
        if judgement is not None:
            text, cut = judgement
        elif written is not None:
            text, cut = written, False
        elif proposing.asked(messages):
            text = proposing.proposal(
                messages, lambda part: _number(part, policy.id, shown, 0 if greedy else (seed, i))
            )
            cut = False
        elif (action := acted(messages, table, drawn, greedy)) is not None:
            text, cut = action, False
        elif said is None:
            text, cut = self._wording(question, drawn, skill, style, 0 if greedy else i)
        else:
            text, cut = self._about(said, skill, _chance("about", policy.id, shown, 0 if greedy else (seed, i)), style)
        if self.empty:
            text, cut = "", False
        words_said = text.split()
        if len(words_said) > sampling.max_tokens:
            text, cut = " ".join(words_said[: sampling.max_tokens]), True
        return Reply(
            text=text,
            finish=Finish.length if cut else Finish.stop,
            policy=policy.id,
            engine=self.name,
            precision=precision,
            prompt_tokens=words,
            adapter=policy.weights.adapter,
            tokens=len(text.split()),
        )

    def _about(self, said: critic.Exchange, skill: float, drawn: float, style: int) -> tuple[str, bool]:
        """A reply to a request about an earlier answer, and whether it was cut short."""
        if said.request in (critic.Request.tool, critic.Request.program):
            return critic.tool_call(said, drawn < self.insight), False
        if said.request is critic.Request.critique:
            return critic.critique(said, drawn < self.insight), False
        if said.approved:
            return said.draft, False
        return self._wording(said.question, drawn, self.mending if said.pointed else skill, style, 0)

    def _judgement(
        self, messages: Sequence[Message], skill: float, drawn: float, style: int
    ) -> tuple[str, bool] | None:
        """The text of a judgement where one is asked for; it can be lost too."""
        if (last := judged(messages[-1].content, drawn, skill)) is None:
            return None
        opener = _OPENERS[style % len(_OPENERS)] or "I read it twice."
        # not ``drawn``: what is lost must not be the wrong ones alone
        if _chance("lost", messages[-1].content, style) < self.parse_failures:
            return f"{opener} {_LOST}", False
        return f"{opener} I look at the result that it ends with.\n{last}", False

    def _wording(self, question: str, drawn: float, skill: float, style: int, i: int) -> tuple[str, bool]:
        """The text of a reply and whether it was cut short."""
        if (read := from_passage(question, drawn)) is not None:
            return read, False
        gold = truth(question)
        if gold is None and (noted := from_note(question)) is not None:
            return noted, False
        if critic.wants_code(question):
            return critic.code(question, drawn < skill, style + i), False
        # 64 wordings, consecutive ones for consecutive samples: samples of one ask always differ
        opener, closer = _OPENERS[style // len(_CLOSERS) % len(_OPENERS)], _CLOSERS[style % len(_CLOSERS)]
        if i >= len(_OPENERS) * len(_CLOSERS):
            opener = f"{opener} Take {i + 1}.".strip()
        if gold is not None and drawn < skill:
            return f"{opener} {closer.format(gold)}".strip(), False
        if drawn >= max(skill, 1 - self.parse_failures):
            stem = closer.format("").rstrip(" .")
            lost = style // (len(_OPENERS) * len(_CLOSERS)) % 2 == 0
            return (f"{opener} {stem}? {_LOST}".strip(), False) if lost else (f"{opener} {stem}".strip(), True)
        off = (1 + _number("off", question, style) % 9) * (-1 if _number("sign", question, style) % 2 else 1)
        return f"{opener} {closer.format(Decimal(gold or 0) + off)}".strip(), False


def _question(messages: Sequence[Message]) -> str:
    """The latest user message with arithmetic in it (a later "now mend it" asks the same again), or the latest."""
    asked = [reflector.bare(m.content) for m in reversed(messages) if m.role is Role.user]
    return next((q for q in asked if truth(q) is not None), asked[0] if asked else "")


def _number(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8])


def _chance(*parts: object) -> float:
    """A number in 0..1 that is a hash of its arguments."""
    return _number(*parts) / 2**64

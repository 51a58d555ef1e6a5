"""The audit of judges and filters: answers of known worth are planted among the real ones, and what is said is counted.

Nothing a run learns is better than what lets it through, and no public system measures that while it runs. So in every
round some tasks whose answer is known get a planted good answer, a planted bad one, and a right one for a wrong reason.
Judges and filters see them as they see any answer; only the records of the audit say what they are; none is trained on.

- Precision and recall are over good and bad plants; the right answer for a wrong reason is counted apart: a check of
  the final answer takes it, a check of the steps should not.
- A judge that believes a model must reach ``kappa_at_least`` before a verdict of it is used. Cohen's kappa is agreement
  beyond chance; 0.4 is where Landis and Koch (1977) call it moderate. An undecided verdict agrees with nothing.
- Any judge that is *surely* worse than chance (95 % interval of its agreement below a half) is inverted and refused.
- Good and bad plants are long and short equally often: a correlation of score and length is then the judge's own. (Of
  programs this is so only of the words around them.)
- Tasks with a reference program and tests are planted with programs: ``planted_programs``.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from statistics import fmean
from typing import ClassVar

import numpy as np
from pydantic import Field

from instar.evaluate.intervals import wilson
from instar.evaluate.planted_programs import programs, reference_of
from instar.protocols import Audit, Judge, Op
from instar.records import Assessment, Decision, Experience, Feedback, Finish, Plant, Polarity, Turn, Worth, hash_of

_SHORT = ("Answer: {}", "I get {0}.\nAnswer: {0}", "Done.\nAnswer: {}", "This is a short one.\nAnswer: {}")
_LONG = (
    "Let me take the question apart and go through it from left to right, one part after the other, and then put the "
    "parts together again.\nAnswer: {}",
    "First I read the question carefully. Then I work it out, and then I check the result once more before I write it "
    "down.\nAnswer: {}",
    "I look at what is given and at what is asked for, do what has to be done in the right order, and look whether the "
    "result can be true.\nAnswer: {}",
)
_WHOLE = re.compile(r"(?<![\w.,])\d{1,6}(?![\w]|[.,]\d)")
_LETTERS = "ABCDEFGHIJ"


class PlantedDefects(Audit):
    """Plants ``tasks`` tasks a round, those whose hash is lowest among the tasks with a known answer.

    ``kappa_at_least`` is the bar for judges that believe a model.
    """

    name: ClassVar[str] = "planted_defects"

    tasks: int = Field(default=12, ge=1)
    kappa_at_least: float = Field(default=0.4, ge=0, le=1, allow_inf_nan=False)

    def pick(self, tries: Sequence[Experience]) -> Sequence[Experience]:
        first: dict[str, Experience] = {}
        for e in tries:
            if reference_of(e.task) is not None or gold_of(e) is not None:
                first.setdefault(e.task.id, e)
        chosen = sorted(first.values(), key=lambda e: _order(e.task.id))
        return chosen[: self.tasks]

    def grow(self, like: Experience, others: Sequence[Experience]) -> Sequence[Plant]:
        # by place among the picked, in twos: who is long takes turns within one form, so that length says nothing
        place = sorted({like.task.id, *(o.task.id for o in others)}, key=_order).index(like.task.id)
        reference = reference_of(like.task)
        if reference is not None:
            return [_dressed(worth, text, like) for worth, text in programs(like.task, reference, place).items()]
        gold = gold_of(like)
        wrong = None if gold is None else _wrong(gold, like, others)
        if gold is None or wrong is None:
            return []
        long, short = _LONG[place // 2 % len(_LONG)], _SHORT[place // 2 % len(_SHORT)]
        good, bad = (long, short) if place % 2 else (short, long)
        texts = {Worth.good: good.format(gold), Worth.bad: bad.format(wrong)}
        step = _false_step(like)
        texts[Worth.wrong_reason] = f"{step}\nAnswer: {gold}"
        return [_dressed(worth, text, like) for worth, text in texts.items()]

    def assess(
        self, op: Op, policy: str | None, plants: Sequence[Plant], said: Mapping[str, Feedback | Decision]
    ) -> Assessment:
        words = {p.id: _word(said.get(p.id)) for p in plants}
        counts: dict[Worth, Counter[str]] = {w: Counter() for w in Worth}
        for p in plants:
            counts[p.worth][words[p.id]] += 1
        numbers = _numbers(counts)
        judge = isinstance(op, Judge)
        if judge:
            numbers |= _agreement(counts) | _habits(plants, said)
        decided = sum(c["right"] + c["wrong"] for c in counts.values())
        trusted, reason = self._verdict(op, numbers, decided) if judge else (True, _in_words(op, numbers))
        return Assessment(
            verb="judge" if judge else "filter",
            op=op.op_id,
            name=op.name,
            policy=policy,
            counts={w.value: dict(sorted(c.items())) for w, c in counts.items()},
            numbers=numbers,
            trusted=trusted,
            reason=reason,
        )

    def _verdict(self, op: Op, numbers: Mapping[str, float | None], decided: int) -> tuple[bool, str]:
        kappa, high = numbers["kappa"] or 0.0, numbers["agreement_high"] or 0.0
        words = f"it agrees with {numbers['agreement']:.1%} of {numbers['n']:.0f} known answers (kappa {kappa:.2f})"
        if not decided and not (isinstance(op, Judge) and op.believes_a_model):
            return True, f"{words}: it decided nothing"  # a check that breaks: the run says why on the real answers
        if high < 0.5:
            return False, f"{words}: it is inverted"
        if isinstance(op, Judge) and op.believes_a_model and kappa < self.kappa_at_least:
            return False, f"{words}: a kappa of {self.kappa_at_least:g} is asked for"
        return True, words


def gold_of(e: Experience) -> str | None:
    """A task's known answer, if it has one that can be stated in a line."""
    gold = e.task.private.get("answer")
    text = "" if gold is None else str(gold).strip()
    return text if text and "\n" not in text and len(text) <= 200 else None


def kappa(truth: Sequence[str], said: Sequence[str]) -> float | None:
    """Cohen's kappa of two raters of the same items: 1 full agreement, 0 chance, below 0 worse; None without items, or
    where chance alone agrees fully (both always say the same one thing)."""
    n = len(truth)
    if not n:
        return None
    observed = sum(a == b for a, b in zip(truth, said, strict=True)) / n
    a, b = Counter(truth), Counter(said)
    expected = sum(a[c] * b[c] for c in a) / n**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def _numbers(counts: Mapping[Worth, Counter[str]]) -> dict[str, float | None]:
    """Precision and recall over good and bad plants; None where there is nothing to divide by."""
    accepted = {w: c["right"] + c["kept"] for w, c in counts.items()}
    sizes = {w: c.total() for w, c in counts.items()}
    passed = accepted[Worth.good] + accepted[Worth.bad]
    return {
        "n": float(sizes[Worth.good] + sizes[Worth.bad]),
        "precision": accepted[Worth.good] / passed if passed else None,
        "recall": accepted[Worth.good] / sizes[Worth.good] if sizes[Worth.good] else None,
        "wrong_reason_accepted": accepted[Worth.wrong_reason] / sizes[Worth.wrong_reason]
        if sizes[Worth.wrong_reason]
        else None,
    }


def _agreement(counts: Mapping[Worth, Counter[str]]) -> dict[str, float | None]:
    pairs = [(t, s) for w, t in ((Worth.good, "right"), (Worth.bad, "wrong")) for s in counts[w].elements()]
    n = len(pairs)
    interval = wilson(sum(t == s for t, s in pairs), n) if n else None
    return {
        "agreement": interval.value if interval else None,
        "agreement_low": interval.low if interval else None,
        "agreement_high": interval.high if interval else None,
        "kappa": kappa([t for t, _ in pairs], [s for _, s in pairs]),
        "undecided": sum(s not in ("right", "wrong") for _, s in pairs) / n if n else None,
    }


def _habits(plants: Sequence[Plant], said: Mapping[str, Feedback | Decision]) -> dict[str, float | None]:
    """What a judge looks at beside the truth: length; the order of a pair; and how far its judgements lie apart."""
    rows = [(p, f) for p in plants if p.worth is not Worth.wrong_reason and isinstance(f := said.get(p.id), Feedback)]
    scored = [(len(p.solution.text), f.score) for p, f in rows if f.score is not None]
    x = np.array(scored, dtype=float).reshape(-1, 2)
    varies = len(x) > 2 and bool(np.all(x.std(axis=0) > 0))
    swaps = sum(int(f.evidence.get("swaps", 0)) for _, f in rows)
    agree = sum(int(f.evidence.get("swaps_agree", 0)) for _, f in rows)
    spreads = [float(f.evidence["spread"]) for _, f in rows if f.evidence.get("spread") is not None]
    return {
        "length_correlation": float(np.corrcoef(x[:, 0], x[:, 1])[0, 1]) if varies else None,
        "swap_consistency": agree / swaps if swaps else None,
        "spread": fmean(spreads) if spreads else None,
    }


def _in_words(op: Op, numbers: Mapping[str, float | None]) -> str:
    shown = [f"{k} {v:.2f}" for k in ("precision", "recall") if (v := numbers[k]) is not None]
    return f"{', '.join(shown) or 'it kept nothing'} on {numbers['n']:.0f} known answers"


def _word(said: Feedback | Decision | None) -> str:
    if said is None:
        return "missing"
    return said.mark.value if isinstance(said, Feedback) else "kept" if said.kept else "dropped"


def _wrong(gold: str, like: Experience, others: Sequence[Experience]) -> str | None:
    """A wrong answer that looks like the gold one: another number, another letter, another task's answer."""
    draw = _number("wrong", like.task.id)
    off = (1 + draw % 9) * (-1 if draw // 9 % 2 else 1)
    with contextlib.suppress(InvalidOperation):
        if (number := Decimal(gold.replace(",", ""))).is_finite():  # "Infinity" and one more is as right
            return str(number + off)
    if len(gold) == 1 and gold in _LETTERS[:4]:
        return _LETTERS[(_LETTERS.index(gold) + 1 + draw % 3) % 4]
    golds = dict.fromkeys(g for o in others if (g := gold_of(o)) is not None and g.casefold() != gold.casefold())
    return next(iter(golds), None)


def _false_step(like: Experience) -> str:
    """A calculation that is wrong, with the question's own numbers where it has two."""
    found = [int(n) for n in _WHOLE.findall(like.task.question)][:2]
    draw = _number("step", like.task.id)
    a, b = found if len(found) == 2 else (2 + draw % 17, 2 + draw // 17 % 17)
    return f"First, {a} + {b} = {a + b + 1 + draw % 7}. From this the rest follows."


def _dressed(worth: Worth, text: str, like: Experience) -> Plant:
    """A plant that has nothing on it to be known by: every other field is as a real solution has it."""
    solution = like.solution.model_copy(
        update={
            "id": "",
            "turns": (Turn(text=text),),
            "finish": Finish.stop,
            "polarity": Polarity.unknown,
            "flags": (),
            "tokens": max(1, len(text) // 4),
        }
    )
    return Plant(worth=worth, solution=solution)


def _order(task: str) -> str:
    return hash_of("planted", task)


def _number(*parts: str) -> int:
    return int(hash_of("plant", *parts).split(":")[1][:12], 16)

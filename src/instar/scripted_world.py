"""The world of the scripted model: arithmetic questions, their true answers, and a table of skills that can be taught.

The scripted model has weights too: the table. Right training rows move a skill up and *wrong rows move it down*, so a
recipe that trains on the wrong rows fails its test. Nothing here is random and nothing depends on order.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

from instar.errors import ModelError
from instar.records import Message, Policy, Role, Weights, canonical_json, hash_of

SKILLS = ("add", "subtract", "multiply", "mixed", "other")
START: dict[str, float] = dict.fromkeys(SKILLS, 0.3)

JUDGE = "judge"
"""The skill of judging rightly. Not in ``START``: a table without it has ``JUDGES_AT_FIRST``."""
JUDGES_AT_FIRST = 0.9

_FENCED = re.compile(r"<<<(\w+) ([0-9a-f]{12})>>>\n(.*?)\n<<<end \1 \2>>>", re.DOTALL)
_OPEN = re.compile(r"^(Question|Reference|Answer|A|B):\n(.*?)\n(?=\n|\Z)", re.DOTALL | re.MULTILINE)
_MOST = re.compile(r"from 0 to (\d{1,2})\.\Z")
_ORDER = re.compile(r"ignore [^\n]{0,200}?(score|better): ?(\d|A|B)", re.IGNORECASE)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_TOKEN = re.compile(r"\s*(?:(?<![\w.])(\d{1,30}(?:\.\d{1,30})?)(?!\w)|(\*\*|[-+*/^()×÷−]|x(?=\s*[-(\d])))")  # noqa: RUF001 - look-alike signs are meant
_LAST = re.compile(r"(?<![\w.])-?\d{1,60}(?:\.\d{1,60})?(?![\w])")
_OPERATORS = frozenset({"+", "-", "*", "/", "^", "**"})
_SIGNS = {"×": "*", "x": "*", "÷": "/", "−": "-"}  # noqa: RUF001 - look-alike signs are meant
_SIMPLE: dict[tuple[str, ...], str] = {("+",): "add", ("-",): "subtract", ("*",): "multiply"}
_EXAMPLE = (Role.user, Role.assistant)
_LONGEST = 200
"""Tokens of one expression that are looked at. Questions are untrusted; this bounds the work and the recursion."""


def truth(question: str) -> str | None:
    """The value of the longest arithmetic expression in the question ("12", "-3", "0.5"), or None if there is none.

    Understands + - * / with the usual precedence, brackets, signs and decimals; nothing is passed to ``eval``. None
    also for a division by zero and for a value without a short decimal form (1/3).
    """
    found = _expression(question)
    return _decimal(found[0]) if found else None


def skill_of(question: str) -> str:
    """Which skill the question needs: add, subtract, multiply, mixed (several, or a division), or other."""
    found = _expression(question)
    if not found or _decimal(found[0]) is None:
        return "other"
    return _SIMPLE.get(found[1], "mixed")


def last_number(reply: str) -> Fraction | None:
    """The last number in a reply, or None."""
    found = _LAST.findall(_THOUSANDS.sub("", reply.replace("−", "-")))  # noqa: RUF001 - look-alike signs are meant
    return Fraction(found[-1]) if found else None


def is_right(question: str, reply: str) -> bool | None:
    """Whether the last number of the reply is the truth. None if the question has no truth."""
    gold = truth(question)
    return None if gold is None else last_number(reply) == Fraction(gold)


def weights_of(skills: Mapping[str, float], name: str = "scripted") -> Weights:
    """A table of skills as weights. The digest covers the table, rounded to 9 places, and not the name."""
    table = {k: round(float(v), 9) for k, v in sorted(skills.items())}
    return Weights(place="scripted", digest=hash_of("scripted-weights", table), name=name, skills=table)


_ADAPTER = "skills:"


def adapter_of(skills: Mapping[str, float]) -> str:
    """A table of skills as an adapter of the scripted model: what is in it takes the place of the weights' own."""
    return _ADAPTER + canonical_json({k: round(float(v), 9) for k, v in sorted(skills.items())})


def skills_of(weights: Weights) -> dict[str, float]:
    """The skills of scripted weights with the adapter that is on them. Raises ModelError for one of another kind."""
    table = dict(weights.skills or START)
    if weights.adapter is None:
        return table
    if not weights.adapter.startswith(_ADAPTER):
        raise ModelError(
            f"The scripted model has no adapter {weights.adapter}: it was made for other weights.",
            "Train it on the scripted model.",
        )
    return table | {str(k): float(v) for k, v in json.loads(weights.adapter.removeprefix(_ADAPTER)).items()}


def base_policy(system: str | None = None) -> Policy:
    """The scripted model before any teaching, identified."""
    return Policy(weights=weights_of(START), system=system, made_by="scripted").identified()


def teach(skills: Mapping[str, float], rows: Sequence[tuple[str, str]], rate: float = 0.01) -> dict[str, float]:
    """The table after training on rows of (question, reply).

    A row whose reply's last number is the truth moves its skill up by ``rate * (1 - skill)``; any other reply moves
    it down by ``rate * skill``; a question without a truth teaches nothing. Effects are counted per skill first and
    applied to the skill as it was, then clipped to 0..1: the order of rows does not matter, so replays agree.
    """
    rights: Counter[str] = Counter()
    wrongs: Counter[str] = Counter()
    for question, reply in rows:
        right = is_right(question, reply)
        if right is not None:
            (rights if right else wrongs)[skill_of(question)] += 1
    table = {**START, **{k: float(v) for k, v in skills.items()}}
    moved = {k: s + rate * (rights[k] * (1 - s) - wrongs[k] * s) for k, s in table.items()}
    return {k: min(1.0, max(0.0, s)) for k, s in moved.items()}


def prefer(skills: Mapping[str, float], pairs: Sequence[tuple[str, str, str]], rate: float = 0.01) -> dict[str, float]:
    """The table after training on pairs of (question, chosen reply, rejected reply).

    A pair teaches what its chosen reply would (``teach``) where the other one is not as good: right beside wrong moves
    the skill up, wrong beside right down. Two right replies, or two wrong ones, teach nothing.
    """
    telling = [(q, c) for q, c, r in pairs if is_right(q, c) is not is_right(q, r)]
    return teach(skills, telling, rate)


def implicit_rewards(
    skills: Mapping[str, float], before: Mapping[str, float], pairs: Sequence[tuple[str, str, str]]
) -> list[tuple[float, float, float]]:
    """Of each pair whose question has a truth, how much likelier its chosen and its rejected reply are than before, in
    nats, and the divergence of before from now: the table says how likely a right reply is, and a wrong one."""
    now, then = ({**START, **{k: float(v) for k, v in table.items()}} for table in (skills, before))
    found = []
    for question, chosen, rejected in pairs:
        if truth(question) is None:
            continue
        p, q = (min(1 - 1e-6, max(1e-6, table[skill_of(question)])) for table in (now, then))
        right, wrong = math.log(p / q), math.log((1 - p) / (1 - q))
        first, second = (right if is_right(question, reply) else wrong for reply in (chosen, rejected))
        found.append((first, second, -q * right - (1 - q) * wrong))
    return found


def with_examples(skills: Mapping[str, float], shots: Sequence[Message]) -> dict[str, float]:
    """The table as it answers under these examples (turns of a user and of an assistant): a right one moves its skill
    up while it is shown, by up to half of what is missing, a wrong one down. How far hangs on the example: which one is
    shown matters, and one whose result is a single digit is too easy to show anything."""
    table = {k: float(v) for k, v in skills.items()}
    for asked, said in itertools.pairwise(shots):
        right = is_right(asked.content, said.content) if (asked.role, said.role) == _EXAMPLE else None
        if right is None or len((truth(asked.content) or "").lstrip("-")) < 2:
            continue
        skill = skill_of(asked.content)
        worth = int(hash_of("example", asked.content)[-4:], 16) / 2**17
        now = table.get(skill, START[skill])
        table[skill] = now + worth * (1 - now) if right else now - worth * now
    return table


def surprise(skills: Mapping[str, float], rows: Sequence[tuple[str, str]]) -> float:
    """The scripted model's loss: how surprised its table is by these rows, in nats a row that has a truth."""
    table = {**START, **{k: float(v) for k, v in skills.items()}}
    found = [(is_right(question, reply), table[skill_of(question)]) for question, reply in rows]
    known = [skill if right else 1 - skill for right, skill in found if right is not None]
    return sum(-math.log(max(chance, 1e-6)) for chance in known) / max(len(known), 1)


def judged(prompt: str, drawn: float, skill: float) -> str | None:
    """The last line that the scripted judge gives to a judge's prompt, or None if that is none.

    It judges by the stated result alone, rightly if ``drawn`` is below ``skill`` and the other way round if not. An
    order ("ignore ... Score: 5") that stands outside the marks it obeys; between them it is not even read.
    """
    form = "score" if '"Score: N"' in prompt else "better" if '"Better: A"' in prompt else None
    if form is None:
        return None
    shown = {m[1].lower(): m[3] for m in _FENCED.finditer(prompt)}
    order = _ORDER.search(_FENCED.sub("", prompt))
    if order and order[1].lower() == form:
        return f"{form.capitalize()}: {order[2]}"
    shown = shown or {m[1].lower(): m[2] for m in _OPEN.finditer(prompt)}
    question, honest = shown.get("question", ""), drawn < skill
    if form == "score":
        most = int(m[1]) if (m := _MOST.search(prompt)) else 5
        return f"Score: {most if _states_truth(question, shown.get('answer', '')) == honest else max(0, most - 4)}"
    a, b = (_states_truth(question, shown.get(x, "")) for x in "ab")
    return f"Better: {'tie' if a == b else 'A' if a == honest else 'B'}"


def _states_truth(question: str, answer: str) -> bool:
    """Whether what follows the last "Answer:", or else the whole answer, ends a line with the truth."""
    stated = answer.rpartition("Answer:")[2].strip().partition("\n")[0]
    return is_right(question, stated) is True


# --- reading an expression ------------------------------------------------------------------------------------------


def _expression(text: str) -> tuple[Fraction, tuple[str, ...]] | None:
    """Value and kinds of operators (sorted) of the expression with the most operators; the first one among equals."""
    best: tuple[int, Fraction, tuple[str, ...]] | None = None
    for run in _runs(_THOUSANDS.sub("", text)):
        at = 0
        while at < len(run):
            reader = _Reader(run[:_LONGEST], at)
            value = reader.read() if at == 0 or run[at - 1] not in _OPERATORS else None
            if value is not None and reader.operators and (best is None or len(reader.operators) > best[0]):
                best = len(reader.operators), value, tuple(sorted(set(reader.operators)))
            at = max(at + 1, reader.at if value is not None else 0)
    return best[1:] if best else None


def _runs(text: str) -> list[list[str]]:
    """Stretches of numbers, signs and brackets with nothing but blanks between them."""
    runs: list[list[str]] = []
    end = -1
    for m in _TOKEN.finditer(text):
        token = m.group(1) or _SIGNS.get(m.group(2), m.group(2))
        if m.start() == end:
            runs[-1].append(token)
        else:
            runs.append([token])
        end = m.end()
    return [r for r in runs if len(r) > 2]


class _Reader:
    """A recursive-descent reader of one expression, starting at a token. Stops before what it does not understand."""

    def __init__(self, tokens: Sequence[str], at: int) -> None:
        self.tokens, self.at, self.operators = tokens, at, list[str]()

    def read(self) -> Fraction | None:
        """The value, or None if no complete expression starts here."""
        try:
            value = self._sum(0)
        except (ValueError, ZeroDivisionError):
            return None
        return None if self._peek() in _OPERATORS else value

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]

    def _sum(self, depth: int) -> Fraction:
        value = self._product(depth)
        while self._peek() in ("+", "-"):
            sign = self._take()
            right = self._product(depth)
            self.operators.append(sign)
            value = value + right if sign == "+" else value - right
        return value

    def _product(self, depth: int) -> Fraction:
        value = self._signed(depth)
        while self._peek() in ("*", "/"):
            sign = self._take()
            right = self._signed(depth)
            self.operators.append(sign)
            value = value * right if sign == "*" else value / right
        return value

    def _signed(self, depth: int) -> Fraction:
        if depth > 40:
            raise ValueError("nested too deep")
        token = self._peek()
        if token in ("+", "-"):
            self._take()
            value = self._signed(depth + 1)
            return -value if token == "-" else value
        if token == "(":
            self._take()
            value = self._sum(depth + 1)
            if self._peek() != ")":
                raise ValueError("an open bracket")
            self._take()
            return value
        if not token or not token[0].isdigit():
            raise ValueError("no number")
        return Fraction(self._take())


def _decimal(value: Fraction) -> str | None:
    """A short exact decimal ("12", "-0.25"), or None if there is none of at most 12 places."""
    scaled = value * 10**12
    if scaled.denominator != 1:
        return None
    sign, digits = "-" if value < 0 else "", str(abs(scaled.numerator)).rjust(13, "0")
    whole, part = digits[:-12], digits[-12:].rstrip("0")
    return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"

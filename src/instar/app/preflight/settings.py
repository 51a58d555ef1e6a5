"""Settings that contradict each other, and numbers beyond all use: seen in the plan alone, before tasks are drawn."""

from __future__ import annotations

from collections.abc import Iterator

from instar.app.preflight.estimate import estimate
from instar.app.preflight.seen import Seen, numbers
from instar.errors import ConfigError, InstarError
from instar.evaluate.eval import Eval
from instar.objective.room import RoomToLearn
from instar.protocols import Op
from instar.recipes import RECIPES
from instar.recipes.correcting import Correcting
from instar.recipes.grpo import GroupPolicy
from instar.recipes.preferring import Preferring
from instar.update.weights.dpo import Dpo
from instar.update.weights.grpo import Grpo
from instar.update.weights.sft import SFT

MOST_TASKS = 1_000_000
"""Over all sets and rounds: each is drawn, compared with all others and stored before anything is asked."""
MOST_ANSWERS = 20_000_000
"""Of a whole run: each is a row of its ledger with its feedback, some 2 KB."""
MOST_DAYS = 30.0
"""That a run may be estimated to take without a budget that stops it."""
MOST_EXAMPLES = 5_000_000
"""Answers that the scripted model is taught, every epoch counted: a step that cannot be stopped half-way."""
COUNTABLE = 2**53
MOST = {
    "rounds": (10_000, "every round has its own share of all sets"),
    "samples": (10_000, "all answers to a task are one ask, which no budget can stop half-way"),
    "most": (10_000, "all answers to a task are judged together"),
    "epochs": (10_000, "an answer that is read more often is learned by heart"),
    "iterations": (10_000, "an answer that is read more often is learned by heart"),
    "revisions": (1_000, "all of them are one conversation"),
    "turns": (1_000, "all of them are one conversation"),
    "max_tokens": (10_000_000, "no model has such a context"),
}
"""The largest value of a setting of this name, wherever it stands, and why."""


def sizes(seen: Seen) -> Iterator[InstarError]:
    """Numbers that would hang a run, or its planning, or that no machine could work off."""
    plan = seen.plan
    wild = [(where, n) for part in (plan.run, plan.settings) for where, n in numbers(part)]
    absurd = False
    for where, n in wild:
        name = where.rpartition(".")[2]
        if name.endswith("seed"):
            continue
        limit, why = MOST.get(name, (COUNTABLE, "larger numbers cannot be counted with"))
        if where.startswith("budget.") or n <= limit:
            continue
        absurd = True
        # repr of a number of thousands of digits is refused by Python itself
        number = f"{n:,}" if n <= COUNTABLE else "a number of " + f"{n.bit_length() * 0.30103:,.0f} digits"
        yield ConfigError(f"{where} is {number}; the most is {limit:,}: {why}.", f"For example: --set {where}={limit}")
    if absurd:
        return  # no estimate can be made of such numbers
    yield from _tasks(seen)
    yield from _work(seen)


def _tasks(seen: Seen) -> Iterator[InstarError]:
    s, rounds = seen.plan.run.sizes, seen.plan.settings.rounds
    total = rounds * (s.train + s.gate) + s.dev + s.sealed + sum(x.size or 0 for x in seen.plan.run.suites.values())
    if total > MOST_TASKS:
        yield ConfigError(
            f"the four sets would hold {total:,} tasks ({rounds:,} rounds of {s.train:,} to train on and {s.gate:,} "
            f"for the gate, {s.dev:,} dev, {s.sealed:,} sealed); the most is {MOST_TASKS:,}.",
            "Set rounds or sizes lower: all tasks are drawn and compared before the first is asked.",
        )


def _work(seen: Seen) -> Iterator[InstarError]:
    """What the estimate says is beyond all patience, unless a budget will stop it."""
    plan = seen.plan
    cost, budget = estimate(plan, seen.sets), plan.run.budget
    bounded = any(b is not None for b in (budget.tokens, budget.calls, budget.seconds))
    scripted = plan.run.model.startswith("scripted")
    if scripted and cost["trained_examples"] > MOST_EXAMPLES:
        yield ConfigError(
            f"the scripted model would be taught about {cost['trained_examples']:,} times; the most is "
            f"{MOST_EXAMPLES:,}, as nothing can stop that half-way.",
            "Set train.epochs, solve.samples, sizes.train or rounds lower.",
        )
    if bounded:
        return
    days = cost["seconds"] / 86_400
    if cost["answers"] > MOST_ANSWERS:
        yield ConfigError(
            f"the run would ask for about {cost['answers']:,} answers; without a budget the most is {MOST_ANSWERS:,}.",
            "Set samples, sizes or rounds lower, or say where it is to stop: --set budget.calls=... (or .tokens, "
            ".seconds).",
        )
    elif days > MOST_DAYS:
        yield ConfigError(
            f"the run would take about {days:,.0f} days ({cost['tokens']:,} tokens generated, "
            f"{cost['trained_tokens']:,} trained; {cost['rests_on']}); without a budget the most is {MOST_DAYS:g}.",
            "Set samples, max_tokens, epochs, sizes or rounds lower, or say when it is to stop: --set "
            f"budget.seconds={86_400 * MOST_DAYS:.0f} (then it can be resumed with more).",
        )


def samples(seen: Seen) -> Iterator[InstarError]:
    """Exams whose solver gives another number of answers than the exam counts, or too few to choose by."""
    s = seen.plan.settings
    for name in type(s).model_fields:
        exam = getattr(s, name)
        if not isinstance(exam, Eval):
            continue
        gives = getattr(exam.solve, "samples", None)
        if isinstance(gives, int) and gives != exam.samples:
            yield ConfigError(
                f"{name}.solve gives {gives} answers a task and {name}.samples is {exam.samples}: every answer of an "
                "exam counts.",
                f"For example: --set {name}.samples={gives}",
            )
    dev = getattr(s, "dev_exam", None)
    if isinstance(getattr(s, "choose", None), RoomToLearn) and isinstance(dev, Eval) and dev.samples < 2:
        yield ConfigError(
            f"dev_exam.samples is {dev.samples}: room to learn is what some sample gets right and most do not, and "
            "needs at least 2.",
            "Set dev_exam.samples, and the samples of dev_exam.solve, to 4 or more.",
        )


def parts(seen: Seen) -> Iterator[InstarError]:
    """Operators that the recipe would hand something else than they work with."""
    s, recipe = seen.plan.settings, seen.plan.recipe.name
    train = getattr(s, "train", None)
    trains = getattr(s, "learn", True)
    if recipe in RECIPES and trains and isinstance(train, Grpo) and not isinstance(s, GroupPolicy):
        yield ConfigError(
            f"train is 'grpo', which answers its tasks itself, and {recipe} hands it answers to train on.",
            'Take the recipe grpo, or train = "sft".',
        )
    if recipe in RECIPES and isinstance(s, GroupPolicy) and isinstance(train, SFT):
        yield ConfigError(
            f"train is 'sft', which trains on answers it is handed, and {recipe} hands it tasks alone.",
            'Take train = "grpo", or a recipe that samples answers, such as rest_em.',
        )
    if recipe in RECIPES and trains and isinstance(train, Dpo) and not isinstance(s, Preferring):
        yield ConfigError(
            f"train is 'dpo', which learns from pairs, and {recipe} pairs nothing.",
            'Take the recipe dpo, or train = "sft".',
        )
    if isinstance(s, Preferring) and isinstance(train, (SFT, Grpo)):
        yield ConfigError(
            f"train is {train.name!r}, and {recipe} hands it pairs of answers.",
            'Take train = "dpo", or a recipe that trains on single answers, such as rest_em.',
        )
    if isinstance(s, Correcting):
        gives = _many(s.correct)
        if gives:
            yield ConfigError(
                f"correct.{gives} makes {s.correct.name!r} give several solutions of one draft; as the procedure that "
                f"{recipe} examines it must give exactly one.",
                'Set correct.keep = "last".' if "keep" in gives else "Set correct.samples = 1.",
            )


def _many(op: Op) -> str:
    """The setting by which a correction gives more than one solution; nothing if it gives one."""
    if getattr(op, "keep", None) == "all" and getattr(op, "revisions", 2) > 1:
        return "keep = 'all'"
    many = getattr(op, "samples", 1)
    return f"samples = {many}" if isinstance(many, int) and many != 1 else ""


def promised(seen: Seen) -> list[str]:
    """Warnings: a budget that ends before the exams can be over."""
    s, size, budget = seen.plan.settings, seen.plan.run.sizes, seen.plan.run.budget
    exam = getattr(s, "exam", None)
    calls = size.sealed if exam is not None else 0
    said = []
    if budget.calls is not None and budget.calls < calls:
        said.append(
            f"the budget of {budget.calls:,} calls ends the run before its exam: the sealed set alone is asked "
            f"{calls:,} times. Raise budget.calls, or resume with more."
        )
    return said

"""How much of a round the guards take, said before a run begins; where it is more than 15 %, they take turns.

What counts is tokens, at the speeds that ``estimate`` has for a machine of which nothing is known, and never a clock:
the same config has the same turns everywhere, and a run that is resumed keeps those that it began with. A guard is
examined whole or not at all: one of a few items rules out no loss, and would refuse every candidate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from instar.app.configs.config import Plan
from instar.app.preflight.estimate import PROMPT, SAMPLING_RATE, TOKENS_A_SAMPLE, TRAINING_RATE, max_tokens
from instar.records import Task

MOST = 0.15
"""Share of a round that guards take at most, as far as whole ones allow: one is examined in each round."""
KEPT = 0.6
"""Share of the answers that is trained on, roughly, as in ``estimate``."""


@dataclass(frozen=True)
class Turns:
    """Which guards candidates of each round are examined on, and what is said of it."""

    share: float
    """Of a round's time, all guards."""
    by_round: Mapping[int, Sequence[str]]
    """Empty where all of them are, in every round."""
    sentence: str


def turns(plan: Plan, drawn: Mapping[str, Sequence[Task]]) -> Turns | None:
    """The turns of a plan's guards with a budget; None where it has none."""
    costs = {name: _seconds(plan, len(drawn[name])) for name, s in plan.run.suites.items() if s.budget is not None}
    if not costs:
        return None
    rest, rounds = _round(plan), plan.settings.rounds
    share = sum(costs.values()) / (rest + sum(costs.values()))
    head = f"the guards ({', '.join(costs)}) take about {100 * share:.0f} % of a round"
    if share <= MOST:
        return Turns(share, {}, f"{head}, of at most {100 * MOST:.0f} %.")
    if len(costs) == 1:
        return Turns(share, {}, f"{head}, more than {100 * MOST:.0f} %: give it fewer items, or accept that.")
    by_round = _dealt(costs, MOST / (1 - MOST) * rest, rounds)
    if all(len(names) == len(costs) for names in by_round.values()):
        by_round = {}
    told = "; ".join(f"round {r} {', '.join(names)}" for r, names in list(by_round.items())[:4])
    more = "; and so on" if len(by_round) > 4 else ""
    return Turns(share, by_round, f"{head}, more than {100 * MOST:.0f} %: they take turns, whole ones: {told}{more}.")


def _dealt(costs: Mapping[str, float], most: float, rounds: int) -> dict[int, list[str]]:
    """As many guards a round as stay within ``most``, one at least, each round going on where the last one ended."""
    names, at, found = list(costs), 0, dict[int, list[str]]()
    for round in range(1, rounds + 1):
        taken: list[str] = []
        spent = 0.0
        while len(taken) < len(names) and (not taken or spent + costs[names[at % len(names)]] <= most):
            taken.append(names[at % len(names)])
            spent += costs[taken[-1]]
            at += 1
        found[round] = taken
    return found


def _seconds(plan: Plan, items: int) -> float:
    """What a guard costs a round: the candidate on a third of its items, and the base once on each of two thirds."""
    exam, rounds = getattr(plan.settings, "exam", None), plan.settings.rounds
    answers = items / 3 * (1 + min(2, rounds) / rounds) * getattr(exam, "samples", 1)
    return answers * max_tokens(getattr(exam, "solve", None)) * TOKENS_A_SAMPLE / SAMPLING_RATE


def _round(plan: Plan) -> float:
    """What else there is in a round: its answers, its training, its gate and its dev set."""
    s, sizes = plan.settings, plan.run.sizes
    solve, exam = getattr(s, "solve", None), getattr(s, "exam", None)
    samples = int(getattr(getattr(s, "attempt", None), "most", getattr(solve, "samples", 1)))
    written = getattr(s, "per_round", sizes.train) * samples
    length = max_tokens(solve) * TOKENS_A_SAMPLE
    trained = written * KEPT * getattr(getattr(s, "train", None), "epochs", 1) * (PROMPT + length)
    examined = (2 * sizes.gate + sizes.dev) * getattr(exam, "samples", 1)
    examined_tokens = examined * max_tokens(getattr(exam, "solve", None)) * TOKENS_A_SAMPLE
    return (written * length + examined_tokens) / SAMPLING_RATE + trained / TRAINING_RATE

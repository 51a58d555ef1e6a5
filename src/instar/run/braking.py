"""The brake: two rounds of raised alarms in a row hold the run, and a declared setting says what comes of it.

An alarm is a trend's first point and no proof (methods.md 4.3: alarm if trend, not one point); two in a row are acted
on. Every hold is a recorded decision, and what was decided stands: a resumed run does the same again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from instar.errors import RunHeld
from instar.protocols import Replay
from instar.records import Decision, Experience, Health, Policy, hash_of, mint
from instar.run.steps import Steps
from instar.store.ledger import Made

Action = Literal["stop", "earlier", "fresh", "off", "replay"]
"""What comes of a hold. A new one is added at the end: its place here is part of what is recorded."""

ROUNDS = 2
"""Rounds in a row with an alarm that hold a run."""

BRAKE = hash_of("op", {"op": "brake", "version": 1})
"""What stands in the ledger as the maker of these decisions."""

SETS_ASIDE: tuple[Action, ...] = ("earlier", "fresh", "replay")
"""After which nothing is trained any more on what the held rounds kept."""

_GOES: Mapping[Action, str] = {
    "earlier": "goes on from policy {policy}, which sampled before them, and without their {answers} kept answers",
    "fresh": "goes on with the policy that it has, and without their {answers} kept answers",
    "replay": "goes on with the policy that it has, without their {answers} kept answers, and learns again some of "
    "what policy {policy}, which sampled before them, was trained on",
    "off": "goes on as if nothing were: brake is off",
}


@dataclass
class Brake:
    """What a hold needs to know of the rounds so far. In memory only: a resumed run comes by the same rounds again."""

    action: Action = "stop"
    known: dict[str, Policy] = field(default_factory=dict)
    """The policies that sampled, by id."""
    at_hand: Policy | None = None
    """The one that the recipe goes on with."""
    kept: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """By round, the solutions that were kept in it."""
    since: int = 0
    """The round of the last hold: what was alarming up to it was acted on."""
    instead: dict[str, Policy] = field(default_factory=dict)
    """Who acts in the place of a policy that a hold went back from."""
    replay: Replay | None = None
    """How much of the past ``replay`` brings in, and which."""
    past: Policy | None = None
    """Whose past is learned again beside what is new; None: nobody's."""
    aside: set[str] = field(default_factory=set)
    """Solutions that nothing is trained on any more."""
    paired: bool = False
    """Whether the recipe trains on pairs: then there are no single answers beside which something is learned again."""

    def stands_for(self, policy: Policy) -> Policy:
        """Who acts where a recipe says this policy: itself, unless a hold went back from it."""
        seen: set[str] = set()
        while policy.id in self.instead and policy.id not in seen:
            seen.add(policy.id)
            policy = self.instead[policy.id]
        return policy

    def sampled(self, policy: Policy) -> None:
        """Note who samples."""
        self.known[policy.id] = self.at_hand = policy

    def promoted(self, policy: Policy) -> None:
        """Note what a gate let stand, the incumbent or the candidate."""
        self.at_hand = policy
        self.instead.pop(policy.id, None)  # a gate let it pass again: then it is meant

    def usable(self, data: Sequence[Experience]) -> list[Experience]:
        """What of these may be trained on."""
        return [e for e in data if e.id not in self.aside]

    def look(
        self, steps: Steps, healths: Sequence[Health], kept: Sequence[Experience], last_round: int
    ) -> list[Health]:
        """The healths that the next round is compared with, after this one's: fewer where a hold went back.

        Raises:
            RunHeld: this round and the one before had alarms, more rounds are to come, and the brake says stop.
        """
        self.kept[steps.round] = tuple(e.id for e in kept)
        rounds = range(steps.round - ROUNDS + 1, steps.round + 1)
        own = list(healths[-ROUNDS:])
        # a round without a health, as one that kept nothing, is no alarm
        held = all(r in self.kept and r > self.since for r in rounds) and all(_raised(h) for h in own)
        if not held or steps.round >= last_round:
            return list(healths)
        before = healths[-ROUNDS - 1].policy if len(healths) > ROUNDS else own[0].policy
        earlier = self.stands_for(self.known.get(before, steps.base))
        answers = [id for r in rounds for id in self.kept.get(r, ())]
        action = self._decide(steps, own, rounds, earlier, answers)
        if action is None:
            return list(healths)
        self.since = steps.round
        if action in SETS_ASIDE:
            self.aside |= set(answers)
        self.past = earlier if action == "replay" and not self.paired else None
        if action == "earlier":
            # those that sampled in the held rounds too: a recipe may hand them over as references
            left = {*(h.policy for h in own), *([self.at_hand.id] if self.at_hand else [])}
            self.instead.update(dict.fromkeys(left - {earlier.id, steps.base.id}, earlier))
            return list(healths[:-ROUNDS])
        return list(healths)

    def _decide(
        self, steps: Steps, own: Sequence[Health], rounds: Iterable[int], earlier: Policy, answers: Sequence[str]
    ) -> Action | None:
        """What comes of this hold, on record; None where the run went past it before there was a brake."""
        names = list(dict.fromkeys(a.name for h in own for a in h.alarms if a.raised))
        which = f"rounds {' and '.join(map(str, rounds))}"
        why = f"alarms were raised in {which}: {', '.join(names)}"
        made = {a: self._made(steps, a, own, which, why, earlier, answers) for a in get_args(Action)}
        there = {m.record.id for m in made.values() if steps.ledger.find(m.record.id)}
        decided = next((a for a, m in made.items() if a != "stop" and m.record.id in there), None)
        if not there and _went_on(steps):  # what was decided, a stop too, is there
            return None
        action: Action = decided or self.action
        if made[action].record.id not in there:
            steps.ledger.ensure_op(BRAKE, "brake", {"op": "brake", "version": 1}, "")
            steps.ledger.add_records([made[action]])
        decision = made[action].record
        assert isinstance(decision, Decision)
        steps.note(f"HELD: {decision.reason}")
        if action == "stop":
            raise RunHeld(
                f"round {steps.round} is held: {why}.",
                "`instar report` shows the answers. Go on with --set brake=earlier (from the policy before them and "
                "without their answers), brake=fresh (without their answers), brake=replay (so, and with what "
                "was learned before) or brake=off.",
            )
        return action

    def _made(
        self, steps: Steps, action: Action, own: Sequence[Health], which: str, why: str, earlier: Policy,
        answers: Sequence[str],
    ) -> Made:  # fmt: skip
        goes = _GOES.get(action, "stops here")
        if action == "replay" and self.paired:
            goes = f"{_GOES['fresh']}; it trains on pairs, so nothing is learned again"
        goes = goes.format(policy=earlier.id, answers=len(answers))
        aside = tuple(answers) if action in SETS_ASIDE else ()
        inputs = (*(h.id for h in own), *aside)
        place = get_args(Action).index(action)
        id = mint("decision", BRAKE, inputs, steps.round, place)
        decision = Decision(id=id, item=which, kept=action != "stop", reason=f"{why}; the run {goes}.")
        return Made(decision, BRAKE, steps.round, place, inputs)


def _raised(health: Health) -> bool:
    return any(a.raised for a in health.alarms)


def _went_on(steps: Steps) -> bool:
    """Whether a later round was begun in an earlier session."""
    return any(s["round"] > steps.round for s in steps.ledger.rows("steps"))

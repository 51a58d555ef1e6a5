"""What the recipes share that pair answers, train on what is preferred to what, and let a gate decide."""

from __future__ import annotations

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.evaluate.health import VitalSigns
from instar.protocols import Filter, Gate, Judge, Pairing, Solve, Update, Watch
from instar.recipes.recipe import Settings
from instar.records import Sampling
from instar.refine.filters.distinct import Distinct
from instar.refine.pairs import Pairs
from instar.update.weights.dpo import Dpo


class Preferring(Settings):
    """Settings that mean the same in the recipes of pairs. ``keep`` looks at all answers, right and wrong."""

    rounds: int = Field(default=1, ge=1)
    solve: Solve = Sample(samples=8, sampling=Sampling(temperature=0.7, top_k=40, max_tokens=48))
    judge: Judge = Verify()
    keep: tuple[Filter, ...] = (Distinct(),)
    pairs: Pairing = Pairs()
    train: Update = Dpo()
    gate: Gate = PairedGate()
    exam: Eval = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48)), judge=Verify())
    watch: Watch = VitalSigns()

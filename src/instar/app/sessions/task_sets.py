"""The sets of a run: drawn and recorded when it is new, read from its ledger when it goes on."""

from __future__ import annotations

from collections.abc import Mapping

from instar.acquire.tasks.sets import SETS, prove_disjoint, prove_storable
from instar.acquire.tasks.table import Table, reachable
from instar.app.configs.config import Plan
from instar.app.sessions.suites import draw_suites
from instar.errors import CannotContinue, DataError, InstarError
from instar.legible import said
from instar.records import Task
from instar.run.keys import set_seed
from instar.run.outputs import Output, mint_all
from instar.run.run import Sets
from instar.store.ledger import Ledger
from instar.store.left_out import left_out


def draw(plan: Plan) -> dict[str, list[Task]]:
    """All four sets and the suites, drawn and proven disjoint. No token is spent."""
    cfg = plan.run
    for op in plan.ops():
        if isinstance(op, Table):
            reachable(op)
    rounds = plan.settings.rounds
    sizes = {"train": cfg.sizes.train * rounds, "gate": cfg.sizes.gate * rounds}
    sizes |= {"dev": cfg.sizes.dev, "sealed": cfg.sizes.sealed}
    seeds = {name: set_seed(cfg.seed, name) for name in SETS} | {"sealed": cfg.sealed_seed}
    try:
        drawn = cfg.tasks({k: n for k, n in sizes.items() if n}, seeds)
    except InstarError:
        raise
    except (Exception, SystemExit) as e:
        if type(cfg.tasks).__module__.startswith("instar."):
            raise
        raise DataError(f"the source {cfg.tasks.name} failed: {type(e).__name__}: {said(e)}.", "Mend it.") from e
    drawn = {**drawn, **draw_suites(cfg, drawn)}
    prove_storable(drawn)
    prove_disjoint({k: v for k, v in drawn.items() if v})
    return drawn


def sets_of(plan: Plan, ledger: Ledger, drawn: Mapping[str, list[Task]] | None = None) -> Sets:
    """The run's sets: from its ledger when it is resumed, drawn and recorded when it is new."""
    stored = ledger.sets()
    if stored:
        found = {name: ledger.records(ids=ids) for name, ids in stored.items()}
        train, dev, gate, sealed = (tuple(r for r in found.get(n, []) if isinstance(r, Task)) for n in SETS)
        for name in plan.run.suites:
            if name not in found:
                raise CannotContinue(f"the suite {name} was not drawn when this run was made.", "Start a new run.")
        suites = {n: tuple(r for r in found[n] if isinstance(r, Task)) for n in plan.run.suites}
        sets = Sets(train, dev, gate, sealed, suites=suites)
        return sets.without(out) if (out := left_out(ledger)) else sets
    drawn = drawn or draw(plan)
    flat = [(name, i, task) for name in SETS for i, task in enumerate(drawn.get(name, []))]
    made = mint_all([Output(task, ()) for _, _, task in flat], plan.run.tasks.op_id, 0)
    for name, suite in plan.run.suites.items():  # after the sets, whose ids stay what they are without suites
        flat += (own := [(name, i, task) for i, task in enumerate(drawn[name])])
        made += mint_all([Output(task, ()) for *_, task in own], suite.tasks.op_id, 0, first=len(made))
    ledger.add_sets(made, [(name, i, m.record.id) for (name, i, _), m in zip(flat, made, strict=True)])
    return sets_of(plan, ledger)

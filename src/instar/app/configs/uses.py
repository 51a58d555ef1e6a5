"""Who solves and who judges which tasks in a plan, and where each operator stands in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from instar.app.configs.config import Plan
from instar.evaluate.eval import Eval
from instar.protocols import Judge, Op, Solve
from instar.recipes.correcting import Correcting


@dataclass(frozen=True)
class Use:
    """A solver, judge or attempt of the plan, where it stands in the config, and the sets it works on."""

    where: str
    op: Op
    sets: tuple[str, ...]
    exam: bool
    """Whether it is asked in an exam, which accepts no gap."""


def uses(plan: Plan) -> list[Use]:
    """Who solves and who judges which of the sets."""
    s = plan.settings
    learns = getattr(s, "learn", True)
    found: list[Use] = []
    for name in type(s).model_fields:
        value = getattr(s, name)
        if isinstance(value, Eval):
            sets = _examined(plan, name, learns)
            suites = plan.run.suites if name == "exam" else {}
            alike = tuple(n for n, x in suites.items() if x.judge is None)
            found.append(Use(f"{name}.solve", value.solve, (*sets, *suites), True))
            found.append(Use(f"{name}.judge", value.judge, (*sets, *alike), True))
    found += [Use(f"suites.{n}.judge", x.judge, (n,), True) for n, x in plan.run.suites.items() if x.judge is not None]
    attempt = getattr(s, "attempt", None)
    names = ("solve", "judge", *(("audit",) if isinstance(s, Correcting) else ())) if attempt is None else ()
    if learns:
        judged = ("train", "dev") if getattr(s, "predict", None) is not None else ("train",)
        found += [
            Use(n, op, judged if n == "judge" else ("train",), False)
            for n in names
            if isinstance(op := getattr(s, n, None), (Solve, Judge))
        ]
    for where, op in named_ops(attempt, "attempt"):
        found.append(Use(where, op, ("train",), False))
    sets = ("train", "sealed") if learns else ("sealed",)
    found += [Use(w, op, sets, False) for w, op in named_ops(getattr(s, "correct", None), "correct")
              if isinstance(op, Judge)]  # fmt: skip
    # a judge around another one: both see the same tasks
    return found + [
        Use(where, op, use.sets, use.exam)
        for use in found
        if isinstance(use.op, Judge)
        for where, op in named_ops(use.op, use.where)
        if isinstance(op, Judge) and op is not use.op
    ]


def _examined(plan: Plan, name: str, learns: bool) -> tuple[str, ...]:
    if name == "dev_exam":
        return ("dev",)
    own_dev = hasattr(plan.settings, "dev_exam")
    return tuple(s for s in ("gate", "dev", "sealed") if s == "sealed" or (learns and not (s == "dev" and own_dev)))


def named_ops(value: Any, where: str = "") -> Iterator[tuple[str, Op]]:
    """Every operator in a value, with its place as ``--set`` writes it."""
    if isinstance(value, Op):
        yield where, value
    if isinstance(value, BaseModel):
        for k in type(value).model_fields:
            yield from named_ops(getattr(value, k), f"{where}.{k}" if where else k)
    elif isinstance(value, Mapping):
        for k, v in value.items():
            yield from named_ops(v, f"{where}.{k}")
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            yield from named_ops(v, f"{where}[{i}]")

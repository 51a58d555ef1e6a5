"""How hard the tasks of runs are and how able their policies: fitted over all policies of their ledgers together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from instar.app.weights.policies import reading
from instar.difficulty import Counted, Fit, fit
from instar.errors import DataError
from instar.hashing import hash_of
from instar.store.readers.tried import Marked, tried


@dataclass(frozen=True)
class Difficulties:
    """A fit over runs. A task is the same one where it asks the same, in whatever run; ``tasks`` has the first of each
    by its key in the fit, ``policies`` the run that each policy was first met in."""

    fit: Fit
    tasks: dict[str, Marked]
    policies: dict[str, str]

    def as_data(self) -> dict[str, Any]:
        """Plain data: policies the ablest first, tasks the hardest first."""
        f = self.fit
        able = sorted(f.ability.items(), key=lambda x: -x[1].value)
        hard = sorted(f.difficulty.items(), key=lambda x: -x[1].value)
        return {
            "model": f.model,
            "policies": [
                {"policy": p, "run": self.policies[p], "ability": e.value, "error": e.error} for p, e in able
            ],
            "tasks": [
                {
                    "task": self.tasks[t].task, "set": self.tasks[t].held, "ability": self.tasks[t].ability,
                    "question": self.tasks[t].question, "tries": f.tries[t], "difficulty": e.value, "error": e.error,
                    **({"slope": f.slope[t].value, "slope_error": f.slope[t].error} if f.slope else {}),
                }
                for t, e in hard
            ],
        }  # fmt: skip


def difficulties(folders: Sequence[Path], model: Literal["rasch", "2pl"] = "rasch") -> Difficulties:
    """Fit what these runs' policies did on train and dev; gate and sealed are not looked at. Raises DataError where
    nothing was marked."""
    cells: list[Counted] = []
    tasks: dict[str, Marked] = {}
    policies: dict[str, str] = {}
    for folder in folders:
        with reading(folder) as ledger:
            found = tried(ledger)
        for m in found:
            key = hash_of("asks", m.ability, m.canonical, m.question)
            tasks.setdefault(key, m)
            policies.setdefault(m.policy, folder.name)
            cells.append(Counted(m.policy, key, m.right, m.tries))
    if not cells:
        raise DataError(
            f"no answer to a task of train or dev was marked in {', '.join(f.name for f in folders)}.",
            "Difficulties are estimated from a run with a verifier; give sizes.dev for more of them.",
        )
    return Difficulties(fit(cells, model), tasks, policies)

"""Valid tasks that nobody thought of: expressions by lot, to compare a proposer with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.arithmetic import canonical_expression, decimal_of, value_of
from instar.protocols import Create, Created, Models
from instar.records import Message, Objective, Role, Task, hash_of


class RandomExpressions(Create):
    """As many expressions as the objectives want: 2 to ``terms`` numbers below 10 to the ``digits``, signs by lot out
    of ``signs``. No model is asked. The lot hangs on the objectives, so that each round draws others."""

    name: ClassVar[str] = "random_expressions"

    called: str = "proposed"
    asks: str = Field(default="Calculate {}.", pattern=r"^[^{}]*\{\}[^{}]*$")
    digits: int = Field(default=3, ge=1, le=12)
    terms: int = Field(default=6, ge=2, le=32)
    signs: str = Field(default="+-*/", pattern=r"^[-+*/]+$")

    async def __call__(
        self, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task], models: Models
    ) -> Sequence[Created]:
        luck = random.Random(hash_of("expressions", [o.id for o in objectives]))
        known, made = {t.canonical for t in seen}, list[Created]()
        wanted = sum(o.tasks for o in objectives)
        for _ in range(100 * wanted):
            if len(made) >= wanted:
                break
            numbers = [
                str(luck.randrange(10 ** luck.randint(1, self.digits))) for _ in range(luck.randint(2, self.terms))
            ]
            text = numbers[0] + "".join(f" {luck.choice(self.signs)} {n}" for n in numbers[1:])
            value, form = value_of(text), f"arith:{canonical_expression(text)}"
            key = None if value is None else decimal_of(value)
            if key is None or form in known:
                continue
            known.add(form)
            made.append(Created(self._task(text, form, key, len(numbers), objectives[0].id)))
        return made

    def _task(self, text: str, form: str, key: str, size: int, objective: str) -> Task:
        return Task(
            messages=(Message(role=Role.user, content=self.asks.format(text)),), ability=self.called, canonical=form,
            source=self.name, difficulty=float(size), objective=objective, private={"answer": key, "proposed": text},
        )  # fmt: skip

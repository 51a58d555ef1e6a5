"""What the checks before a run look at: the plan, its sets of tasks, the model as far as it is here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from instar.acquire.tasks.cleaned import Cleaned
from instar.acquire.tasks.prompted import Prompted
from instar.acquire.tasks.table import Table
from instar.app.configs.config import Plan
from instar.app.configs.shots import shown_by
from instar.app.weights.at_hand import AtHand
from instar.chat import ChatTokenizer
from instar.errors import InstarError, ModelError
from instar.protocols import Source
from instar.records import Message, Task
from instar.records.policy import prompted

SHOWN = 5
"""Rows, tasks or names that one sentence lists; it counts the rest."""


@dataclass(frozen=True)
class Seen:
    """A plan with what was drawn and found for it. A check yields what is wrong, as the errors a run would end with."""

    plan: Plan
    sets: Mapping[str, Sequence[Task]]
    model: AtHand | None
    """None where there is no such model: that is a finding of its own."""

    @cached_property
    def tokenizer(self) -> ChatTokenizer | None:
        """Of a real model that is here. Raises ModelError when its folder has none that works."""
        folder = self.model.folder if self.model is not None else None
        return None if folder is None else ChatTokenizer.load(folder)

    @cached_property
    def lengths(self) -> Mapping[str, Sequence[int]]:
        """Tokens of every task's prompt, by set; nothing where there is no tokenizer, or its template refuses them
        (which is found for itself)."""
        try:
            chat = self.tokenizer
            if chat is None:
                return {}
            return {name: chat.prompt_lengths([self.prompt(t) for t in tasks]) for name, tasks in self.sets.items()}
        except ModelError:
            return {}

    def prompt(self, task: Task) -> tuple[Message, ...]:
        """What the base policy is shown for a task."""
        return prompted(self.plan.run.system, shown_by(self.plan.run.shots), task)


def numbers(value: Any, where: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number in a config, with its place."""
    if isinstance(value, int) and not isinstance(value, bool):
        yield where, value
    elif isinstance(value, BaseModel):
        for k in type(value).model_fields:
            yield from numbers(getattr(value, k), f"{where}.{k}" if where else k)
    elif isinstance(value, Mapping):
        for k, v in value.items():
            yield from numbers(v, f"{where}.{k}" if where else str(k))
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            yield from numbers(v, f"{where}[{i}]")


def inner_source(source: Source) -> Source:
    """What the tasks come from, also where they are cleaned first, or asked in other words."""
    while isinstance(source, (Cleaned, Prompted)):
        source = source.inner
    return source


def has_shots(source: Source) -> bool:
    """Whether the tasks bring shots of their own."""
    while isinstance(source, (Cleaned, Prompted)):
        if isinstance(source, Prompted) and source.shots:
            return True
        source = source.inner
    return False


def table_of(source: Source) -> Table | None:
    """The table that tasks are read from, if they are."""
    inner = inner_source(source)
    return inner if isinstance(inner, Table) else None


def place_of(seen: Seen, name: str, task: Task) -> str:
    """Where a task stands, as a person finds it: file and line where it is of a table, else its set and question."""
    source = table_of(seen.plan.run.tasks)
    table = source and (getattr(source, source.whole) or getattr(source, name, None))
    if source is not None and isinstance(table, str):
        try:
            rows = source._read(table)
        except InstarError:
            rows = None
        for number, row in rows.rows if rows else ():
            if str(row.get(source.question, "")) == task.question or task.source.endswith(f"#{row.get('task_id')}"):
                return f"{rows.label}, {rows.unit} {number}" if rows else ""
    return f"{shown(task.question)} ({task.source})"


def shown(text: str, most: int = 60) -> str:
    """The beginning of a text on one line, quoted."""
    line = " ".join(text[: 4 * most].split())
    return repr(line if len(line) <= most else line[: most - 1] + "…")


def listed(parts: Sequence[str], most: int = SHOWN) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(parts) - most:,} more" if len(parts) > most else ""
    return "; ".join(parts[:most]) + more

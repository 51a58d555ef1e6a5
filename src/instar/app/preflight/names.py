"""Names in a config that stand for abilities or columns, held against those that the tasks really have."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

from instar.app.configs.uses import named_ops
from instar.app.preflight.seen import Seen, table_of
from instar.errors import ConfigError, InstarError
from instar.protocols import Gate, Source
from instar.records import Task, suite_kind

FIELDS = ("guarded", "abilities", "ability")
"""Settings of operators, ours and other packages', that name abilities."""
MOST = 20


def abilities(seen: Seen) -> Iterator[InstarError]:
    """An operator that names an ability which no task has. A gate's must be at the gate, in every round."""
    known = [
        t for name, tasks in seen.sets.items() if suite_kind(name) is None for t in tasks
    ]  # no operator sees suites
    for where, op in named_ops(seen.plan.settings):
        if isinstance(op, Source):  # its ``ability`` is a column
            continue
        set_name = "gate" if isinstance(op, Gate) else ""
        there = _abilities(seen.sets.get("gate", ()) if set_name else known)
        for field in FIELDS:
            value = getattr(op, field, None) if field in type(op).model_fields else None
            named = [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else []
            wrong = [n for n in dict.fromkeys(named) if isinstance(n, str) and n not in there]
            at = f"{where}.{field}"
            for name in wrong[:MOST]:
                yield _unknown(at, name, there, set_name)
            if set_name and not wrong:
                yield from _missing_in_a_round(seen, at, [n for n in named if isinstance(n, str)])


def ability_column(seen: Seen) -> Iterator[InstarError]:
    """A column of abilities that was asked for by name and stands in no row: every task would have the file's name."""
    source = table_of(seen.plan.run.tasks)
    default = type(source).model_fields["ability"].default if source is not None else None
    if source is None or source.ability in (None, default):
        return
    for name, tasks in seen.sets.items():
        table = getattr(source, source.whole) or getattr(source, name, None)
        if len(_abilities(tasks)) != 1 or not isinstance(table, str):
            continue
        rows = source._read(table)
        columns = list(dict.fromkeys(c for _, row in rows.rows for c in row))
        if source.ability not in columns:
            yield ConfigError(
                f"tasks.ability is {source.ability!r}, and no {rows.unit} of {rows.label} has such a column: every "
                f"task would have the ability {rows.stem!r}.",
                f"{_meant(source.ability, columns)}The columns are: {', '.join(columns[:MOST])}.",
            )
            return


def _missing_in_a_round(seen: Seen, where: str, names: Sequence[str]) -> Iterator[InstarError]:
    rounds = seen.plan.settings.rounds
    tasks = seen.sets.get("gate", ())
    size = len(tasks) // rounds
    for name in dict.fromkeys(names):
        for r in range(1, rounds + 1):
            share = tasks[(r - 1) * size : r * size] if r < rounds else tasks[(r - 1) * size :]
            if not any(t.ability == name for t in share):
                total = sum(t.ability == name for t in tasks)
                yield ConfigError(
                    f"{where} guards {name!r}, but of its {total} gate items none is among the {len(share)} of round "
                    f"{r}: no candidate could pass there.",
                    "Raise sizes.gate, or leave this ability out of the guards.",
                )
                break


def _unknown(where: str, name: str, there: Sequence[str], set_name: str) -> InstarError:
    of = f"the {set_name} set" if set_name else "any set"
    more = f" and {len(there) - MOST} more" if len(there) > MOST else ""
    return ConfigError(
        f"{where} names {name!r}, which is no ability of {of}.",
        f"{_meant(name, there)}The abilities are: {', '.join(there[:MOST]) or 'none'}{more}.",
    )


def _meant(name: str, there: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, there, n=1)
    return f"Did you mean {close[0]!r}? " if close else ""


def _abilities(tasks: Iterable[Task]) -> list[str]:
    return list(dict.fromkeys(t.ability for t in tasks))

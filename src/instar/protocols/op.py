"""What every operator is: a frozen config plus ``__call__``.

Its config *is* its identity and can be written in a file. Its id is its stable short name, its declared version and its
canonical fields; never a class path, so that a file can move.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from instar.neighbours import with_neighbours
from instar.records import Task, hash_of


def identity(value: Any) -> Any:
    """A JSON-able form of a config value in which a nested operator appears under its *own* name and fields.

    pydantic dumps a nested model by its declared type, so two different filters with equal fields would hash alike.
    """
    if isinstance(value, Op):
        former = formerly(type(value))
        fields = {
            former.get(k, k): identity(_as_ever(value, k))
            for k in type(value).model_fields
            if not _stands_out(value, k)
        }
        return {"op": value.name, "version": value.version, **fields}
    if isinstance(value, BaseModel):
        return {k: identity(getattr(value, k)) for k in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(k): identity(v) for k, v in sorted(value.items(), key=lambda kv: str(kv[0]))}
    if isinstance(value, (list, tuple)):
        return [identity(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value


def formerly(op: type[Op]) -> dict[str, str]:
    """What fields of an operator were called before: today's name to the former one, under which the identity goes on
    and which a config may still say."""
    return {k: v for k, v in op.former.items() if k in op.model_fields and v not in op.model_fields}


def _stands_out(op: Op, field: str) -> bool:
    return field in op.late and getattr(op, field) == type(op).model_fields[field].get_default()


def _as_ever(op: Op, field: str) -> Any:
    value = getattr(op, field)
    return op.once[field] if value is None and field in op.once else value


def anywhere(value: Any) -> Any:
    """An identity in which an absolute path counts by its file's name: where a project lies is not what it does. The
    same config in two folders has the same operators, seeds and answers."""
    if isinstance(value, dict):
        return {k: anywhere(v) for k, v in value.items()}
    if isinstance(value, list):
        return [anywhere(v) for v in value]
    if isinstance(value, str) and value.startswith("/") and "\n" not in value:
        return value.rstrip("/").rpartition("/")[2]
    return value


class Op(BaseModel):
    """Base of all operators. Subclasses set ``name`` (stable, short) and raise ``version`` when behaviour changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    slot: ClassVar[str] = ""
    late: ClassVar[frozenset[str]] = frozenset()
    """Fields that came after runs had been made: while they have their default they are no part of the identity, which
    therefore stays what it was."""
    once: ClassVar[Mapping[str, Any]] = {}
    """Fields whose default is None now and was a number once: the identity goes on saying that number."""
    former: ClassVar[Mapping[str, str]] = {}
    """Fields that were called otherwise once (today's name to the former one): the identity goes on saying that."""

    @property
    def op_id(self) -> str:
        return hash_of("op", anywhere(identity(self)))

    def source_digest(self) -> str:
        """A hash of the source of this operator and of the operators nested in it."""
        h = hashlib.sha256()
        for op in sorted(_nested(self), key=lambda o: (o.name, o.op_id)):
            h.update(op.own_source().encode())
        return h.hexdigest()[:32]

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Look whether all that this operator needs is there, before a token is spent: a sandbox, a library, tests in
        its tasks. Raises InstarError where it is not. ``tasks`` are those it will be handed, by set: none of them
        before they are drawn, nor where the operator is a part of another.

        Called several times, it keeps nothing and is quick. It is no part of the source digest: what is looked for
        beforehand changes nothing of what an operator does, so a run goes on when this is mended.
        """

    def own_source(self) -> str:
        """The text that the source digest covers: this class's source, without its ``prepare``, and the rest of its
        file where that is a user's. Override to cover a user's function too."""
        return _source_of(type(self))


@cache
def _source_of(cls: type[Op]) -> str:
    """A class's source without its ``prepare``: looked up once, where each map of a run asks for it. Of a class of a
    user's file, what else stands there and in what it imports from beside it follows: that decides as much."""
    try:
        own = inspect.getsource(cls)
    except (OSError, TypeError):
        return cls.__qualname__
    return _without_prepare(own) + ("" if cls.__module__.startswith("instar.") else _around(cls, own))


def _around(cls: type[Op], own: str) -> str:
    """What else stands in the file of a class and in what it imports from beside it; "" where there is no file."""
    try:
        return with_neighbours(Path(inspect.getsourcefile(cls) or "").resolve()).replace(own, "")
    except (OSError, TypeError, SyntaxError, UnicodeDecodeError):
        return ""  # written in a notebook


def _without_prepare(source: str) -> str:
    """The source of a class as it would read if it had no method ``prepare``."""
    if "def prepare(" not in source:
        return source
    lines = source.split("\n")
    (cls,) = ast.parse(textwrap.dedent(source)).body
    for node in reversed(cls.body if isinstance(cls, ast.ClassDef) else []):
        if isinstance(node, ast.FunctionDef) and node.name == "prepare":
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
            while not lines[first - 1].strip():  # the lines that set it apart
                first -= 1
            del lines[first : node.end_lineno]
    return "\n".join(lines)


def _nested(value: Any) -> list[Op]:
    if isinstance(value, Op):
        return [value, *(o for k in type(value).model_fields for o in _nested(getattr(value, k)))]
    if isinstance(value, BaseModel):
        return [o for k in type(value).model_fields for o in _nested(getattr(value, k))]
    if isinstance(value, Mapping):
        return [o for v in value.values() for o in _nested(v)]
    if isinstance(value, (list, tuple)):
        return [o for v in value for o in _nested(v)]
    return []

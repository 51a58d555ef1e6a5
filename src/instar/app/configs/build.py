"""From plain data (TOML, ``--set``) to typed settings: nested operators by name, everything else by pydantic.

An operator is written as its name (``right = "score_at_least"``), as a table with ``op`` (``{op = "not", ...}``)
or without it (changes single fields of the default), or as ``file.py:name``.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from instar.acquire.feedback.verify import Verify
from instar.acquire.tasks.prompted import Prompted
from instar.app.configs.registry import ops, unknown
from instar.app.configs.user_files import LocalFilter, is_local, load
from instar.app.configs.user_tool import OwnTool
from instar.errors import ConfigError, InstarError
from instar.legible import said
from instar.protocols import Filter, Judge, Op, Source, Tool, formerly

M = TypeVar("M", bound=BaseModel)


def build(model: type[M], given: Mapping[str, Any], *, where: str = "") -> M:
    """An instance of ``model`` from plain data. Raises ConfigError with the path, the value and what would be right."""
    given = _called_today(model, given, where)
    _refuse_unknown(model, given, where)
    values: dict[str, Any] = {}
    for name, value in given.items():
        field = model.model_fields[name]
        values[name] = _value(field.annotation, field.get_default(call_default_factory=True), value, _at(where, name))
    return _validated(model, values, where)


def build_op(slot: type[Op], value: Any, *, where: str, default: Op | None = None) -> Op:
    """The operator that ``value`` names, checked to fit the slot."""
    if isinstance(value, Op):
        return value
    if isinstance(value, str):
        value = {"op": value}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected an operator's name or a table with `op`, not {value!r}.")
    fields = dict(value)
    name = fields.pop("op", None)
    if name is None:
        if default is None:
            raise ConfigError(f"{where}: the table {value!r} names no operator.", 'Add op = "...".')
        fields = _called_today(type(default), fields, where)
        _refuse_unknown(type(default), fields, where)
        merged = {k: getattr(default, k) for k in type(default).model_fields}
        for k, v in fields.items():
            merged[k] = _value(type(default).model_fields[k].annotation, merged[k], v, _at(where, k))
        return _validated(type(default), merged, where)
    if not isinstance(name, str):
        raise ConfigError(f"{where}: op must be a name, not {name!r}.")
    if is_local(name):
        return _from_file(name, slot, fields, where)
    fitting = {n: o for n, o in ops().items() if issubclass(o, slot)}
    if name not in fitting:
        if name in ops():
            raise ConfigError(
                f"{where}: {name!r} is a {ops()[name].slot} operator; a {slot.slot} operator is wanted here.",
                f"There are: {', '.join(sorted(fitting))}.",
            )
        problem = unknown(f"{slot.slot} operator" if slot.slot else "operator", name, fitting)
        raise ConfigError(f"{where}: {problem.message}", problem.hint)
    if slot is Source and (asked := _asked(fitting[name], fields)):
        return build(Prompted, {**asked, "inner": {"op": name, **fields}}, where=where)
    return build(fitting[name], fields, where=where)


def _asked(source: type[Op], fields: dict[str, Any]) -> dict[str, Any]:
    """What the table of a source says of how its tasks are asked, taken out of ``fields``: no source has it itself."""
    theirs = [k for k in ("template", "shots") if k in fields and k not in source.model_fields]
    return {k: fields.pop(k) for k in theirs}


def _from_file(name: str, slot: type[Op], fields: Mapping[str, Any], where: str) -> Op:
    """The operator that a local name makes in a slot."""
    found = load(name)
    if isinstance(found, type) and issubclass(found, slot):
        return build(found, fields, where=where)
    if inspect.isfunction(found):
        if issubclass(Verify, slot) and slot is Judge:
            return build(Verify, {"checker": name, **fields}, where=where)
        if slot is Filter:
            return build(LocalFilter, {"function": name, **fields}, where=where)
        if slot is Tool:
            return build(OwnTool, {"function": name, **fields}, where=where)
    raise ConfigError(
        f"{where}: {name} is {type(found).__name__} and cannot be a {slot.slot} operator.",
        f"Give a subclass of instar.protocols.{slot.__name__}"
        + (", or a function." if slot in (Judge, Filter, Tool) else "."),
    )


def _value(annotation: Any, default: Any, value: Any, where: str) -> Any:
    """Replace what names an operator by the operator; leave plain data to pydantic."""
    if get_origin(annotation) in (Union, types.UnionType):
        if value is None or value == "none":
            return None
        inner = [a for a in get_args(annotation) if a is not type(None)]
        return _value(inner[0], default, value, where) if len(inner) == 1 else value
    if isinstance(annotation, type) and issubclass(annotation, Op):
        return build_op(annotation, value, where=where, default=default if isinstance(default, Op) else None)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(value, Mapping):
        if isinstance(default, annotation):
            _refuse_unknown(annotation, value, where)
            merged = {k: getattr(default, k) for k in annotation.model_fields}
            for k, v in value.items():
                merged[k] = _value(annotation.model_fields[k].annotation, merged[k], v, _at(where, k))
            return _validated(annotation, merged, where)
        return build(annotation, value, where=where)
    if get_origin(annotation) is dict and isinstance(value, Mapping):
        inside = get_args(annotation)[1]
        if isinstance(inside, type) and issubclass(inside, BaseModel):
            return {k: _value(inside, None, v, _at(where, str(k))) for k, v in value.items()}
    if get_origin(annotation) in (tuple, list):
        args = get_args(annotation)
        if args and isinstance(args[0], type) and issubclass(args[0], Op):
            if not isinstance(value, (list, tuple)):
                value = [value]
            return tuple(build_op(args[0], v, where=f"{where}[{i}]") for i, v in enumerate(value))
    return value


def _validated(model: type[M], values: Mapping[str, Any], where: str) -> M:
    for name, value in values.items():
        if name in model.model_fields and _is_no_number(model.model_fields[name].annotation, value):
            raise ConfigError(
                f"{_at(where, name)}: a number is wanted, not {str(value).lower()}.",
                "Mend the config; nothing was run.",
            )
    try:
        return model(**values)
    except ValidationError as e:
        raise ConfigError(_sentence(e, where), "Mend the config; nothing was run.") from None
    except InstarError:
        raise
    except (Exception, SystemExit) as e:  # the class may be the user's own
        raise ConfigError(f"{where or 'config'}: {model.__name__} fails: {type(e).__name__}: {said(e)}.") from e


def _is_no_number(annotation: Any, value: Any) -> bool:
    """Whether true or false stands where a number is wanted: pydantic would take them for 1 and 0."""
    args = get_args(annotation)
    if isinstance(value, bool):
        kinds = args if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
        return bool({int, float} & set(kinds)) and not {bool, Any} & set(kinds)
    if isinstance(value, Mapping) and len(args) == 2:
        return any(_is_no_number(args[1], v) for v in value.values())
    if isinstance(value, (list, tuple)) and args:
        return any(_is_no_number(args[0], v) for v in value)
    return False


def _sentence(error: ValidationError, where: str) -> str:
    parts = []
    for problem in error.errors():
        path = ".".join(str(p) for p in ((where,) if where else ()) + problem["loc"]) or "config"
        value = problem.get("input")
        shown = "" if problem["type"] == "missing" or isinstance(value, Mapping) else f" (it is {value!r:.100})"
        parts.append(f"{path}: {problem['msg'].removeprefix('Value error, ')}{shown}")
    return "; ".join(parts) + "."


def _called_today(model: type[BaseModel], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What is given under the names that an operator's fields have now. Raises ConfigError where it is given twice."""
    now = {old: new for new, old in formerly(model).items()} if issubclass(model, Op) else {}
    for old, new in now.items():
        if old in given and new in given:
            raise ConfigError(f"{_at(where, old)} and {_at(where, new)} are one setting.", f"Give {new} alone.")
    return {now.get(k, k): v for k, v in given.items()}


def _refuse_unknown(model: type[BaseModel], given: Mapping[str, Any], where: str) -> None:
    for name in given:
        if name not in model.model_fields:
            problem = unknown("key", _at(where, name), [_at(where, f) for f in model.model_fields])
            raise problem


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def defaults_of(model: type[BaseModel]) -> dict[str, Any]:
    """Field name to default, for those that have one."""
    return {
        n: f.get_default(call_default_factory=True)
        for n, f in model.model_fields.items()
        if f.default is not PydanticUndefined or f.default_factory
    }

"""Reading a config: a TOML file, a preset or a recipe's name, with ``--set`` on top, as plain data."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from instar.acquire.tasks.table import check_file, nearest
from instar.app.configs.build import defaults_of
from instar.app.configs.registry import ops, recipe_of, recipes, unknown
from instar.app.configs.relative_paths import from_beside, from_here
from instar.app.configs.run_config import RunConfig
from instar.app.configs.user_files import is_local, recipe_in
from instar.errors import ConfigError, DataError
from instar.legible import why_not

PRESETS = ("demo", "code")

DEEPEST = 50
"""Levels of nesting that a config may have."""
LONGEST_INTEGER = 13_000
"""Bits: Python refuses to read or write a number of more than 4,300 digits."""
LONGEST_FILE = 16_000_000
"""Bytes of a config file; more is another file."""


def read(target: str, sets: Sequence[str] = ()) -> dict[str, Any]:
    """The plain data of a config: a TOML file, a preset (``demo``) or a recipe's name, with ``--set`` applied.

    A file's relative paths lead from its own folder, those in ``--set`` from the current one
    (``app.configs.relative_paths``).
    """
    if target.endswith(".toml"):
        raw = from_beside(_read_toml(Path(target)), Path(target).parent)
    elif target in PRESETS:
        raw = tomllib.loads(files("instar.app.configs").joinpath(f"{target}.toml").read_text())
    elif target in recipes():
        raw = {"recipe": target}
    elif target.endswith(".py") or is_local(target):
        raw = {"recipe": recipe_in(target)}
    else:
        raise unknown("recipe, preset or .toml file", target, [*recipes(), *PRESETS])
    for one in sets:
        apply_set(raw, one)
    return raw


def apply_set(raw: dict[str, Any], assignment: str) -> None:
    """``a.b=value``: the value is TOML where it reads as TOML, else text.

    A path into a mapping that has a default (``tasks.families.chain_sum.max_terms``) changes that one value of the
    default. Assigning the whole mapping replaces it.
    """
    path, equals, text = assignment.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"--set {assignment!r} is not of the form key=value.", "For example: --set rounds=1")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    except RecursionError:
        raise ConfigError(f"--set {assignment[:80]!r}: its value is nested too deep to be read.") from None
    except ValueError:
        raise ConfigError(f"--set {assignment[:80]!r}: {_endless_number(assignment)}") from None
    *parents, last = path.strip().split(".")
    if len(parents) > DEEPEST:
        raise ConfigError(f"--set {assignment[:80]!r}: no setting lies {len(parents)} tables deep.")
    at, known = raw, _defaults(raw)
    for p in parents:
        default = known.get(p)
        nxt = at.setdefault(p, _thawed(default) if isinstance(default, Mapping) else {})
        if isinstance(nxt, str):  # an operator given by its name alone becomes a table, so that a field can be set
            nxt = at[p] = {"op": nxt}
        if not isinstance(nxt, dict):
            raise ConfigError(f"--set {assignment!r}: {p!r} is {nxt!r:.80}, not a table.")
        at, known = nxt, _below(default, nxt.get("op"))
    at[last] = from_here(value)


def refuse_unstorable(value: Any, where: str = "", depth: int = 0) -> None:
    """Raises ConfigError for what is in TOML but not in JSON, the form that a run's config is stored in."""
    if depth > DEEPEST:
        raise ConfigError(f"{where:.80}: it is nested deeper than {DEEPEST}, and no setting is.", "Mend the config.")
    if isinstance(value, Mapping):
        for k, v in value.items():
            refuse_unstorable(str(k), f"a key in {where or 'the config'}")
            refuse_unstorable(v, f"{where}.{k}" if where else str(k), depth + 1)
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            refuse_unstorable(v, f"{where}[{i}]", depth + 1)
    elif isinstance(value, str):
        if why := why_not(value):
            raise ConfigError(f"{where}: the text {why}.", "Mend the config.")
    elif isinstance(value, int) and value.bit_length() > LONGEST_INTEGER:
        raise ConfigError(f"{where}: a whole number of {value.bit_length():,} bits is no setting.", "Mend the config.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: a finite number is wanted, not {value}.")
    elif value is not None and not isinstance(value, (str, int, float)):
        raise ConfigError(f"{where}: {value} is a {type(value).__name__}, which no setting takes.", "Write it as text.")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        check_file(path)
        if path.stat().st_size > LONGEST_FILE:
            raise ConfigError(f"{path} has {path.stat().st_size / 1e6:,.0f} MB: it is no config.")
        raw = tomllib.loads(path.read_text())
        refuse_unstorable(raw)
        return raw
    except DataError as e:
        raise ConfigError(e.message, e.hint) from None
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path} (looked in {Path.cwd()}).{nearest(path)}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deep to be read.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise ConfigError(f"{path} is not valid TOML: {e}.") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        raise ConfigError(f"{path}, {_endless_number(path.read_text())}") from None
    except OSError as e:
        raise ConfigError(f"{path} cannot be read: {e.strerror}.") from None


def _endless_number(toml: str) -> str:
    """Where a text has the whole number that is too long for Python to read, in our words."""
    for number, line in enumerate(toml.splitlines(), 1):
        if found := re.search(r"\d[\d_]{4300,}", line):
            what = f"a whole number of {len(found[0]):,} digits is no setting."
            return f"line {number} ({line[: found.start()][:60].strip()} ...): {what}"
    return "it holds a number that cannot be read."


def _defaults(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What each key of a config is if it is not given."""
    name = str(raw.get("recipe"))
    recipe = recipe_of(name) if is_local(name) else recipes().get(name)
    return {**defaults_of(RunConfig), **(defaults_of(recipe.config) if recipe else {})}


def _below(default: Any, op: Any) -> dict[str, Any]:
    """What each key below a default is if it is not given; an operator given by name brings its own defaults."""
    if isinstance(op, str):
        return defaults_of(ops()[op]) if op in ops() else {}
    if isinstance(default, BaseModel):
        return {k: getattr(default, k) for k in type(default).model_fields}
    return dict(default) if isinstance(default, Mapping) else {}


def _thawed(value: Any) -> Any:
    """A copy of plain data that can be changed."""
    if isinstance(value, Mapping):
        return {str(k): _thawed(v) for k, v in value.items()}
    return [_thawed(v) for v in value] if isinstance(value, (list, tuple)) else value

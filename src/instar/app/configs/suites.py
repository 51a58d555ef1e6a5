"""The suites of a config as people write them, spelled out: a path, a name of what comes with instar, texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instar.app.configs.registry import unknown
from instar.errors import ConfigError
from instar.evaluate.perplexity import PerplexityBudget
from instar.records import suite_kind

READ_BY = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}
"""The source of a suite that is given as a path, by the end of the file's name."""
BUNDLED = "bundled"
"""What a suite says that takes the items of its name that come with instar."""
TEXT = "guard:text"
"""The guard whose items are texts, and whose measure is their perplexity."""
BUNDLES: Mapping[str, tuple[int, float]] = {
    "facts": (170, 0.1), "instructions": (200, 0.1), "simple": (230, 0.1), "arithmetic": (350, 0.1), "all": (950, 0.03),
}  # fmt: skip
"""The guards that come with instar: how many items of each, and the budget that so many can hold."""


def spelled_out(given: Any) -> dict[str, Any]:
    """The suites of a config, each as a table. Raises ConfigError for a name that is none, and for a path of a file
    that no source reads."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"suites: tables by name are wanted, not {given!r:.80}.", 'Write [suites."guard:NAME"].')
    found: dict[str, Any] = {}
    for name, value in given.items():
        if suite_kind(name) is None:
            raise ConfigError(
                f"{name!r:.80} is no name of a suite.",
                "Write guard:NAME or attack:NAME; NAME has letters, digits, - and _, at most 60.",
            )
        if isinstance(value, str):
            source = READ_BY.get(Path(value).suffix.lower())
            if value == BUNDLED:
                found[name] = _bundled(name)
                continue
            if source is None:
                raise ConfigError(
                    f"suites.{name}: {value!r:.200} is no file that is read by its name alone.",
                    f"Give the path of a {', '.join(READ_BY)} file, or a table with tasks = {{ op = ... }}.",
                )
            value = {"tasks": {"op": source, "path": value}}
        found[name] = value
    return found


def of_text(suites: Any) -> dict[str, Any]:
    """The suites and the budget of texts of a config whose ``guard:text`` are the texts that come with instar, given as
    "bundled" or as a table of the budget's settings alone; nothing for any other."""
    given = suites.get(TEXT) if isinstance(suites, Mapping) else None
    if given != BUNDLED and not (isinstance(given, Mapping) and set(given) <= set(PerplexityBudget.model_fields)):
        return {}
    settings = {} if given == BUNDLED else dict(given)
    others = {name: value for name, value in suites.items() if name != TEXT}
    return {"suites": others, "text_budget": {"op": PerplexityBudget.name, **settings}}


def _bundled(name: str) -> dict[str, Any]:
    """The suite of items that comes with instar, with a budget."""
    kind = name.partition(":")[2]
    if kind not in BUNDLES or suite_kind(name) != "guard":
        raise unknown("bundled suite", name, [f"guard:{k}" for k in BUNDLES])
    size, margin = BUNDLES[kind]
    return {
        "tasks": {"op": "guard_items", "of": kind}, "size": size, "margin": margin,
        "judge": {"op": "verify", "checker": "guard_item", "extract": "text"},
        "budget": {"op": "forgetting_budget", "margin": margin},
    }  # fmt: skip

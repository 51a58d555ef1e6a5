"""The law of identity: what a record, an operator, a policy, a key or an ask hashes to never changes.

Ledgers hang on it: an id that moves makes a run that was made before unreadable, or resumes it as another one. A new
field stands out of the hash while it has its default (see ``Solution.content``); an operator that now does something
else raises its ``version`` and gets an entry beside the old one. What was made once is in ``identity.json``.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from instar.app.configs.config_file import PRESETS
from instar.app.configs.registry import BUILT_IN
from instar.recipes import RECIPES
from instar.records import KINDS, Record, hash_of
from tests.laws import identity
from tests.laws.identity import EXAMPLES, FUNCTIONS, added, moved, pinned
from tests.laws.source import ROOT


def unpinned(records: dict[str, type[Record]], operators: list[str], configs: list[str]) -> list[str]:
    """One sentence for everything that has an identity and no entry."""
    known = pinned()
    wanted = [f"record: {kind}, {which}" for kind in records for which in ("the least", "everything")]
    wanted += [f"operator: {name}" for name in operators]
    wanted += [f"{what}: {name}" for name in configs for what in ("config", "operators of")]
    wanted += list(EXAMPLES)
    return [
        f"{n}: is not pinned; python -m tests.laws.identity adds it" for n in dict.fromkeys(wanted) if n not in known
    ]


def untouched(kinds: dict[str, type[Record]]) -> list[str]:
    """One sentence for every field (of a record, or of what it holds) that no pinned example gives another value than
    its default: what it adds to the digest could change unseen. The id is no part of it."""
    given = [e["given"] for e in pinned().values() if e["of"] == "digest"]
    seen: dict[type[BaseModel], list[BaseModel]] = {}
    for kind, fields in given:
        if kind in kinds:
            _walk(kinds[kind].model_validate_json(json.dumps(fields)), seen)
    return [
        f"{cls.__name__}.{name}: no pinned example has it at another value than {default!r}"
        for cls, examples in seen.items()
        for name, field in cls.model_fields.items()
        for default in [field.get_default(call_default_factory=True)]
        if name != "id" and not any(getattr(e, name) != default for e in examples)
    ]


def _walk(value: Any, seen: dict[type[BaseModel], list[BaseModel]]) -> None:
    if isinstance(value, BaseModel):
        seen.setdefault(type(value), []).append(value)
        for name in type(value).model_fields:
            _walk(getattr(value, name), seen)
    elif isinstance(value, (list, tuple)):
        for v in value:
            _walk(v, seen)
    elif isinstance(value, Mapping):
        for v in value.values():
            _walk(v, seen)


def none(found: list[str]) -> None:
    """Show every sentence, not the first few, when there is one."""
    assert not found, "\n".join([f"{len(found)} against the law", *found])


def test_nothing_is_another_thing_than_it_was() -> None:
    none(moved(pinned()))


def test_every_kind_operator_recipe_and_preset_is_pinned() -> None:
    none(unpinned(KINDS, [c.name for c in BUILT_IN], [*RECIPES, *PRESETS]))


def test_every_field_of_every_kind_is_in_a_pinned_example() -> None:
    none(untouched(KINDS))


def test_every_pinned_example_says_which_function_and_every_function_has_an_example() -> None:
    assert {e["of"] for e in pinned().values()} == set(FUNCTIONS)
    assert all(set(e) == {"of", "given", "is"} for e in pinned().values())


def test_no_entry_of_the_file_was_changed_or_taken_out_since_it_was_made() -> None:
    """The first version in git is the one that counts; an entry may only be added."""
    where = "tests/laws/identity.json"
    log = subprocess.run(["git", "log", "--format=%H", "--", where], capture_output=True, text=True, cwd=ROOT)
    commits = log.stdout.split()
    if log.returncode or not commits:  # not a clone, or not committed yet: there is nothing to compare with
        return
    first = subprocess.run(["git", "show", f"{commits[-1]}:{where}"], capture_output=True, text=True, cwd=ROOT)
    assert json.loads(first.stdout)["identities"].items() <= pinned().items()


# --- planted ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "field"), [("operator: sft", "is"), ("record: task, everything", "given")])
def test_an_identity_that_moved_is_found_and_the_file_refuses_to_follow_it(name: str, field: str) -> None:
    entries = copy.deepcopy(pinned())
    if field == "is":
        entries[name]["is"] = "i1:another"
    else:
        entries[name]["given"][1]["ability"] = "subtract"
    assert [m for m in moved(entries) if m.startswith(f"{name}: was ")] == moved(entries) != []
    with pytest.raises(ValueError, match="identity is frozen; nothing is written"):
        added(entries)


def test_what_cannot_be_made_any_more_has_moved_too() -> None:
    gone = {"operator: gone": {"of": "op", "given": [{"op": "gone"}], "is": "i1:x"}}
    assert "operator: gone: cannot be made any more: ConfigError" in moved(gone)[0]


def test_a_new_kind_operator_or_field_without_an_entry_is_found() -> None:
    class Wider(KINDS["decision"]):  # type: ignore[name-defined,misc]
        colour: str = "red"

    class Novel(Record):
        kind: ClassVar[str] = "novel"

    assert len(unpinned({"novel": Novel}, ["new_op"], ["new_recipe"])) == 5
    assert untouched({"decision": Wider}) == ["Wider.colour: no pinned example has it at another value than 'red'"]


def test_a_new_field_that_does_not_stand_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wider(KINDS["decision"]):  # type: ignore[name-defined,misc]
        colour: str = "red"

    monkeypatch.setitem(KINDS, "decision", Wider)
    assert [m.split(":")[1].split(",")[0].strip() for m in moved(pinned())] == ["decision", "decision"]


def test_the_file_takes_what_is_new_and_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXAMPLES, "hash: a new one", ("hash_of", ["new"]))
    entries = added(pinned())
    assert entries.pop("hash: a new one") == {"of": "hash_of", "given": ["new"], "is": hash_of("new")}
    assert entries == pinned()
    of, given = EXAMPLES["hash: of nothing"]
    other: dict[str, tuple[str, list[Any]]] = {**EXAMPLES, "hash: of nothing": (of, [*given, 1])}
    monkeypatch.setattr(identity, "EXAMPLES", other)
    with pytest.raises(ValueError, match="hash: of nothing: another example has this name"):
        added(pinned())

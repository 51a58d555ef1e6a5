"""What came of attacks on a run's memory, kept beside its ledger: an attack is no part of the run, and changes no
record of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from instar.errors import StoreError

FILE = "attacks.json"


def attacks(folder: Path) -> list[dict[str, Any]]:
    """All that are kept of the run in ``folder``, the last one last. Raises StoreError for a file that is not one."""
    path = folder / FILE
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise StoreError(f"{path} cannot be read: {e}", "Delete it; instar memory attack writes it anew.") from e
    if not isinstance(found, list) or not all(isinstance(x, dict) and "rows" in x for x in found):
        raise StoreError(f"{path} holds no attacks on a memory.", "Delete it; instar memory attack writes it anew.")
    return found


def keep_attack(folder: Path, attack: dict[str, Any]) -> None:
    """Keep an attack, in place of an earlier one of the same kind on the same policy. What cannot be read is lost."""
    try:
        before = attacks(folder)
    except StoreError:
        before = []
    same = {k: attack.get(k) for k in ("policy", "how", "planted", "seed", "tasks")}
    others = [x for x in before if {k: x.get(k) for k in same} != same]
    part = folder / f"{FILE}.part"
    part.write_text(json.dumps([*others, attack], indent=1), encoding="utf-8")
    os.replace(part, folder / FILE)

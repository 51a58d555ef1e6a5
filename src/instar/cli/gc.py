"""``instar gc``: what could be removed, and with ``--yes`` its removal."""

from __future__ import annotations

import json

from instar.app.retention import Rule, remove, sweep
from instar.errors import ConfigError

RULES: dict[str, Rule] = {"results": "results", "promoted": "promoted"}


def collect(*, yes: bool, keep: str, orphans: bool, as_json: bool, quiet: bool) -> None:
    """List what nobody needs; remove it only when told to."""
    if keep not in RULES:
        raise ConfigError(f"there is no retention rule {keep!r}.", f"There are: {', '.join(RULES)}.")
    found = sweep(RULES[keep], orphans=orphans)
    freed = remove(found) if yes else 0
    if as_json:
        rows = [{"path": str(x.path), "bytes": x.bytes, "kind": x.kind, "reason": x.reason} for x in found.gone]
        print(json.dumps({"remove": rows, "bytes": found.bytes, "freed": freed, "notes": found.kept}, indent=1))
        return
    if not quiet:
        for x in found.gone:
            print(f"  {x.bytes / 1e6:>9,.1f} MB  {x.path}\n                {x.reason}")
        for note in found.kept:
            print(f"  note: {note}")
    if yes:
        print(f"freed {freed / 1e9:.2f} GB")
    elif found.gone:
        print(f"would free {found.bytes / 1e9:.2f} GB in {len(found.gone)} places: instar gc --yes")
    else:
        print("nothing to remove")

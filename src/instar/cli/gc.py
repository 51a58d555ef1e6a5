"""``instar gc``: what could be removed, and with ``--yes`` its removal."""

from __future__ import annotations

import json

from instar.app.storage.retention import remove, sweep
from instar.cli.plain import aloud


def collect(*, yes: bool, orphans: bool, as_json: bool, quiet: bool) -> None:
    """List what nobody needs; remove it only when told to."""
    found = sweep(orphans=orphans)
    freed = remove(found) if yes else 0
    if as_json:
        rows = [{"path": str(x.path), "bytes": x.bytes, "kind": x.kind, "reason": x.reason} for x in found.gone]
        print(json.dumps({"remove": rows, "bytes": found.bytes, "freed": freed, "notes": found.kept}, indent=1))
        return
    if not quiet:
        for x in found.gone:
            aloud(f"  {x.bytes / 1e6:>9,.1f} MB  {x.path}\n                {x.reason}")
        for note in found.kept:
            aloud(f"  note: {note}")
    if yes:
        aloud(f"freed {freed / 1e9:.2f} GB")
    elif found.gone:
        aloud(f"would free {found.bytes / 1e9:.2f} GB in {len(found.gone)} places: instar gc --yes")
    else:
        aloud("nothing to remove")

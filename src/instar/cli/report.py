"""``instar report``: a run as one HTML file."""

from __future__ import annotations

import json
from pathlib import Path

from instar.cli.plain import aloud
from instar.errors import ConfigError
from instar.report.page import write_report


def make_report(folder: Path, out: Path | None, *, as_json: bool) -> None:
    """Write the report and say where it is."""
    target = out or Path(f"{folder.resolve().name}.html")
    if target.is_dir():
        target = target / f"{folder.resolve().name}.html"
    if not target.parent.is_dir():
        raise ConfigError(f"there is no folder {target.parent} to write the report to.", "Make it, or give another -o.")
    write_report(folder, target)
    size = target.stat().st_size
    if as_json:
        print(json.dumps({"report": str(target.resolve()), "bytes": size}))
    else:
        aloud(f"{target} ({size / 1e6:.1f} MB; one file, open it in any browser)")

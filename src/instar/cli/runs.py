"""``instar runs`` and ``instar rm``: which runs there are, and their removal."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from instar.app.storage.paths import runs_folder
from instar.cli.plain import aloud, plain
from instar.errors import ConfigError, LockError
from instar.run.progress import clock
from instar.store.lock import WriterLock, holder_of
from instar.web.runs import folder_of, runs_in


def list_runs(*, as_json: bool, quiet: bool) -> None:
    """A line for each run, and one under it for what a stopped or failed one ended with."""
    found = runs_in(runs_folder())
    if as_json:
        print(json.dumps(found, indent=1))
        return
    if not found:
        aloud(f"there is no run in {runs_folder()}; start one: instar run demo")
    width = max((len(plain(r["name"])) for r in found), default=0)
    for r in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(r["started"])) if r["started"] else "-"
        aloud(f"{plain(r['name']):<{width}}  {when:<16}  {_came_to(r)}")
        why = r["error"] or r["why"]
        if why and not quiet:
            line = " ".join(plain(str(why)).split())
            aloud(f"    {line if len(line) <= 160 else line[:159] + '…'}")


def remove_runs(names: Sequence[str], *, yes: bool, as_json: bool, quiet: bool) -> None:
    """Say what would go; remove it only when told to. Raises ConfigError for a name that is no run's, LockError for a
    run that is at work; then nothing is removed."""
    root = runs_folder()
    folders = [(name, _folder(root, name)) for name in dict.fromkeys(names)]
    sizes = {name: sum(f.lstat().st_size for f in folder.rglob("*") if not f.is_dir()) for name, folder in folders}
    with ExitStack() as held:  # all of them, before the first goes: nobody begins to write what is being removed
        for _, folder in folders if yes else ():
            held.enter_context(WriterLock(folder / "lock"))
        for name, folder in folders if yes else ():
            _remove(folder)
            if not (as_json or quiet):
                aloud(f"removed {name} ({sizes[name] / 1e6:,.1f} MB)")
    if as_json:
        print(json.dumps({"runs": sizes, "removed": yes}, indent=1))
    elif not yes:
        for name, _ in folders:
            aloud(f"  {sizes[name] / 1e6:>9,.1f} MB  {name}")
        aloud(f"would remove {len(sizes)} run{'s' if len(sizes) != 1 else ''}: instar rm {' '.join(sizes)} --yes")
    elif not quiet:
        aloud("weights that no run needs any more: instar gc --orphans")


def _remove(folder: Path) -> None:
    """The lock goes last: it is held as long as there is anything that could be written."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()
    shutil.rmtree(folder)


def _folder(root: Path, name: str) -> Path:
    folder = folder_of(root, name)
    if folder is None or folder.is_symlink():
        raise ConfigError(f"there is no run {name!r} in {root}.", "instar runs lists them.")
    if holder_of(folder / "lock") is not None:
        raise LockError(f"the run {name!r} is at work.", "Stop it first (Ctrl-C where it runs).")
    return folder


def _came_to(r: dict[str, Any]) -> str:
    if r["error"]:
        return "unreadable"
    what = f"{r['status']:<9} {r['recipe'] or '?'} on {r['model'] or '?'}, {clock(r['seconds'])}"
    x = r["sealed"]
    if not x:
        return what
    if r["unchanged"]:
        return f"{what}: unchanged, {x['base']:.1%}"
    return f"{what}: {x['base']:.1%} -> {x['final']:.1%} ({100 * x['gain']:+.1f})"

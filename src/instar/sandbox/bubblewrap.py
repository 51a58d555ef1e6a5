"""Walls made by bubblewrap, the program that Flatpak's are made by; ``seal`` then does the rest inside them."""

from __future__ import annotations

import shutil
from pathlib import Path

from instar.sandbox import seal
from instar.sandbox.jail import DEVICES
from instar.sandbox.view import View


def found() -> str | None:
    """Where bubblewrap is, if it is installed."""
    return shutil.which("bwrap")


def argv(program: str, seen: View, root: bool) -> list[str]:
    """The command line up to the spec, which is its last argument.

    Root needs no user namespace to make the walls,
    and ``seal`` makes one around the program; a user gets his from bubblewrap.
    """
    binds, links = seen.binds, seen.links
    line = [program, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"]
    line += [] if root else ["--unshare-user", "--uid", str(seal.UID), "--gid", str(seal.UID)]
    line += ["--die-with-parent", "--cap-add", "ALL", "--clearenv"]
    for folder in sorted(
        {str(Path(inside).parent) for _, inside in [*links, *((s, i) for s, i in binds if s)]} - {"/"}
    ):
        line += ["--perms", "0755", "--dir", folder]
    for name in ("LD_LIBRARY_PATH",):
        line += ["--setenv", name, seen.env[name]] if name in seen.env else []
    for source, inside in [*binds, [str(Path(seal.__file__).resolve()), "/seal.py"]]:
        line += ["--ro-bind", source, inside] if source else ["--tmpfs", inside, "--remount-ro", inside]
    for device in DEVICES:
        line += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for target, link in links:
        line += ["--symlink", target, link]
    line += ["--proc", "/proc", "--dir", seal.BOX, "--remount-ro", "/", "--chdir", "/"]
    return [*line, "--", seen.python, "-I", "-S", "/seal.py"]

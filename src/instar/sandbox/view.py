"""What of the host a program sees: system libraries and programs, a Python without packages; nothing that is yours."""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from instar.sandbox import seal

PATH = "/pybin:/usr/bin:/bin"


@dataclass(frozen=True)
class View:
    """The file system inside: what is bound to where (host path, path inside; no host path hides what is there), links
    (what they point at, where they are), the interpreter's path inside, and the environment."""

    binds: list[list[str]]
    links: list[list[str]]
    python: str
    env: dict[str, str]


@cache
def view() -> View:
    """The view for this interpreter. Its standard library is seen, installed packages are not."""
    base = Path(sys.base_prefix).resolve()
    real = Path(os.path.realpath(sys.executable))
    in_usr = base == Path("/usr") or Path("/usr") in base.parents
    home = str(base) if in_usr else "/python"
    binds = [["/usr", "/usr"], *([] if in_usr else [[str(base), home]])]
    links = [
        [f"{seal.BOX}/tmp", "/tmp"], [f"{seal.BOX}/shm", "/dev/shm"], ["/proc/self/fd", "/dev/fd"],
        ["/proc/self/fd/0", "/dev/stdin"], ["/proc/self/fd/1", "/dev/stdout"], ["/proc/self/fd/2", "/dev/stderr"],
    ]  # fmt: skip
    for top in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if os.path.islink(top):
            links.append([os.readlink(top), top])
        elif os.path.isdir(top):
            binds.append([top, top])
    if os.path.exists("/etc/ld.so.cache"):
        binds.append(["/etc/ld.so.cache", "/etc/ld.so.cache"])
    library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    for packages, inside in (
        (base / library / "site-packages", f"{home}/{library}/site-packages"),
        (base / library / "dist-packages", f"{home}/{library}/dist-packages"),
        (Path("/usr/lib/python3/dist-packages"), "/usr/lib/python3/dist-packages"),
        (Path("/usr/local") / library / "dist-packages", f"/usr/local/{library}/dist-packages"),
    ):
        if packages.is_dir() and inside.startswith((home, "/usr/")):
            binds.append(["", inside])
    python = home + str(real).removeprefix(str(base))
    links += [[python, "/pybin/python"], [python, "/pybin/python3"]]
    env = {
        "PATH": PATH, "HOME": seal.WORK, "TMPDIR": f"{seal.BOX}/tmp", "LANG": "C.UTF-8", "USER": "nobody",
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0",
    }  # fmt: skip
    if not in_usr and sysconfig.get_config_var("Py_ENABLE_SHARED"):
        env["LD_LIBRARY_PATH"] = f"{home}/lib"
    return View(binds, links, python, env)

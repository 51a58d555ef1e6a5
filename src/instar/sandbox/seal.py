"""The last steps inside the walls: a bounded scratch, no rights, limits, the system call filter, then the program.

Standard library alone, and no other module of ours: inside a bubblewrap this file is all there is of instar.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

UID = 1000
"""Who the program is inside. Outside it is the user that started the run or, for root, an id that nobody has."""
BOX = "/box"
WORK = "/box/work"
SEALED = b"sealed"
"""Said to the keeper when all walls stand and the program begins."""

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
_PDEATHSIG, _DUMPABLE, _SECCOMP, _CAPBSET_DROP, _NO_NEW_PRIVS = 1, 4, 22, 24, 38

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raises OSError with the kernel's reason when a call of libc failed."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError naming the target."""
    done = libc.mount(
        source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    check(done, f"mount {kind or source} on {target}")


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    check(libc.unshare(flags), "unshare")


def prctl(option: int, value: int) -> None:
    """prctl(2). Raises OSError."""
    check(libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)), "prctl")


def die_with_parent() -> None:
    """SIGKILL for this process when the one that forked it ends."""
    prctl(_PDEATHSIG, signal.SIGKILL)


def map_user(inside: int, uid: int, gid: int) -> None:
    """In a user namespace just made: one user and one group, which are ``inside`` here and ``uid``, ``gid`` outside."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{inside} {uid} 1"), ("gid_map", f"{inside} {gid} 1")):
        file = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(
            file, text.encode()
        )  # no text mode: the codec would be imported from a library that may be out of sight
        os.close(file)


def finish(spec: dict[str, Any]) -> None:
    """Seal this process for good and become the program. Does not return; raises OSError when a step is refused."""
    # the host's uptime, memory, modules and command line are none of a program's business
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "subset=pid")
    mount(
        "tmpfs", BOX, "tmpfs", MS_NOSUID | MS_NODEV,
        f"size={spec['disk']},nr_inodes={spec['inodes']},mode=0700,uid={spec['outside'] or UID},"
        f"gid={spec['outside'] or UID}",
    )  # fmt: skip
    os.setsid()
    if spec["outside"]:  # root: become somebody who owns nothing, then nobody's namespace around him
        os.setgroups([])
        os.setresgid(spec["outside"], spec["outside"], spec["outside"])
        drop_bounding_set()
        os.setresuid(spec["outside"], spec["outside"], spec["outside"])
        prctl(_DUMPABLE, 1)  # or /proc/self is root's
        unshare(NEWUSER)
        map_user(UID, spec["outside"], spec["outside"])
    drop_bounding_set()
    drop_rights()
    os.umask(0o077)
    for folder in (WORK, f"{BOX}/tmp", f"{BOX}/shm"):
        os.mkdir(folder)
    os.chdir(WORK)
    write_files()
    for name, value in spec["rlimits"].items():
        limit = getattr(resource, name)
        most = resource.getrlimit(limit)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (value, value))
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                continue
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    close_all_but(spec["tell"])
    prctl(_NO_NEW_PRIVS, 1)
    program = base64.b64decode(spec["filter"])
    os.set_inheritable(spec["tell"], False)
    filter_calls(program)
    os.write(spec["tell"], SEALED)  # the program never holds this end: what is said here cannot be forged
    try:
        os.execvpe(spec["command"][0], spec["command"], spec["env"])
    except OSError as error:
        os.write(2, f"{spec['command'][0]}: {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def close_all_but(kept: int) -> None:
    """Close every descriptor above stderr but one."""
    os.closerange(3, kept)
    os.closerange(kept + 1, 4096)


def fail(spec: dict[str, Any], error: BaseException) -> None:
    """Say why the walls could not be set up, and end."""
    reason = f"{error}".encode()[:1000]
    os.write(spec["tell"], reason)
    os.write(2, b"instar-sandbox: " + reason + b"\n")
    os._exit(125)


def drop_bounding_set() -> None:
    """No capability can come back, not even by a set-uid program."""
    for number in range(64):
        libc.prctl(_CAPBSET_DROP, ctypes.c_ulong(number), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))


def drop_rights() -> None:
    """Lay down every capability in this user namespace."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    none = (ctypes.c_uint32 * 6)()
    check(libc.capset(header, none), "capset")


def filter_calls(program: bytes) -> None:
    """Put the system call filter on, for good. An empty program does nothing."""
    if not program:
        return

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))

    held = Program(len(program) // 8, program)
    check(libc.prctl(_SECCOMP, ctypes.c_ulong(2), ctypes.byref(held), ctypes.c_ulong(0), ctypes.c_ulong(0)), "seccomp")


def write_files() -> None:
    """The files of a run, from the head of stdin, into the working folder; what follows is the program's stdin.

    A frame of 8 bytes that say how long a JSON list of [path, size] is, the list, and the contents in that order. The
    paths were checked outside.
    """
    for path, size in json.loads(_read(int.from_bytes(_read(8), "big"))):
        if os.path.dirname(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            left = size
            while left:
                left -= file.write(_read(min(left, 2**20)))


def _read(size: int) -> bytes:
    """Exactly so many bytes of stdin and not one more."""
    parts: list[bytes] = []
    while size:
        part = os.read(0, size)
        if not part:
            raise OSError(5, "the files of this run ended early")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def main() -> None:
    """What bubblewrap starts: the spec is the only argument."""
    spec = json.loads(sys.argv[1])
    try:
        finish(spec)
    except BaseException as error:
        fail(spec, error)


if __name__ == "__main__":
    main()

"""Walls made of plain namespaces: a file system of our own making, no network, no other process in sight.

Needs no program: unshare, mount and pivot_root by libc. Works as root, and as a user where the kernel lets users make
user namespaces.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from instar.sandbox import seal

DEVICES = ("null", "full", "random", "urandom")
"""Not zero: mapped as shared it is memory that no process is charged for."""
_MOUNT_SETATTR, _AT_RECURSIVE = 442, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4


def enter(spec: dict[str, Any]) -> int:
    """Fork a process that makes the walls and becomes the program inside them. Returns its pid. It ends when the
    program has ended, with the program's exit code, or 125 when the walls could not be made."""
    pid = os.fork()
    if pid:
        return pid
    try:
        seal.close_all_but(spec["tell"])
        seal.die_with_parent()
        kinds = seal.NEWNS | seal.NEWPID | seal.NEWNET | seal.NEWIPC | seal.NEWUTS | seal.NEWCGROUP
        if spec["outside"]:
            seal.unshare(kinds)
        else:
            uid, gid = os.geteuid(), os.getegid()
            seal.unshare(kinds | seal.NEWUSER)
            seal.map_user(seal.UID, uid, gid)
            seal.die_with_parent()  # a change of rights clears it
        first = os.fork()
        if first == 0:
            _first(spec)
        os._exit(_wait(first))
    except BaseException as error:
        seal.fail(spec, error)
    return 0


def _first(spec: dict[str, Any]) -> None:
    """Process 1 of the new world: builds it, starts the program, and takes everything with it when that ends."""
    try:
        seal.die_with_parent()
        build(spec["binds"], spec["links"])
        program = os.fork()
        if program == 0:
            seal.finish(spec)
        null = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        if spec["outside"]:  # nothing that the program could signal, trace or read must stay as root
            os.setresgid(spec["outside"] + 1, spec["outside"] + 1, spec["outside"] + 1)
            os.setresuid(spec["outside"] + 1, spec["outside"] + 1, spec["outside"] + 1)
        os._exit(_wait(program))
    except BaseException as error:
        seal.fail(spec, error)


def build(binds: list[list[str]], links: list[list[str]]) -> None:
    """A read-only file system that holds these host folders (host path, or nothing for an empty one; path inside) and
    links, and little else."""
    base = "/tmp" if os.path.isdir("/tmp") else "/mnt"
    seal.mount("none", "/", flags=seal.MS_REC | seal.MS_PRIVATE)
    seal.mount("tmpfs", base, "tmpfs", seal.MS_NOSUID | seal.MS_NODEV, "size=1m,mode=0755")
    os.mkdir(f"{base}/old")
    os.mkdir(f"{base}/new")
    seal.mount("tmpfs", f"{base}/new", "tmpfs", seal.MS_NOSUID | seal.MS_NODEV, "size=1m,mode=0755")
    os.chdir(base)
    seal.check(seal.libc.pivot_root(b".", b"old"), "pivot_root")
    os.chdir("/")
    for source, inside in binds:
        _bind(f"/old{source}", f"/new{inside}")
    os.makedirs("/new/dev", exist_ok=True)
    for device in DEVICES:
        _bind(f"/old/dev/{device}", f"/new/dev/{device}", device=True)
    for target, link in links:
        os.makedirs(os.path.dirname(f"/new{link}"), exist_ok=True)
        os.symlink(target, f"/new{link}")
    os.mkdir("/new/box", 0o755)
    os.mkdir("/new/proc", 0o755)
    # a new proc may be mounted by a user only where an old one is in sight, so before the old root goes
    seal.mount("proc", "/new/proc", "proc", seal.MS_NOSUID | seal.MS_NODEV | seal.MS_NOEXEC)
    os.chdir("/new")
    seal.check(seal.libc.pivot_root(b".", b"."), "pivot_root")
    seal.check(seal.libc.umount2(b".", 2), "umount of the old root")
    os.chdir("/")
    seal.mount("none", "/", flags=seal.MS_REMOUNT | seal.MS_BIND | seal.MS_RDONLY | seal.MS_NOSUID | seal.MS_NODEV)


def _bind(source: str, target: str, *, device: bool = False) -> None:
    if source == "/old":  # nothing there: an empty folder hides what the one below it holds
        flags = seal.MS_RDONLY | seal.MS_NOSUID | seal.MS_NODEV
        seal.mount("tmpfs", target, "tmpfs", flags, "size=4k,mode=0755")
        return
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    seal.mount(source, target, flags=seal.MS_BIND | seal.MS_REC)
    attributes = _ATTR_NOSUID | (0 if device else _ATTR_RDONLY | _ATTR_NODEV)
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    done = seal.libc.syscall(
        ctypes.c_long(_MOUNT_SETATTR), ctypes.c_int(-100), target.encode(), ctypes.c_uint(_AT_RECURSIVE),
        ctypes.byref(wanted), ctypes.c_size_t(32),
    )  # fmt: skip
    seal.check(done, f"mount_setattr of {target} (it needs Linux 5.12)")


def _wait(pid: int) -> int:
    """Reap whatever ends until this process does; its exit code, 128 + the signal for one that was killed."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code

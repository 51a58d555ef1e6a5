"""A second filter, for a program that is tested by a process beside it: it cannot end its tester, nor pretend that
somebody ended it.

Standard library alone, and no other module of ours: it is run inside the walls. What is left to a program is every
other way to end: by itself, by any signal but SIGKILL, by its limits. So a SIGKILL came from outside.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

Line = tuple[int, int, int, int]
_LOAD, _EQUAL, _JUMP, _AND, _RETURN = 0x20, 0x15, 0x05, 0x54, 0x06
_ALLOW, _EPERM = 0x7FFF0000, 0x00050000 | 1
_FIRST, _SECOND, _THIRD = 16, 24, 32  # where a call's arguments lie
_SIGKILL, _CPU = 9, 0
_COLUMN = {"x86_64": 0, "aarch64": 1}
# x86-64 first, then the number on arm64 (asm-generic)
_KILL, _TKILL, _TGKILL = (62, 129), (200, 130), (234, 131)
_WHOLLY = {
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424),
    "timer_create": (222, 107), "seccomp": (317, 277),
}  # fmt: skip
_SETRLIMIT, _PRLIMIT, _FCNTL, _IOCTL, _CLONE, _PRCTL = (160, 164), (302, 261), (72, 25), (16, 29), (56, 220), (157, 167)


def program(protected: Sequence[int], own: int, machine: str) -> bytes:
    """The filter as classic BPF for the process ``own``, which leads a session of its own, and all it starts.

    ``protected``: processes, the leader of their group first, that get no signal and no limit from it.
    """
    if machine not in _COLUMN:
        return b""
    c = _COLUMN[machine]
    lines: list[Line] = [(_LOAD, 0, 0, 0)]
    for numbers in _WHOLLY.values():
        lines += _refused(numbers[c])
    them, itself = [*protected, -protected[0], -1], [own, -own, 0]
    for numbers in (_KILL, _TGKILL, _TKILL):
        lines += _refused(numbers[c], (_FIRST, them))
    lines += _refused(_KILL[c], (_SECOND, [_SIGKILL]), (_FIRST, itself))
    lines += _refused(_TGKILL[c], (_THIRD, [_SIGKILL]), (_FIRST, itself))
    lines += _refused(_TKILL[c], (_SECOND, [_SIGKILL]))  # it may name a thread
    lines += _refused(_SETRLIMIT[c], (_FIRST, [_CPU])) + _refused(_PRLIMIT[c], (_SECOND, [_CPU]))
    lines += _refused(_PRLIMIT[c], (_FIRST, them))
    lines += _refused(_FCNTL[c], (_SECOND, [8, 10, 15]))  # F_SETOWN, F_SETSIG, F_SETOWN_EX
    lines += _refused(_IOCTL[c], (_SECOND, [0x8901, 0x8902]))  # FIOSETOWN, SIOCSPGRP
    lines += _refused(_PRCTL[c], (_FIRST, [22]))  # a strict filter ends by SIGKILL
    lines += [(_EQUAL, 0, 4, _CLONE[c]), (_LOAD, 0, 0, _FIRST), (_AND, 0, 0, 0xFF), (_EQUAL, 0, 1, _SIGKILL)]
    lines += [(_RETURN, 0, 0, _EPERM), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", a, b, d, e & 0xFFFFFFFF) for a, b, d, e in lines)


def _refused(number: int, *conditions: tuple[int, Sequence[int]]) -> list[Line]:
    """Refuse a system call when each of these arguments is one of its values; else go on to the next part."""
    body: list[Line] = []
    size = sum(len(values) + 2 for _, values in conditions) + 1
    for place, values in conditions:
        body.append((_LOAD, 0, 0, place))
        body += [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
        body.append((_JUMP, 0, 0, size - len(body) - 1))
    return [(_EQUAL, 0, size, number), *body, (_RETURN, 0, 0, _EPERM), (_LOAD, 0, 0, 0)]


def put_on(filter: bytes) -> None:
    """Put it on this process, for good. Needs PR_SET_NO_NEW_PRIVS, which every process inside the walls has."""
    if not filter:
        return

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))

    held = Program(len(filter) // 8, filter)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(22, ctypes.c_ulong(2), ctypes.byref(held), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

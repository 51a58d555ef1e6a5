"""The filter of system calls: what a program that computes never needs, and what the kernel's bugs are reached by.

A list of what is refused (EPERM), not of what is allowed: the walls are the namespaces, and this closes what they leave
open: making new namespaces, memory that no process is charged for (memfd, System V shared memory), keys (not
namespaced), sockets of other families (a virtual machine's vsock reaches its host), typing into a terminal.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Mapping

# x86-64 first, then the number on arm64 (asm-generic); -1: not there
REFUSED: Mapping[str, tuple[int, int]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "fanotify_init": (300, 262),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "syslog": (103, 116), "acct": (163, 89), "quotactl": (179, 60), "vhangup": (153, 58), "sethostname": (170, 161),
    "setdomainname": (171, 162), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "iopl": (172, -1), "ioperm": (173, -1), "modify_ldt": (154, -1),
    "uselib": (134, -1), "personality": (135, 92), "lookup_dcookie": (212, 18), "nfsservctl": (180, 42),
    "mbind": (237, 235), "move_pages": (279, 239), "migrate_pages": (256, 238), "set_mempolicy": (238, 237),
    "io_setup": (206, 0),
}  # fmt: skip
_CLONE, _CLONE3, _SOCKET, _IOCTL = (56, 220), (435, 435), (41, 198), (16, 29)
_NEW = 0x7E020080  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET} and CLONE_NEWTIME
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6: all in the run's own network namespace
_TYPING = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS = 0x00050000 | 1, 0x00050000 | 38
_ARCH = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}


def program() -> bytes:
    """The filter as classic BPF for this machine, or nothing where its system calls are not known here."""
    if platform.machine() not in _ARCH:
        return b""
    audit, column = _ARCH[platform.machine()]
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, audit), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    if column == 0:  # the x32 numbers are other names for the same calls
        lines += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _EPERM)]
    for numbers in REFUSED.values():
        if numbers[column] >= 0:
            lines += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _EPERM)]
    # clone3 takes its flags through a pointer, which a filter cannot follow: without it libc falls back to clone
    lines += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ENOSYS)]
    lines += [(_EQUAL, 0, 4, _CLONE[column]), (_LOAD, 0, 0, 16), (_ANY_BIT, 0, 1, _NEW), (_RETURN, 0, 0, _EPERM)]
    lines += [(_RETURN, 0, 0, _ALLOW)]
    n = len(_FAMILIES)
    lines += [(_EQUAL, 0, n + 2, _SOCKET[column]), (_LOAD, 0, 0, 16)]
    lines += [(_EQUAL, n - i, 0, family) for i, family in enumerate(_FAMILIES)]
    lines += [(_RETURN, 0, 0, _EPERM)]
    lines += [(_EQUAL, 0, 4, _IOCTL[column]), (_LOAD, 0, 0, 24)]
    lines += [(_EQUAL, 1, 0, _TYPING[0]), (_EQUAL, 0, 1, _TYPING[1]), (_RETURN, 0, 0, _EPERM)]
    lines += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)

"""The filter of system calls: what a program that computes never needs, and what the kernel's bugs are reached by.

A list of what is refused (EPERM), not of what is allowed: the walls are the namespaces, and this closes what they leave
open: making new namespaces, keys (not namespaced), sockets (there is nobody to talk to, and a virtual machine's vsock
reaches its host), typing into a terminal; and memory that no process is charged for: memfd, System V shared memory,
shared memory without a file, queues of sockets that nobody holds, pages that hang in a pipe, the kernel's watches and
rules.

What a program is left with: pipes, and pairs of connected sockets (asyncio needs one) with the buffers they are born
with. The keeper charges for both.
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
    "io_setup": (206, 0), "socket": (41, 198), "bind": (49, 200), "listen": (50, 201), "connect": (42, 203),
    "accept": (43, 202), "accept4": (288, 242), "inotify_init": (253, -1), "inotify_init1": (294, 26),
    "splice": (275, 76), "vmsplice": (278, 75), "tee": (276, 77), "landlock_create_ruleset": (444, 444),
}  # fmt: skip
_CLONE, _CLONE3, _IOCTL = (56, 220), (435, 435), (16, 29)
_PAIR, _OPTION, _FCNTL, _MMAP, _MADVISE = (53, 199), (54, 208), (72, 25), (9, 222), (28, 233)
_NEW = 0x7E020080  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET} and CLONE_NEWTIME
_UNIX = 1  # the one family of pairs; of TIPC there are some too
_TYPING = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_BUFFERS = (7, 8, 32, 33)  # SO_SNDBUF, SO_RCVBUF and what forces them, of level SOL_SOCKET
_PIPE_SIZE = 1031  # F_SETPIPE_SZ
_SHARED_NOWHERE = 0x21  # MAP_SHARED and MAP_ANONYMOUS: pages that live on when no process has them in its tables
_HUGE = 0x40000  # MAP_HUGETLB, which is not resident memory either
_PAGE_OUT = 21  # MADV_PAGEOUT: into the swap, where the keeper does not look

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_FIRST, _SECOND, _THIRD, _FOURTH = 16, 24, 32, 40  # where a call's arguments lie
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS = 0x00050000 | 1, 0x00050000 | 38
_ARCH = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}


Line = tuple[int, int, int, int]
"""What to do, how far to jump when so and when not, a value."""


def program() -> bytes:
    """The filter as classic BPF for this machine, or nothing where its system calls are not known here."""
    if platform.machine() not in _ARCH:
        return b""
    audit, column = _ARCH[platform.machine()]
    lines: list[Line] = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, audit), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    if column == 0:  # the x32 numbers are other names for the same calls
        lines += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _EPERM)]
    for numbers in REFUSED.values():
        if numbers[column] >= 0:
            lines += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _EPERM)]
    # clone3 takes its flags through a pointer, which a filter cannot follow: without it libc falls back to clone
    lines += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ENOSYS)]
    refused, allowed = (_RETURN, 0, 0, _EPERM), (_RETURN, 0, 0, _ALLOW)
    lines += _of(_CLONE[column], (_LOAD, 0, 0, _FIRST), (_ANY_BIT, 0, 1, _NEW), refused, allowed)
    lines += _of(_PAIR[column], (_LOAD, 0, 0, _FIRST), (_EQUAL, 1, 0, _UNIX), refused, allowed)
    sizes = [(_EQUAL, len(_BUFFERS) - i, 0, option) for i, option in enumerate(_BUFFERS)]
    lines += _of(
        _OPTION[column], (_LOAD, 0, 0, _SECOND), (_EQUAL, 0, len(sizes) + 1, 1), (_LOAD, 0, 0, _THIRD), *sizes,
        allowed, refused,
    )  # fmt: skip
    lines += _of(_FCNTL[column], (_LOAD, 0, 0, _SECOND), (_EQUAL, 0, 1, _PIPE_SIZE), refused, allowed)
    lines += _of(_MADVISE[column], (_LOAD, 0, 0, _THIRD), (_EQUAL, 0, 1, _PAGE_OUT), refused, allowed)
    lines += _of(
        _MMAP[column], (_LOAD, 0, 0, _FOURTH), (_ANY_BIT, 2, 0, _HUGE), (_AND, 0, 0, _SHARED_NOWHERE),
        (_EQUAL, 0, 1, _SHARED_NOWHERE), refused, allowed,
    )  # fmt: skip
    typing = [(_EQUAL, len(_TYPING) - i, 0, request) for i, request in enumerate(_TYPING)]
    lines += _of(_IOCTL[column], (_LOAD, 0, 0, _SECOND), *typing, allowed, refused)
    lines += [allowed]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _of(number: int, *lines: Line) -> list[Line]:
    """These lines for one system call, which all end in an answer; the next part for the others."""
    return [(_EQUAL, 0, len(lines), number), *lines]

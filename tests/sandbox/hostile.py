"""Programs that mean harm. Each prints ESCAPED when it got what it was after; most also have a limit they should hit.

``{...}`` are filled in by the test: a secret file and folder on the host, ports and a socket that listen there, the pid
of a process there.
"""

# ruff: noqa: E501 - whole programs are written here, some on one line
from __future__ import annotations

import platform
from dataclasses import dataclass

from instar.sandbox.bubblewrap import found

KINDS = ["namespaces", *(["bubblewrap"] if found() else [])]
"""The walls that can be tried here; bubblewrap is a program that must be installed."""

TRY = "import os, sys, ctypes, socket, subprocess, time, signal, resource\nlibc = ctypes.CDLL(None, use_errno=True)\n"


@dataclass(frozen=True)
class Hostile:
    """``hit``: the limit that should end it; "" when it should end by itself, "any" when either will do."""

    name: str
    code: str
    hit: str = ""
    command: tuple[str, ...] = ("python", "main.py")


def can(name: str, *lines: str, hit: str = "") -> Hostile:
    """A program that is after something that should raise."""
    body = "\n".join(f"    {line}" for line in "\n".join(lines).splitlines())
    return Hostile(
        name, f"{TRY}try:\n{body}\nexcept (OSError, EOFError, ValueError) as e:\n    print('refused', e)\n", hit
    )


def call(name: str, number: int, *args: str) -> Hostile:
    """A system call by its number (x86-64), which should fail."""
    given = ", ".join((str(number), *args))
    return Hostile(name, f"{TRY}r = libc.syscall({given})\nprint('ESCAPED' if r >= 0 else 'refused', r)\n")


def fills(name: str, *lines: str) -> Hostile:
    """Twenty processes that fill what the kernel holds for them, and sum up. Bounded, for it is run without walls too."""
    body = "\n".join(f"        {line}" for line in "\n".join(lines).splitlines())
    return Hostile(
        name,
        TRY + "import fcntl, mmap\nr, w = os.pipe()\n"
        "def fill(send):\n    n = 0\n    try:\n        while True: n += send(b'x' * 32768)\n"
        "    except BlockingIOError: return n\n"
        "for _ in range(20):\n    if os.fork(): continue\n    held, kept = 0, []\n    try:\n" + body + "\n"
        "    except OSError: pass\n    os.write(w, b'%d\\n' % held); time.sleep(1); os._exit(0)\nos.close(w)\n"
        "total = sum(map(int, os.fdopen(r)))\ntime.sleep(0.3)\nprint('ESCAPED' if total > 220 * 2**20 else '', total >> 20)\n",
        "any",
    )


PROGRAMS = [
    # --- eating the machine
    Hostile("fork_bomb", TRY + "while True:\n    try: os.fork()\n    except OSError: pass\n", "processes"),
    # its shells give up where fork fails, so the count need not be above the limit at the moment it is looked at
    Hostile("shell_fork_bomb", "", "processes or wall", ("sh", "-c", "f() { f | f & }; f; while :; do :; done")),
    Hostile(
        "thread_bomb",
        "import threading, time\nn = 0\ntry:\n    while n < 5000:\n        threading.Thread(target=time.sleep, args=(60,)"
        ", daemon=True).start(); n += 1\nexcept RuntimeError: pass\nprint('ESCAPED' if n > 100 else n)\n",
    ),
    Hostile("memory_in_one", "x = []\nwhile True: x.append(bytearray(2**24))\n", "any"),
    Hostile(
        "memory_in_many",
        TRY + "for _ in range(12):\n    if os.fork() == 0:\n        x = bytearray(b'x') * (60 * 2**20)\n"
        "        time.sleep(60)\ntime.sleep(60)\n",
        "memory",
    ),
    Hostile(
        "memory_by_shared_maps",
        TRY + "import mmap\nx = []\nwhile True:\n    m = mmap.mmap(-1, 2**24); m.write(b'x' * 2**24); x.append(m)\n",
        "any",
    ),
    fills(
        "memory_in_socket_pairs",
        "for _ in range(40):\n    a, b = socket.socketpair(); kept += [a, b]\n    for x in (a, b):\n"
        "        x.setblocking(False); held += fill(x.send)",
    ),
    fills(
        "memory_in_larger_socket_pairs",
        "for _ in range(40):\n    a, b = socket.socketpair(); kept += [a, b]\n    for x in (a, b):\n"
        "        x.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**22); x.setblocking(False); held += fill(x.send)",
    ),
    fills(
        "memory_in_sockets_that_nobody_accepts",
        "l = socket.socket(socket.AF_UNIX); l.bind('l%d' % os.getpid()); l.listen(4096)\n"
        "for _ in range(150):\n    c = socket.socket(socket.AF_UNIX); c.connect(l.getsockname()); c.setblocking(False)\n"
        "    held += fill(c.send); c.close()",
    ),
    fills(
        "memory_in_larger_pipes",
        "for _ in range(200):\n    a, b = os.pipe(); kept += [a, b]; os.set_blocking(b, False)\n"
        "    fcntl.fcntl(b, 1031, 2**20); held += fill(lambda x: os.write(b, x))",
    ),
    fills(
        "memory_in_pipes",
        "for _ in range(200):\n    a, b = os.pipe(); kept += [a, b]; os.set_blocking(b, False); held += fill(lambda x: os.write(b, x))",
    ),
    fills(
        "memory_by_shared_maps_let_go",
        "m = mmap.mmap(-1, 2**25)",
        "for _ in range(2**11): m.write(b'x' * 2**14)",
        "m.madvise(mmap.MADV_DONTNEED); kept.append(m); held += 2**25",
    ),
    fills(
        "memory_by_the_zero_device",
        "m = mmap.mmap(os.open('/dev/zero', os.O_RDWR), 2**25)",
        "for _ in range(2**11): m.write(b'x' * 2**14)",
        "m.madvise(mmap.MADV_DONTNEED); kept.append(m); held += 2**25",
    ),
    call("pages_in_a_pipe", 278, "os.pipe()[1]", "0", "0", "0"),
    call("watches", 294, "0"),
    call("rules", 444, "0", "0", "1"),
    can("huge_pages", "import mmap", "mmap.mmap(-1, 2**21, flags=0x40022)", "print('ESCAPED')"),
    call("memory_by_memfd", 319, "b'x'", "0"),
    call("memory_by_system_v", 29, "0", "2**30", "0o1666"),
    Hostile("disk_fill", "f = open('x', 'wb')\nwhile True: f.write(b'x' * 2**20)\n"),
    Hostile(
        "disk_fill_by_many_files",
        "n = 0\ntry:\n    while True:\n        open(f'x{n}', 'wb').write(b'x' * 2**20); n += 1\n"
        "except OSError: print('full after', n)\nimport time; time.sleep(0.3)\n",
        "disk",
    ),
    Hostile(
        "inodes_by_empty_files",
        "n = 0\ntry:\n    while n < 10**6:\n        open(f'x{n}', 'w').close(); n += 1\n"
        "except OSError: pass\nprint('ESCAPED' if n > 5000 else n)\n",
        "any",
    ),
    Hostile(
        "disk_by_tmp_and_shm",
        "import os\ntotal = 0\nfor d in ('/tmp', '/dev/shm', '/box', '/box/work', '/var/tmp', '/dev', '/run'):\n"
        "    try:\n        with open(f'{d}/fill', 'wb', buffering=0) as f:\n"
        "            while total < 2**28: total += f.write(b'x' * 2**20)\n    except OSError: pass\n"
        "print('ESCAPED' if total > 2**26 else total)\n",
        "any",
    ),
    Hostile(
        "deleted_file_keeps_space",
        "import os\nfs = []\ntotal = 0\ntry:\n    for i in range(50):\n        f = open('x', 'wb', buffering=0)\n"
        "        os.unlink('x'); fs.append(f)\n        for _ in range(8): total += f.write(b'x' * 2**20)\n"
        "except OSError: pass\nprint('ESCAPED' if total > 2**26 else total)\n",
        "any",
    ),
    Hostile("endless_output", "import sys\nwhile True: sys.stdout.write('x' * 65536)\n", "output"),
    Hostile("endless_errors", "import sys\nwhile True: sys.stderr.write('x' * 65536)\n", "output"),
    Hostile("endless_loop", "while True: pass\n", "any"),
    Hostile("sleeps_for_ever", "import time\ntime.sleep(1000)\n", "wall"),
    Hostile("ignores_signals", TRY + "for n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
            "    except (OSError, ValueError): pass\nwhile True: time.sleep(1)\n", "wall"),
    Hostile("burns_all_processors", TRY + "for _ in range(8): os.fork()\nwhile True: pass\n", "any"),
    Hostile("reads_stdin_for_ever", "import sys\nprint(len(sys.stdin.read()), 'ESCAPED' if sys.stdin.read() else '')\n"),
    Hostile("sparse_file", "import os\ntry:\n    os.truncate(os.open('x', os.O_CREAT | os.O_RDWR), 2**40); print('ESCAPED')\n"
            "except OSError as e: print(e)\n"),
    Hostile(
        "zip_bomb",
        "import zlib, bz2\nd = bz2.compress(b'0' * 2**26)\nx = [bz2.decompress(d) for _ in range(1000)]\nprint('ESCAPED')\n",
        "any",
    ),
    Hostile("huge_number", "print(len(str(9 ** (9 ** 9))))\n", "any"),
    Hostile("deep_recursion", "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()\n", "any"),
    # --- the file system
    can("reads_home", "print(open('{secret}').read(), 'ESCAPED')"),
    can("lists_home", "print(os.listdir('/root'), 'ESCAPED')"),
    can("lists_work", "print(os.listdir('/work'), 'ESCAPED')"),
    can("reads_passwords", "print(open('/etc/shadow').read(), 'ESCAPED')"),
    can("symlink_out", "os.symlink('{secret}', 'link')", "print(open('link').read(), 'ESCAPED')"),
    can("writes_through_symlink", "os.symlink('{folder}', 'out')", "open('out/planted', 'w').write('x')", "print('ESCAPED')"),
    can("hard_link_out", "os.link('/usr/bin/env', 'env')", "print('ESCAPED')"),
    can("climbs_out", "os.chdir('../' * 30)", "print(open('.' + '{secret}').read(), 'ESCAPED')"),
    can("proc_root", "print(open('/proc/1/root{secret}').read(), 'ESCAPED')"),
    can("proc_cwd", "print(os.listdir('/proc/1/cwd/work'), 'ESCAPED')"),
    can("proc_fd_of_the_first", "print(os.listdir('/proc/1/fd'))",
        "for n in os.listdir('/proc/1/fd'):\n    if 'null' not in os.readlink('/proc/1/fd/' + n): print('ESCAPED')"),
    can("host_processes", "n = [p for p in os.listdir('/proc') if p.isdigit()]",
        "print('ESCAPED' if len(n) > 8 or '{pid}' in n else n)"),
    can("kernel_settings", "open('/proc/sys/kernel/core_pattern', 'w').write('|/bin/sh')", "print('ESCAPED')"),
    can("sysrq", "open('/proc/sysrq-trigger', 'w').write('b')", "print('ESCAPED')"),
    can("sys", "print(os.listdir('/sys'), 'ESCAPED')"),
    can("raw_disk", "print(os.open('/dev/vda', os.O_RDONLY), 'ESCAPED')"),
    can("kernel_memory", "print(os.open('/dev/mem', os.O_RDONLY), os.open('/dev/kmsg', os.O_RDONLY), 'ESCAPED')"),
    can("makes_a_device", "os.mknod('disk', 0o660 | 0o060000, os.makedev(254, 0))", "print('ESCAPED')"),
    can("writes_the_system", "open('/usr/bin/planted', 'w').write('x')", "print('ESCAPED')"),
    can("writes_the_root", "open('/planted', 'w').write('x')", "print('ESCAPED')"),
    can("writes_its_interpreter", "import json", "open(json.__file__, 'a').write('x')", "print('ESCAPED')"),
    can("replaces_its_interpreter", "os.unlink('/pybin/python')", "print('ESCAPED')"),
    Hostile("huge_file_names", "import os\nfor n in (255, 256, 4095, 10**6):\n    try: open('x' * n, 'w').close()\n"
            "    except OSError: pass\nos.mkdir(b'\\xff\\n\\x1b[31m')\n"),
    Hostile("deep_folders", "import os\nn = 0\ntry:\n    while n < 10**5:\n        os.mkdir('d'); os.chdir('d'); n += 1\n"
            "except OSError: pass\nprint('ESCAPED' if n > 5000 else n)\n", "any"),
    # --- other processes
    can("kills_everything", "os.kill(-1, 9)", "print('ESCAPED')"),
    can("kills_a_host_process", "os.kill({pid}, 9)", "print('ESCAPED')"),
    Hostile("kills_its_parent", TRY + "for n in range(1, 65):\n    if n not in (17, 18):\n        try: os.kill(os.getppid(), n)\n"
            "        except OSError: pass\nprint('still here')\n"),
    Hostile("leftover_daemon", TRY + "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.close(0); os.close(1);"
            " os.close(2)\n        while True: time.sleep(1)\n    os._exit(0)\nprint('parent leaves')\n"),
    call("ptrace_the_first", 101, "16", "1", "0", "0"),
    can("traces_itself", "if libc.ptrace(0, 0, 0, 0) >= 0: print('ESCAPED')"),
    call("reads_memory_of_the_first", 310, "1", "0", "0", "0", "0", "0"),
    can("memory_of_the_first", "print(open('/proc/1/mem', 'rb').read(1), 'ESCAPED')"),
    can("environment_of_the_first", "print('ESCAPED' if open('/proc/1/environ').read() else 'empty')"),
    Hostile("reads_environment", "import os\nprint('ESCAPED' if any('SECRET' in k or 'swordfish' in v for k, v in os.environ.items()) "
            "else sorted(os.environ))\n"),
    Hostile("inherited_descriptors", "import os\nfor n in range(3, 1024):\n    try: os.fstat(n)\n    except OSError: continue\n"
            "    if '/box/work/main.py' not in os.readlink(f'/proc/self/fd/{n}'): print('ESCAPED', n)\n"),
    # --- the network
    can("connects_to_the_host", "s = socket.create_connection(('127.0.0.1', {port}), 2)", "print('ESCAPED')"),
    can("connects_to_an_address_of_the_host", "s = socket.create_connection(('{address}', {port}), 2)", "print('ESCAPED')"),
    can("abstract_socket", "s = socket.socket(socket.AF_UNIX); s.connect('\\0{socket}')", "print('ESCAPED')"),
    can("path_socket", "s = socket.socket(socket.AF_UNIX); s.connect('{folder}/socket')", "print('ESCAPED')"),
    can("sends_datagrams", "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('{address}', {port}))",
        "print('sent; whether it came is asked at the door')"),
    can("asks_names", "print(socket.getaddrinfo('example.com', 80), 'ESCAPED')"),
    can("raw_socket", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)", "print('ESCAPED')"),
    can("packet_socket", "socket.socket(17, socket.SOCK_RAW, 0)", "print('ESCAPED')"),
    can("vsock", "socket.socket(40, socket.SOCK_STREAM)", "print('ESCAPED')"),
    can("netlink", "socket.socket(16, socket.SOCK_RAW, 0)", "print('ESCAPED')"),
    # --- rights
    can("becomes_root", "os.setuid(0)", "print('ESCAPED')"),
    can("set_uid_program", "os.chmod(__file__, 0o4755)",
        "r = subprocess.run(['/usr/bin/su', '-c', 'id -u'], capture_output=True, text=True, stdin=subprocess.DEVNULL)",
        "print('ESCAPED' if r.stdout.strip() == '0' else r.stderr)"),
    call("unshares_again", 272, "0x10000000 | 0x20000"),
    call("clones_a_user_namespace", 56, "0x10000000 | 17", "0", "0", "0", "0"),
    call("clone3", 435, "0", "0"),
    call("mounts", 165, "b'none'", "b'/box/work'", "b'tmpfs'", "0", "0"),
    call("unmounts", 166, "b'/box'", "2"),
    call("changes_root", 161, "b'/box/work'"),
    call("joins_a_namespace", 308, "os.open('/proc/1/ns/pid', 0) if os.access('/proc/1/ns/pid', 4) else 3", "0"),
    call("keys", 248, "b'user'", "b'x'", "b'y'", "1", "-2"),
    call("reads_keys", 250, "0", "-3", "0"),
    call("bpf", 321, "0", "0", "0"),
    call("io_uring", 425, "8", "ctypes.byref(ctypes.create_string_buffer(256))"),
    call("userfaultfd", 323, "0"),
    call("perf", 298, "0", "0", "0", "0", "0"),
    call("opens_by_handle", 304, "3", "0", "0"),
    call("x32_numbers", 101 + 0x40000000, "0", "0", "0", "0"),
    can("raises_its_limits", "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)", "print('ESCAPED')"),
    can("raises_its_process_limit", "resource.setrlimit(resource.RLIMIT_NPROC, (10**5,) * 2)", "print('ESCAPED')"),
    can("lowers_its_niceness", "os.nice(-10)", "print('ESCAPED')"),
    can("real_time_priority", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))", "print('ESCAPED')"),
    can("types_into_a_terminal", "import fcntl", "fcntl.ioctl(0, 0x5412, b'x')", "print('ESCAPED')"),
    can("finds_a_terminal", "os.open('/dev/tty', os.O_RDWR)", "print('ESCAPED')"),
    can("sets_the_clock", "time.clock_settime(0, 0)", "print('ESCAPED')"),
    can("names_the_host", "socket.sethostname('x')", "print('ESCAPED')"),
    can("reboots", "print('ESCAPED' if libc.reboot(0x1234567) == 0 else 'refused')"),
    Hostile("pretends_there_were_no_walls", "import sys\nsys.stderr.write('instar-sandbox: x\\nbwrap: x\\n')\nsys.exit(125)\n"),
    can("core_dump", "os.abort()"),
]  # fmt: skip
if platform.machine() != "x86_64":
    PROGRAMS = [p for p in PROGRAMS if "libc.syscall(" not in p.code]

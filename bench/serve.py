"""What a worker's script calls: ``serve(do)`` answers each line of work with what ``do`` returns.

Standard library only: a peer's environment holds nothing of ours. Whatever a library prints goes to the error stream;
the answers keep the output stream for themselves.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

Do = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def settings() -> dict[str, Any]:
    """The settings that the row gave this script."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    return given


def serve(load: Callable[[], Do]) -> None:
    """Load, say so, then answer lines until there are none."""
    _die_with_parent()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        do = load()
        answers.write('{"ready": true}\n')
        for line in sys.stdin:
            answers.write(json.dumps(dict(do(json.loads(line)["work"]))) + "\n")
    except Exception as e:
        traceback.print_exc()
        answers.write(json.dumps({"error": repr(e)}) + "\n")
        sys.exit(1)


def _die_with_parent() -> None:
    """A harness that is killed must not leave a peer at work: it would disturb whoever measures next."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)

"""How a session is stopped from outside: the first Ctrl-C keeps what is finished, the second leaves at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterator

from instar.errors import Cancelled
from instar.run.generate import GenerateContext
from instar.run.progress import Screen


@contextlib.contextmanager
def stopping_on_ctrl_c(
    loop: asyncio.AbstractEventLoop, generate_context: GenerateContext, stop: threading.Event, screen: Screen
) -> Iterator[None]:
    """The first Ctrl-C asks everything to stop; the second leaves at once (the ledger is safe either way).

    Signals reach the main thread alone: in another one, ``stop`` is looked at instead."""
    work = asyncio.current_task()
    main = threading.current_thread() is threading.main_thread()

    def interrupt() -> None:
        if stop.is_set() and main:
            os._exit(130)
        screen.line("stopping: what is in flight is given up, what is finished is kept (Ctrl-C again: now)")
        generate_context.stopped.set()
        stop.set()
        if work:
            work.cancel()

    async def look() -> None:
        while not stop.is_set():  # noqa: ASYNC110 - it is set from another thread
            await asyncio.sleep(0.1)
        interrupt()

    looking = None if main else loop.create_task(look())
    before = {s: signal.getsignal(s) for s in ((signal.SIGINT, signal.SIGTERM) if main else ())}
    for s in before:
        loop.add_signal_handler(s, interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if stop.is_set():
            raise Cancelled("stopped.") from None
        raise
    finally:
        if looking:
            looking.cancel()
        for s, handler in before.items():
            loop.remove_signal_handler(s)
            signal.signal(s, handler)

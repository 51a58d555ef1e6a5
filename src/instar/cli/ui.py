"""``instar ui``: the live page over all runs, served to this machine."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from instar.errors import ConfigError, InstarError
from instar.report.page import not_installed
from instar.web.pages import create_app
from instar.web.security import refuse_open_bind


def serve(runs: Path, *, host: str, port: int, allow_remote: bool) -> None:
    """Serve until Ctrl-C. Raises ConfigError for a host that is not loopback, or a port that is taken."""
    refuse_open_bind(host, allow_remote)
    if not runs.is_dir():
        raise ConfigError(f"there is no folder {runs.resolve()} with runs yet.", "Start one: instar run demo")
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise not_installed("uvicorn") from None
    app = create_app(runs, host=host, paired=_paired)
    with _bound(host, port) as bound:
        where = f"[{host}]" if ":" in host else host
        print(f"instar ui: http://{where}:{bound.getsockname()[1]}  (Ctrl-C ends it; nothing is written)", flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[bound])


def _paired(a: str, b: str) -> dict[str, Any]:
    """The final policies of two runs, paired; or why they cannot be."""
    from instar.app.review.comparing import paired

    try:
        return paired(f"{a}:final", f"{b}:final").comparison.model_dump()
    except InstarError as e:
        return {"refusal": e.message}


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)  # before the address is said: a browser may be quicker than the server
    except (OSError, OverflowError) as e:
        bound.close()
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {e}.", "Take another --port (0 finds a free one)."
        ) from None
    return bound

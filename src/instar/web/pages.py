"""The live page: the report's own views over runs that go on, for reading only.

Every page is whole HTML that the server made (escaped by Jinja); the script then asks ``/state`` for news and puts the
sections that changed in place of the old ones. Nothing is written anywhere: ledgers are opened read-only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from instar.errors import InstarError
from instar.records import hash_of
from instar.report.exchanges import calls
from instar.report.page import asset, body, environment, page_data, report, script_json
from instar.web.comparison import Paired, comparison
from instar.web.runs import folder_of, runs_in
from instar.web.security import Guard, hosts_for
from instar.web.watching import Watching

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

STATIC = {"page.css": "text/css", "theme.js": "text/javascript", "page.js": "text/javascript",
          "plotly.min.js": "text/javascript", "live.js": "text/javascript"}  # fmt: skip


def create_app(runs: Path, *, host: str = "127.0.0.1", paired: Paired | None = None) -> Starlette:
    """The page over all runs in a folder, as an ASGI application. ``paired`` compares two runs item by item.

    Raises:
        ConfigError: the extra ``web`` is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
        from starlette.routing import Route
    except ModuleNotFoundError:
        from instar.report.page import not_installed

        raise not_installed("starlette") from None

    watching = Watching()

    def page(name: str, **values: Any) -> HTMLResponse:
        return HTMLResponse(templates().get_template(name).render(live=True, **values))

    def missing(name: str) -> HTMLResponse:
        found = page("trouble.html.j2", said=f"There is no run {name!r} here.")
        found.status_code = 404
        return found

    def index_body() -> tuple[str, str]:
        made = templates().get_template("runs.html.j2").render(runs=runs_in(runs), where=str(runs.resolve()))
        return hash_of("page", made), made

    async def index(_: Request) -> Response:
        revision, main = await asyncio.to_thread(index_body)
        return page("live.html.j2", title="Runs", main=main, state="/state", revision=revision, data=None)

    async def index_state(request: Request) -> Response:
        revision, main = await asyncio.to_thread(index_body)
        return _news(request, revision, lambda: {"main": main})

    async def run(request: Request) -> Response:
        name = request.path_params["name"]
        folder = folder_of(runs, name)
        if folder is None:
            return missing(name)
        revision, f = await watching.of(folder)
        return page(
            "live.html.j2", title=name, f=f, main=body(f), state=f"/runs/{quote(name)}/state", revision=revision,
            data=script_json(page_data(f)),
        )  # fmt: skip

    async def run_state(request: Request) -> Response:
        folder = folder_of(runs, request.path_params["name"])
        if folder is None:
            return JSONResponse({"gone": True}, 404)
        revision, f = await watching.of(folder)
        return _news(request, revision, lambda: {"main": body(f), "data": page_data(f)})

    async def run_calls(request: Request) -> Response:
        folder = folder_of(runs, request.path_params["name"])
        if folder is None:
            return JSONResponse({"said": "This run is gone."}, 404)
        try:
            found = await asyncio.to_thread(calls, folder, request.query_params.get("of", ""))
        except InstarError as e:
            return Response(script_json({"said": str(e)}), 404, media_type="application/json")
        return Response(script_json(found), media_type="application/json")

    async def run_report(request: Request) -> Response:
        name = request.path_params["name"]
        folder = folder_of(runs, name)
        if folder is None:
            return missing(name)
        _, f = await watching.of(folder)
        text = await asyncio.to_thread(report, f)
        said = f"attachment; filename*=UTF-8''{quote(name)}.html"
        return Response(text, media_type="text/html", headers={"content-disposition": said})

    async def compare(request: Request) -> Response:
        names = [request.query_params.get(k, "") for k in ("a", "b")]
        folders = [folder_of(runs, n) for n in names]
        known = await asyncio.to_thread(runs_in, runs)
        found = None
        if folders[0] is not None and folders[1] is not None:
            found = await asyncio.to_thread(comparison, folders[0], folders[1], paired)
        main = templates().get_template("compare.html.j2").render(c=found, names=names, runs=known)
        return page("live.html.j2", title="Compare two runs", main=main, state="", revision="", data=None)

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            return PlainTextResponse("not found", 404)
        return Response(live_asset(name), media_type=STATIC[name])

    async def trouble(_: Request, e: Exception) -> Response:
        said = str(e) if isinstance(e, InstarError) else "The page could not be made; the server's log says why."
        found = page("trouble.html.j2", said=said)
        found.status_code = 500
        return found

    def _news(request: Request, revision: str, make: Callable[[], dict[str, Any]]) -> Response:
        if request.query_params.get("seen") == revision:
            return Response(status_code=204)
        return Response(script_json({"revision": revision, **make()}), media_type="application/json")

    routes = [
        Route("/", index), Route("/state", index_state), Route("/compare", compare),
        Route("/runs/{name}", run), Route("/runs/{name}/state", run_state), Route("/runs/{name}/report", run_report),
        Route("/runs/{name}/calls", run_calls),
        Route("/static/{name}", static),
    ]  # fmt: skip
    guard = Middleware(Guard, hosts=hosts_for(host), any_address=host in ("0.0.0.0", "::"))
    return Starlette(routes=routes, middleware=[guard], exception_handlers={InstarError: trouble})


@cache
def live_asset(name: str) -> str:
    """A style or script; ``live.js`` is of this room, the rest is the report's."""
    if name == "live.js":
        from importlib.resources import files

        return files("instar.web").joinpath("assets", name).read_text(encoding="utf-8")
    return asset(name)


@cache
def templates() -> Environment:
    """The report's templates and this room's."""
    import jinja2

    base = environment()
    return base.overlay(loader=jinja2.ChoiceLoader([jinja2.PackageLoader("instar.web"), base.loader]))  # type: ignore[list-item]

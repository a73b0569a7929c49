"""The dashboard's HTTP server: pages, downloads and local static files; nothing is fetched from or sent to another host."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lakehouse.config import Config
from lakehouse.contract.tables import VENTES
from lakehouse.dashboard import download, pages
from lakehouse.dashboard.answer_cache import AnswerCache
from lakehouse.dashboard.html import BUSY, Page, PageRenderer, is_old
from lakehouse.dashboard.query_process import QueryProcess
from lakehouse.dashboard.request import PAGES, View, read
from lakehouse.errors import ConfigError, LakehouseError, TableMissing
from lakehouse.observability import log, web_access
from lakehouse.observability.health import Monitor
from lakehouse.observability.http_server import Server

_log = log.get("dashboard")
FIRST, LATER = 0.7, 0.1
"""Seconds that a page waits for answers: when it has none yet, and for newer ones. Then it shows what there is."""
KEPT = 200


class Dashboard:
    """The routes, over one ``AnswerCache``; pages that were made are kept as long as none of their answers has changed."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._queries = QueryProcess(config)
        self._cache = AnswerCache(config, ask=self._queries.ask)
        self._renderer = PageRenderer(config)
        self._pages: OrderedDict[tuple[object, ...], Page] = OrderedDict()

    def app(self) -> Starlette:
        """The application, to be served within the frame of ``http_server``."""
        return Starlette(
            routes=[
                Route("/", self._home),
                *(Route(f"/{page}", self._page) for page in PAGES),
                Route("/csv/{name}.csv", self._csv),
                Mount("/static", StaticFiles(directory=Path(__file__).resolve().parent / "static")),
            ],
            middleware=[Middleware(GZipMiddleware, minimum_size=2000, compresslevel=4)],
            lifespan=self._lifespan,
        )

    def warm(self) -> None:
        """Start the process that asks the lake, and open the tables: the first page need not wait for it."""
        self._queries.ask(pages.COUNTRIES)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._cache.start()
        yield
        self._cache.stop()
        self._queries.stop()

    def _view(self, request: Request, page: str) -> View:
        today = datetime.now(self._config.analytics.timezone).date()
        return read(page, request.query_params, today=today, accepted=request.headers.get("accept-language", ""))

    async def _home(self, request: Request) -> Response:
        return RedirectResponse(self._view(request, PAGES[0]).address())

    async def _page(self, request: Request) -> Response:
        view = self._view(request, request.url.path.strip("/"))
        made = await run_in_threadpool(self._made, view)
        headers = {"etag": made.tag, "cache-control": "no-cache", "vary": "accept-language"}
        if made.complete and request.headers.get("if-none-match") == made.tag:
            return Response(status_code=304, headers=headers)
        if not made.complete:
            headers |= {"cache-control": "no-store", "retry-after": str(BUSY)}
        return Response(made.body, 200 if made.complete else 503, headers, "text/html; charset=utf-8")

    def _made(self, view: View) -> Page:
        questions = list(pages.questions(view))
        answers, cut = self._cache.page(questions, first=FIRST, later=LATER)
        tables, now = self._cache.tables(), datetime.now(UTC)
        key = (
            view, cut and cut.number, tables.waiting, is_old(tables.sources.get(VENTES.name), now), tuple(tables.broken.items()), VENTES.name in tables.sources,
            *(answer and answer.serial for answer in answers.values()),
        )  # fmt: skip
        if key not in self._pages:
            self._pages[key] = self._renderer.page(view, answers, tables, now, cut)
            while len(self._pages) > KEPT:
                self._pages.popitem(last=False)
        return self._pages[key]

    async def _csv(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            file, lines = await run_in_threadpool(download.rows, name, self._view(request, PAGES[0]), self._config)
        except KeyError:
            return PlainTextResponse(f"There is no table {name!r}.\n", 404)
        except TableMissing as error:
            return PlainTextResponse(f"{error}\n", 404)
        except LakehouseError as error:
            return PlainTextResponse(f"{error}\n", 503)
        headers = {"content-disposition": f'attachment; filename="{file}"', "cache-control": "no-store"}
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


def server(config: Config, board: Dashboard) -> Server:
    """The server, listening; raises ``ConfigError`` when the address or the port cannot be had, or for a wrong certificate."""
    host, port = config.monitoring.dashboard_host, config.monitoring.dashboard_port
    try:
        return Server(board.app(), config, host, port)
    except OSError as error:
        raise ConfigError(
            f"The dashboard cannot listen on {host} port {port} ([MONITORING] dashboard_host, dashboard_port): "
            f"{error.strerror or error}. Another program holds the port, or the address is not this machine's. "
            f"Type: VENTES_MONITORING__DASHBOARD_PORT=0 python dashboard.py"
        ) from None


def address(host: str, port: int, scheme: str = "http") -> str:
    """The dashboard's address for a browser."""
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}/"


def serve(config: Config, watched: Monitor | None = None) -> int:
    """Serve until a signal; 0."""
    board = Dashboard(config)
    made = server(config, board)
    board.warm()
    if watched is not None:
        watched.started()
    host = made.listener.getsockname()[0]
    print(f"The dashboard: {address(host, made.port, web_access.scheme(config))}   (Ctrl-C stops it)", flush=True)
    made.run()
    return 0

"""The dashboard's HTTP server: pages, downloads and local static files; nothing is fetched from or sent to another host."""

from __future__ import annotations

import contextlib
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lakehouse.config import Config
from lakehouse.config.rules import is_loopback
from lakehouse.contract.tables import VENTES
from lakehouse.dashboard import download, pages
from lakehouse.dashboard.answer_cache import AnswerCache
from lakehouse.dashboard.html import Page, PageRenderer, is_old
from lakehouse.dashboard.query_process import QueryProcess, Question
from lakehouse.dashboard.request import PAGES, View, read
from lakehouse.errors import ConfigError, LakehouseError, TableMissing
from lakehouse.observability import log, web_access
from lakehouse.observability.health import Monitor

_log = log.get("dashboard")
FIRST, LATER = 0.7, 0.1
"""Seconds that a page waits for answers: when it has none yet, and for newer ones. Then it shows what there is."""
KEPT = 200
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class SafeHeaders:
    """Puts ``HEADERS`` on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.encode(), text.encode()) for name, text in HEADERS.items()]
            await send(message)

        await self._app(scope, receive, with_headers)


class Password:
    """Answers nobody who does not know ``[MONITORING] web_password``, when there is one."""

    def __init__(self, app: ASGIApp, config: Config) -> None:
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not web_access.allowed(self._config, Headers(scope=scope).get("authorization")):
            name, text = web_access.CHALLENGE
            refusal = PlainTextResponse("A user and a password are needed.\n", 401, {name: text})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


class Dashboard:
    """The routes, over one ``AnswerCache``; pages that were made are kept as long as none of their answers has changed."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._queries = QueryProcess(config)
        self._cache = AnswerCache(config, ask=self._queries.ask)
        self._renderer = PageRenderer(config)
        self._pages: OrderedDict[tuple[object, ...], Page] = OrderedDict()

    def app(self) -> Starlette:
        """The application. A page that listens on this machine alone answers to this machine's names alone, so that no
        other site's name can be made to point at it."""
        host = self._config.monitoring.dashboard_host
        hosts = [*LOOPBACK, host] if is_loopback(host) else ["*"]
        return Starlette(
            routes=[
                Route("/", self._home),
                *(Route(f"/{page}", self._page) for page in PAGES),
                Route("/csv/{name}.csv", self._csv),
                Mount("/static", StaticFiles(directory=Path(__file__).resolve().parent / "static")),
            ],
            middleware=[
                Middleware(SafeHeaders),
                Middleware(Password, config=self._config),
                Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
                Middleware(GZipMiddleware, minimum_size=2000, compresslevel=4),
            ],
            lifespan=self._lifespan,
        )

    def warm(self) -> None:
        """Start the process that asks the lake, and open the tables: the first page need not wait for it."""
        self._queries.ask(Question(*pages.COUNTRIES))

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
        if request.headers.get("if-none-match") == made.tag:
            return Response(status_code=304, headers=headers)
        return Response(made.body, media_type="text/html; charset=utf-8", headers=headers)

    def _made(self, view: View) -> Page:
        questions = [Question(*asked) for asked in pages.questions(view)]
        answers = self._cache.answers(questions, first=FIRST, later=LATER)
        tables, now = self._cache.tables(), datetime.now(UTC)
        key = (
            view, is_old(tables.sources.get(VENTES.name), now), tuple(tables.broken.items()), VENTES.name in tables.sources,
            *(answer and answer.serial for answer in answers.values()),
        )  # fmt: skip
        if key not in self._pages:
            self._pages[key] = self._renderer.page(view, answers, tables, now)
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


def listen(config: Config) -> socket.socket:
    """The socket; raises ``ConfigError`` when the address or the port cannot be had."""
    host, port = config.monitoring.dashboard_host, config.monitoring.dashboard_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
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
    web_access.server_context(config)  # a wrong certificate is said before anything listens
    with listen(config) as bound:
        host, port = bound.getsockname()[:2]
        board = Dashboard(config)
        board.warm()
        if watched is not None:
            watched.started()
        print(f"The dashboard: {address(host, port, web_access.scheme(config))}   (Ctrl-C stops it)", flush=True)
        settings = uvicorn.Config(
            board.app(), log_level="warning", access_log=False, timeout_graceful_shutdown=2, server_header=False,
            ssl_certfile=config.monitoring.web_certificate or None,
        )  # fmt: skip
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn ends in order, then raises the signal again
            uvicorn.Server(settings).run(sockets=[bound])
    return 0

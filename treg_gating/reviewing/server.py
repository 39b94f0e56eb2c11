"""The review page's server: on this computer alone, for whoever holds the address.

A page of another origin, or a name that is made to point here, must not read or decide anything: the address holds a
random token, Host and Origin are checked, the content policy lets the page ask nobody else, and bodies are bounded.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import tornado.httpserver
import tornado.netutil
import tornado.web

from treg_gating.errors import InputError, RunStateError, TregGatingError
from treg_gating.reviewing.desk import Desk
from treg_gating.reviewing.views import look_view, run_view, tube_view

__all__ = ["ReviewServer"]

log = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"
_MOST_BYTES = 256 * 1024
_PAGE = Path(__file__).parent / "page"
_FILES = {"": "text/html", "review.js": "text/javascript", "plot.js": "text/javascript", "review.css": "text/css"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class ReviewServer:
    """Serves one desk.

    Parameters
    ----------
    desk : the run under review.
    port : 0 for any that is free.
    """

    def __init__(self, desk: Desk, port: int = 0) -> None:
        self.desk = desk
        self.token = secrets.token_urlsafe(24)
        # One thread does all work on the desk, so that nothing in it is ever done twice at the same time.
        self.hands = ThreadPoolExecutor(1)
        self._sockets = tornado.netutil.bind_sockets(port, ADDRESS)
        self.port = self._sockets[0].getsockname()[1]
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.port}/{self.token}/"

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until :meth:`stop` is called or the process is told to end.

        Parameters
        ----------
        ready : called once the page can be opened.
        """
        try:
            asyncio.run(self._serve(ready))
        finally:
            self.hands.shutdown(cancel_futures=True)

    async def _serve(self, ready: Callable[[], None]) -> None:
        self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
        given = {"server": self}
        routes = [
            (r"/([^/]+)/api/(run|tube|look|decide)", _Api, given),
            (r"/([^/]+)/([a-z.]*)", _File, given),
        ]
        application = tornado.web.Application(
            routes, default_handler_class=_Nothing, default_handler_args=given, log_function=lambda handler: None
        )
        server = tornado.httpserver.HTTPServer(application, max_body_size=_MOST_BYTES, max_header_size=16 * 1024)
        server.add_sockets(self._sockets)
        ready()
        try:
            await self._stop.wait()
        finally:
            server.stop()
            await server.close_all_connections()

    def stop(self) -> None:
        """End :meth:`run`; may be called from another thread."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)


class _Handler(tornado.web.RequestHandler):
    """What every answer has, and what every question must have."""

    server: ReviewServer

    def initialize(self, server: ReviewServer) -> None:
        self.server = server

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")

    def prepare(self) -> None:
        """Refuse whatever does not come from the page itself."""
        hosts = {f"{name}:{self.server.port}" for name in (ADDRESS, "localhost")}
        headers = self.request.headers
        if headers.get("Host", "").lower() not in hosts or len(headers.get_list("Host")) != 1:
            raise tornado.web.HTTPError(421)
        token = self.request.path.split("/")[1]
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise tornado.web.HTTPError(404)
        origin = headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in hosts}:
            raise tornado.web.HTTPError(403)
        if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise tornado.web.HTTPError(403)
        if self.request.method == "POST" and (
            origin is None or headers.get("Content-Type", "").split(";")[0].strip() != "application/json"
        ):
            raise tornado.web.HTTPError(403)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A number and nothing that tells of the machine."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}\n")

    def log_exception(self, *args: Any) -> None:
        """To the program's own log; a refused request is no news."""
        if not isinstance(args[1], tornado.web.HTTPError):
            log.error("review page", exc_info=args)


class _Nothing(_Handler):
    def prepare(self) -> None:
        raise tornado.web.HTTPError(404)


class _File(_Handler):
    def get(self, token: str, name: str) -> None:
        """The page, its scripts and its style."""
        if name not in _FILES:
            raise tornado.web.HTTPError(404)
        self.set_header("Content-Type", f"{_FILES[name]}; charset=utf-8")
        self.finish((_PAGE / (name or "index.html")).read_bytes())


class _Api(_Handler):
    async def get(self, token: str, what: str) -> None:
        """The list of tubes, or one tube."""
        desk = self.server.desk
        if what == "run":
            await self._answer(lambda: run_view(desk))
        elif what == "tube":
            name = self.get_query_argument("name", "")
            await self._answer(lambda: tube_view(desk, desk.seat(name)))
        else:
            raise tornado.web.HTTPError(405)

    async def post(self, token: str, what: str) -> None:
        """Count with other gates, or decide."""
        try:
            asked = json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise tornado.web.HTTPError(400) from None
        if not isinstance(asked, dict) or what not in ("look", "decide"):
            raise tornado.web.HTTPError(400)
        await self._answer(lambda: _ACTS[what](self.server.desk, asked))

    async def _answer(self, work: Callable[[], Any]) -> None:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self.server.hands, work)
        except RunStateError as error:
            self.set_status(409)
            found = {"error": self.server.desk.scrub(str(error))}
        except InputError as error:
            self.set_status(422)
            found = {"error": self.server.desk.scrub(str(error))}
        except TregGatingError as error:
            self.set_status(409)
            found = {"error": self.server.desk.scrub(str(error))}
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(found, allow_nan=False))


def _look(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    seat = desk.seat(str(asked.get("tube", "")))
    return look_view(desk, seat, desk.gates_from(seat, _shapes(asked)), str(asked.get("draw", "")))


def _shapes(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    shapes = asked.get("gates", {})
    if not isinstance(shapes, dict):
        problem = "gates are not a table"
        raise InputError(problem)
    return shapes


def _decide(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    seat = desk.seat(str(asked.get("tube", "")))
    decision = desk.decide(seat, asked)
    return {"seq": decision.seq, "signed": decision.signed, "tube": tube_view(desk, seat)}


_ACTS: dict[str, Callable[[Desk, Mapping[str, Any]], dict[str, Any]]] = {"look": _look, "decide": _decide}

"""The HTTP server, with refusals in the wire's own form where bytes never became a request."""

import logging
from typing import Any

from aiohttp import web

from triplane_durable.frames import Response

log = logging.getLogger(__name__)


class _Protocol(web.RequestHandler):
    """One client's connection. What is not HTTP is answered as JSON and logged in a line, for anybody can send it."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already; no other can be sent")
        if status < 500:
            said = " ".join((message or "").split())[:300]
            log.info("unreadable_request from %s: %s", request.remote, said)
            body = {"reason": "malformed_request", "message": f"This is not a request that can be read: {said}"}
        else:
            log.error("durable_request_failed", exc_info=exc)
            body = {"reason": "internal", "message": "The server failed to answer; it has been logged."}
        answer = web.Response(status=status, body=Response(status, body).encode(), content_type="application/json")
        answer.force_close()
        return answer


    def log_exception(self, *args: Any, **kw: Any) -> None:
        # The rest of a refused body is read before the connection closes; that it is no better is no error of ours.
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)


class HttpServer(web.Server):
    """`web.Server` whose connections answer as this wire does."""

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)

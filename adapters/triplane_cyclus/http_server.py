"""The HTTP server below the websockets: what is not HTTP is refused in a sentence and logged in a line."""

import structlog
from aiohttp import web

log = structlog.get_logger(room="cyclus")


class _Protocol(web.RequestHandler):
    """One client's connection; anybody can send it anything, so unreadable bytes are no error of ours."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        said = " ".join((message or "").split())[:300]
        log.info("unreadable_request", peer=request.remote, reason=said)
        answer = web.Response(status=status, text=f"this is not a request that can be read: {said}\n")
        answer.force_close()
        return answer


class HttpServer(web.Server):
    """`web.Server` whose connections answer so."""

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)

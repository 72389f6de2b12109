"""HTTP/1.1 for the durable wire: connections, limits and timeouts around httptools' parser.

The parser is llhttp's, by httptools. What is around it is our own, because on this wire HTTP itself was the largest part
of a request's cost: a general server makes several objects, a header multi-dictionary and two writers for each request,
and a short answer needs none of them. It knows nothing of routes, sessions or the core.
"""

from triplane_durable.http.messages import HttpRequest, HttpResponse
from triplane_durable.http.server import HttpServer

__all__ = ["HttpRequest", "HttpResponse", "HttpServer"]

"""Drives the real `websockets` client from another interpreter: a JSON request a line in, a JSON answer a line out.

A request is `{"url": …, "send": {event} , "await": event name or null}`; connections are kept by URL. The answer is the
first frame with that event name after sending (null if none was awaited).
"""

import json
import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

connections = {}


def connection(url):
    """The open connection to a URL; one that the gateway closed when it was restarted is made again, as a page would."""
    known = connections.get(url)
    if known is not None:
        try:
            known.ping().wait(5)
            return known
        except ConnectionClosed:
            pass
    connections[url] = connect(url, max_size=None)
    return connections[url]


for line in sys.stdin:
    request = json.loads(line)
    try:
        socket = connection(request["url"])
        socket.send(json.dumps(request["send"]))
        answer = None
        while request["await"] is not None:
            answer = json.loads(socket.recv(timeout=20))
            if answer["event"] == request["await"]:
                break
    except Exception as error:
        connections.pop(request["url"], None)
        answer = {"event": "driver_error", "data": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)

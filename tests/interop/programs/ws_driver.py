"""Drives the real `websockets` client from another interpreter: a JSON request a line in, a JSON answer a line out.

A request is `{"url": …, "send": {event} , "await": event name or null}`; connections are kept by URL. The answer is the
first frame with that event name after sending (null if none was awaited).
"""

import json
import sys

from websockets.sync.client import connect

connections = {}
for line in sys.stdin:
    request = json.loads(line)
    try:
        if request["url"] not in connections:
            connections[request["url"]] = connect(request["url"], max_size=None)
        socket = connections[request["url"]]
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

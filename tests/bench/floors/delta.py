"""Floor: a mutation over CURVE, a durable commit, and its delta on a CURVE PUB socket.

The least a durable runtime must do: decode JSON, write one event row and one task row to SQLite (WAL,
synchronous=FULL), publish a 500-byte delta, answer. What has arrived together is committed together. Takes the
database's path; prints its two ports and public key as one JSON line when it is ready.
"""

import json
import sqlite3
import sys

import msgpack
import orjson
import zmq

GROUP = 256
"""Most requests in one transaction."""


def open_database(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute("create table event(seq integer primary key, body blob)")
    database.execute("create table task(id text primary key, held int, seq int) without rowid")
    return database


def arrived(router: zmq.Socket[bytes]) -> list[list[bytes]]:
    """At least one request, and whatever else waits, up to `GROUP`."""
    group = [router.recv_multipart()]
    while len(group) < GROUP:
        try:
            group.append(router.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            break
    return group


def main() -> None:
    context, keys, ports = zmq.Context(), zmq.curve_keypair(), []
    sockets = [context.socket(kind) for kind in (zmq.ROUTER, zmq.PUB)]
    for socket in sockets:
        socket.curve_server, socket.curve_publickey, socket.curve_secretkey = True, *keys
        ports.append(socket.bind_to_random_port("tcp://127.0.0.1"))
    router, publisher = sockets
    database, seq = open_database(sys.argv[1]), 0
    print(json.dumps({"port": ports[0], "publish_port": ports[1], "server_key": keys[0].decode()}), flush=True)
    while True:
        done = []
        group = arrived(router)
        database.execute("begin immediate")
        for identity, _, body in group:
            request, seq = orjson.loads(body), seq + 1
            database.execute("insert into event values(?,?)", (seq, body))
            database.execute(
                "insert into task values(?,1,?) on conflict(id) do update set held=1-held, seq=excluded.seq",
                (request["task"], seq),
            )
            done.append((identity, request["number"]))
        database.execute("commit")
        for identity, number in done:
            publisher.send_multipart((b"tasks", msgpack.packb({"number": number, "seq": seq, "rest": "d" * 470})))
            router.send_multipart((identity, b"", b'{"data":{"result":"accepted"}}'))


if __name__ == "__main__":
    main()

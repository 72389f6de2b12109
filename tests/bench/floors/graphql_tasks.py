"""Floor: a list of 1,000 tasks with 10 fields, as graphql-core executes it on objects, over CURVE.

What a server has that does nothing about the cost of GraphQL: a blocking ROUTER, the document parsed, validated and
executed for each request with graphql-core's defaults, the answer encoded with orjson. Prints its port and public key as
one JSON line when it is ready.
"""

import json
from types import SimpleNamespace

import orjson
import zmq
from graphql import build_schema, graphql_sync

TASKS = 1_000
SCHEMA = """
type Query { taskProxies: [TaskProxy] }
type TaskProxy {
  id: ID, name: String, cyclePoint: String, state: String, isHeld: Boolean, isQueued: Boolean, isRunahead: Boolean,
  jobSubmits: Int, flowNums: String, depth: Int
}
"""


def task(number: int) -> SimpleNamespace:
    name = f"t_i{number:04d}"
    return SimpleNamespace(
        id=f"~user/bench1000//1/{name}", name=name, cyclePoint="1", state="waiting", isHeld=False, isQueued=False,
        isRunahead=False, jobSubmits=0, flowNums="[1]", depth=1,
    )  # fmt: skip


def main() -> None:
    schema, root = build_schema(SCHEMA), SimpleNamespace(taskProxies=[task(number) for number in range(TASKS)])
    context, (public, secret) = zmq.Context(), zmq.curve_keypair()
    router = context.socket(zmq.ROUTER)
    router.curve_server, router.curve_publickey, router.curve_secretkey = True, public, secret
    port = router.bind_to_random_port("tcp://127.0.0.1")
    print(json.dumps({"port": port, "server_key": public.decode()}), flush=True)
    while True:
        identity, _, body = router.recv_multipart()
        arguments = orjson.loads(body)["args"]
        result = graphql_sync(schema, arguments["request_string"], root, variable_values=arguments["variables"])
        assert result.errors is None, result.errors
        router.send_multipart((identity, b"", orjson.dumps({"data": result.data})))


if __name__ == "__main__":
    main()

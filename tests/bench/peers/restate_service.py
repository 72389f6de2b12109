"""Peer: a Restate service with one handler that runs one step, served by Hypercorn in an interpreter that has the SDK."""

import restate

greeter = restate.Service("Greeter")


@greeter.handler()
async def greet(context: restate.Context, name: str) -> str:
    return await context.run_typed("activity", lambda: f"hello {name}")


app = restate.app([greeter])

"""Drives the real SDK client from another interpreter: a JSON request a line in, a JSON answer a line out.

Argument: base URL. A request is `[method of Client, [positional arguments], {keyword arguments}]`.
"""

import asyncio
import dataclasses
import json
import sys
from typing import Any

from durable_workflow import Client


def plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


async def main(url: str) -> None:
    loop = asyncio.get_running_loop()
    async with Client(url) as client:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            method, arguments, keywords = json.loads(line)
            try:
                answer = {"ok": plain(await getattr(client, method)(*arguments, **keywords))}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)


asyncio.run(main(sys.argv[1]))

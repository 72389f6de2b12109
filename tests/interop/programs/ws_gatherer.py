"""Gathers annotations as rickshaw does: all specs at once, those without an answer again and again, then a shutdown.

    ws_gatherer.py URL AT_LEAST SPEC …

Source: contract cyclus section 8.2. `AT_LEAST` requests are sent, however soon the answers come. Prints one JSON object.
"""

import asyncio
import json
import sys

import websockets


async def main(url, at_least, specs):
    found, sent, answers, others = {}, 0, 0, []
    async with websockets.connect(url) as socket:

        async def listen():
            nonlocal answers
            async for text in socket:
                frame = json.loads(text)
                if frame["event"] == "agent_annotations":
                    answers += 1
                    found[frame["params"]["spec"]] = frame["data"]
                elif frame["event"] != "heartbeat":
                    others.append(frame["event"])

        listening = asyncio.ensure_future(listen())
        while sent < at_least or set(specs) - found.keys():
            for spec in specs:
                if sent < at_least or spec not in found:
                    await socket.send(json.dumps({"event": "agent_annotations", "params": {"spec": spec}}))
                    sent += 1
            await asyncio.sleep(0.001)
        for _ in range(1_000):
            if answers >= sent:
                break
            await asyncio.sleep(0.01)
        await socket.send(json.dumps({"event": "shutdown", "params": {"when": "now"}}))
        while "shutdown" not in others:
            await asyncio.sleep(0.01)
        listening.cancel()
    known = sorted(spec for spec, data in found.items() if data is not None)
    print(json.dumps({"sent": sent, "answers": answers, "found": sorted(found), "known": known, "others": others}))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))

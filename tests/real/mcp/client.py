"""An MCP client with one session: client.py URL legacy|auto

Each line of its standard input is a call: `tools`, or a tool with its arguments in JSON, `note {"text": "..."}`. For each,
and first for the connection itself, it prints one line of JSON: {"seconds": ..., "result": ...} or {"seconds": ..., "error": ...}.
"""

import asyncio
import json
import sys
import time

from mcp import Client


async def answer(client, line):
    name, _, arguments = line.strip().partition(" ")
    if name == "tools":
        return [tool.name for tool in (await client.list_tools()).tools]
    result = await client.call_tool(name, json.loads(arguments or "{}"))
    if result.is_error:
        raise RuntimeError(result.content[0].text)
    return result.structured_content["result"]


async def timed(awaitable):
    begun = time.monotonic()
    try:
        told = {"result": await awaitable}
    except Exception as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps({"seconds": round(time.monotonic() - begun, 3)} | told), flush=True)
    return told


async def main(url, mode):
    client = Client(url, mode=mode, read_timeout_seconds=30)

    async def connect():
        await client.__aenter__()
        return client.protocol_version

    if "error" in await timed(connect()):
        return
    while line := await asyncio.to_thread(sys.stdin.readline):
        await timed(answer(client, line))
    await client.__aexit__(None, None, None)


asyncio.run(main(*sys.argv[1:]))

"""A WebSocket server, or its client, which prints what it sees."""

import asyncio
import os
import sys

import websockets


async def echo(connection):
    async for message in connection:
        if message == "leave":
            await connection.close(4001, "as you like")
        else:
            await connection.send(message)


async def serve():
    async with websockets.serve(echo, "0.0.0.0", 8000, max_size=None):
        await asyncio.Future()


async def ask():
    url = f"ws://{os.environ['HOST']}:{os.environ['PORT']}/"
    async with websockets.connect(url, max_size=None) as connection:
        for message in ["small", b"\0\xff", "ä" * (1 << 19), os.urandom(1 << 20), os.urandom(5 << 20)]:
            await connection.send(message)
            answer = await connection.recv()
            print(type(answer).__name__, len(answer), "the same" if answer == message else "another")
        await asyncio.wait_for(await connection.ping(b"are you there"), 10)
        print("pong")
        # Many at once: nothing waits for the echo of what came before.
        await asyncio.gather(*(connection.send(str(number)) for number in range(1000)))
        heard = [await connection.recv() for _ in range(1000)]
        print("in order" if heard == [str(number) for number in range(1000)] else "out of order")
    print("left:", connection.close_code)
    async with websockets.connect(url) as connection:
        await connection.send("leave")
        await connection.wait_closed()
    print("sent away:", connection.close_code, connection.close_reason)


asyncio.run(serve() if sys.argv[1:] == ["serve"] else ask())

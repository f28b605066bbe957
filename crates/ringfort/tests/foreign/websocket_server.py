"""A WebSocket echo by `websockets`. Argument: the port. The text `bye` closes with code 4001."""
import asyncio
import sys

from websockets.asyncio.server import serve


async def echo(connection):
    async for message in connection:
        if message == "bye":
            await connection.close(4001, "as asked")
            return
        await connection.send(message)


async def main():
    async with serve(echo, "127.0.0.1", int(sys.argv[1]), max_size=4 * 1024 * 1024, subprotocols=["echo"]):
        print("WebSocket echo serves", flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())

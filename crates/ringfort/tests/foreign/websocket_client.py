"""Uses the WebSocket echo. Arguments: its URLs. Prints `ok` at the end."""
import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

# The gateway's certificate is not what is tested here.
ANYONE = ssl.create_default_context()
ANYONE.check_hostname = False
ANYONE.verify_mode = ssl.CERT_NONE


async def use(url):
    secure = ANYONE if url.startswith("wss:") else None
    async with connect(url, ssl=secure, subprotocols=["echo"], max_size=4 * 1024 * 1024, proxy=None) as connection:
        assert connection.subprotocol == "echo"
        for message in ["hello", "\u00e9\u4e2d" * 1000, b"\x00\xff" * 500_000, ""]:
            await connection.send(message)
            assert await connection.recv() == message
        # Many in flight at once, in order.
        for number in range(1000):
            await connection.send(str(number))
        assert [await connection.recv() for _ in range(1000)] == [str(number) for number in range(1000)]
        await (await connection.ping())
        await connection.send("bye")
        try:
            await connection.recv()
            sys.exit("the server did not close")
        except ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "as asked"), closed


async def main():
    for url in sys.argv[1:]:
        await asyncio.wait_for(use(url), 20)
    print("ok")


asyncio.run(main())

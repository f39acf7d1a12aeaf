"""A mail server that takes everything and keeps each mail as a file: `sink.py ADDRESS PORT DIRECTORY`."""

import asyncio
import itertools
import pathlib
import sys

ADDRESS = None if sys.argv[1] == "any" else sys.argv[1]
PORT, DIRECTORY = int(sys.argv[2]), pathlib.Path(sys.argv[3])
NUMBERS = itertools.count(len(list(DIRECTORY.glob("*.eml"))))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of SMTP."""

    async def say(line: str) -> None:
        writer.write(f"{line}\r\n".encode())
        await writer.drain()

    await say("220 sink ESMTP")
    while line := await reader.readline():
        verb = line.split()[0].upper() if line.split() else b""
        if verb == b"EHLO":
            await say("250-sink")
            await say("250 8BITMIME")
        elif verb == b"DATA":
            await say("354 go on")
            mail = await reader.readuntil(b"\r\n.\r\n")
            keep(mail[:-3].replace(b"\r\n..", b"\r\n."))
            await say("250 taken")
        elif verb == b"QUIT":
            await say("221 bye")
            break
        else:
            await say("250 ok")
    writer.close()


def keep(mail: bytes) -> None:
    """Writes a mail under the next number, whole or not at all."""
    place = DIRECTORY / f"{next(NUMBERS):06}.eml"
    half = place.with_suffix(".half")
    half.write_bytes(mail)
    half.rename(place)


async def main() -> None:
    """Listens until it is stopped."""
    server = await asyncio.start_server(serve, ADDRESS, PORT, limit=64 * 1024 * 1024)
    async with server:
        await server.serve_forever()


asyncio.run(main())

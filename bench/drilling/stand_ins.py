"""What stands between Faxroom and its neighbours, or for one of them: a mail server that can misbehave, and a cable to
Asterisk that can be cut. Both run on a loop of their own, in a thread."""

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes
from typing import Any, Literal

Mood = Literal["well", "gone", "silent", "refusing", "dying"]


class _Listener(ABC):
    """Takes connections at a port of this machine, until it is told to be gone."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        threading.Thread(target=self._loop.run_forever, daemon=True, name=type(self).__name__).start()

    def listen(self) -> None:
        self._do(self._begin())

    def be_gone(self) -> None:
        """Nobody listens there any more, and every connection ends."""
        self._do(self._end())

    def cut(self) -> None:
        """Every connection ends; new ones are taken."""
        self._do(self._abort())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _begin(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=64 * 1024**2)

    async def _end(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        await self._abort()

    async def _abort(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._talk(reader, writer)
        finally:
            self._open.discard(writer)
            writer.close()

    @abstractmethod
    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """With one who connected, until either has had enough."""


class MailServer(_Listener):
    """Takes every mail and remembers its Message-ID and when it came, however it is behaving.

    *gone*: nobody listens. *silent*: nothing is said. *refusing*: 421 as the greeting. *dying*: the mail is taken, and
    the connection ends before that is said, so that it has to come again.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.mood: Mood = "well"
        self.came: list[tuple[float, str]] = []  # time.monotonic(), Message-ID

    @contextmanager
    def being(self, mood: Mood) -> Iterator[None]:
        self.mood = mood
        self.be_gone() if mood == "gone" else self.cut()
        yield
        self.mood = "well"
        self.listen() if mood == "gone" else self.cut()

    def delivered(self) -> Counter[str]:
        return Counter(message_id for _, message_id in list(self.came))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())
            await writer.drain()

        if self.mood == "silent":
            await reader.read()
            return
        await say("421 too busy" if self.mood == "refusing" else "220 drill")
        while line := await reader.readline():
            match line[:4].upper().strip():
                case b"DATA":
                    await say("354 go on")
                    self._take(await reader.readuntil(b"\r\n.\r\n"))
                    if self.mood == "dying":
                        writer.transport.abort()
                        return
                    await say("250 taken")
                case b"QUIT":
                    await say("221 bye")
                    return
                case _:
                    await say("250 drill" if self.mood != "refusing" else "421 too busy")

    def _take(self, mail: bytes) -> None:
        message_id = message_from_bytes(mail)["Message-ID"] or ""
        self.came.append((time.monotonic(), message_id.strip()))


class Cable(_Listener):
    """Hands on what comes to its port to another port of this machine, both ways."""

    def __init__(self, port: int, to: int) -> None:
        super().__init__(port)
        self.to = to
        self.is_silent = False

    @contextmanager
    def torn(self) -> Iterator[None]:
        self.be_gone()
        yield
        self.listen()

    @contextmanager
    def held(self) -> Iterator[None]:
        """All connections stay, and nothing gets through."""
        self.is_silent = True
        yield
        self.is_silent = False
        self.cut()  # what was sent meanwhile is lost

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        self._open.add(back)
        try:
            ways = [asyncio.create_task(self._carry(*way)) for way in ((reader, back), (there, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
        finally:
            self._open.discard(back)
            back.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if not self.is_silent:
                    writer.write(data)
                    await writer.drain()


def wait_until(true: Callable[[], object], *, seconds: float, pause: float = 0.1) -> float | None:
    """Seconds until it was true; None when it was not within ``seconds``."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > seconds:
            return None
        time.sleep(pause)
    return time.monotonic() - began

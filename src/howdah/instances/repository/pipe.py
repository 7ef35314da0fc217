"""A library that wants to read and write files by itself, put between two streams of chunks."""

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue

from howdah.instances.repository.objects import ending

# What is written is handed on in pieces of at least this many bytes.
_PIECE = 256 << 10


class _Left(Exception):
    """Whoever wanted the output is gone."""


class _More:
    """The library waits for input."""


class _Done:
    """The library is through."""


class _Link:
    """The library's two files. They live in its thread; the chunks' source is read in the consumer's."""

    def __init__(self) -> None:
        self.out: SimpleQueue[bytes | Exception | type[_More] | type[_Done]] = SimpleQueue()
        self.into: SimpleQueue[bytes | None] = SimpleQueue()
        self._rest = memoryview(b"")
        self._ended = False
        self._written = bytearray()

    def read(self, size: int) -> bytes:
        if not self._rest and not self._ended:
            self.out.put(_More)
            chunk = self.into.get()
            if chunk is None:
                raise _Left
            self._ended = not chunk
            self._rest = memoryview(chunk)
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)

    def write(self, piece: bytes) -> int:
        self._written += piece
        if len(self._written) >= _PIECE:
            self._hand_on()
        return len(piece)

    def flush(self) -> None:
        pass

    def run(self, work: Callable[["_Link", "_Link"], object]) -> None:
        try:
            work(self, self)
        except Exception as error:  # noqa: BLE001 - it is raised in the consumer's thread
            self.out.put(error)
        else:
            self._hand_on()
            self.out.put(_Done)

    def _hand_on(self) -> None:
        if self._written:
            self.out.put(bytes(self._written))
            self._written.clear()


def through(work: Callable[[_Link, _Link], object], chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What `work(reader, writer)` makes of `chunks`; what it raises is raised here.

    `work` runs in a thread of its own, which asks for a chunk when it has none: no more than one, and what became of
    it, is held. The thread ends with this generator.
    """
    link = _Link()
    thread = threading.Thread(target=link.run, args=(work,), name="howdah-pipe", daemon=True)
    thread.start()
    try:
        with ending(chunks):
            # An empty chunk would be the end of a file.
            source = (chunk for chunk in chunks if chunk)
            while True:
                said = link.out.get()
                if isinstance(said, bytes):
                    yield said
                elif isinstance(said, Exception):
                    raise said
                elif said is _More:
                    link.into.put(next(source, b""))
                else:
                    return
    finally:
        link.into.put(None)
        thread.join()

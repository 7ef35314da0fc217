"""Chunks read ahead of whoever uses them, so that two steps on a long stream are at work at once."""

import threading
from collections.abc import Generator, Iterable
from queue import Empty, Full, Queue

from howdah.instances.repository.objects import ending

# Pieces of up to a MB or so, each.
_DEPTH = 8
_LOOK_EVERY_S = 0.1


class _End:
    """There is no more."""


def ahead(chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
    """The chunks, which a thread of its own takes from their source; what that raises is raised here.

    The thread ends with this generator, and ends the source.
    """
    ready: Queue[bytes | BaseException | type[_End]] = Queue(_DEPTH)
    left = threading.Event()

    def put(what: bytes | BaseException | type[_End]) -> bool:
        while not left.is_set():
            try:
                ready.put(what, timeout=_LOOK_EVERY_S)
            except Full:
                continue
            return True
        return False

    def run() -> None:
        end: BaseException | type[_End] = _End
        try:
            with ending(chunks):
                for chunk in chunks:
                    if not put(chunk):
                        return
        except BaseException as error:  # noqa: BLE001 - it is raised in the consumer's thread
            end = error
        put(end)

    thread = threading.Thread(target=run, name="howdah-ahead", daemon=True)
    thread.start()
    try:
        while True:
            got = ready.get()
            if isinstance(got, BaseException):
                raise got
            if not isinstance(got, bytes):
                return
            yield got
    finally:
        left.set()
        # Whoever waits for room finds it.
        while not ready.empty():
            try:
                ready.get_nowait()
            except Empty:
                break
        thread.join()

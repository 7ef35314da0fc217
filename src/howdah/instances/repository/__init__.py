"""Where backups and WAL are kept: a folder or a bucket of S3, with the same few verbs.

What is put there is compressed and encrypted before, by `sealing.py`.
"""

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.repository.credentials import Credentials
from howdah.instances.repository.folder import Folder
from howdah.instances.repository.objects import Room, StoredObject
from howdah.instances.repository.s3 import SCHEME, open_bucket

__all__ = ["Repository", "Room", "StoredObject", "open_repository"]


class Repository(Protocol):
    """Objects by key. Keys are like `wal/000000010000000000000003.zst`: letters, digits, `.`, `_`, `-` and `/`.

    Every verb raises HowdahError `repository` when the place can't be reached, read or written, and
    `invalid_input` for what can't be a key. An object may be used from several threads.
    """

    @property
    def location(self) -> str:
        """Where it is, as shown to people; no secret is in it."""

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        """Store an object in place of the one there may be; returns its size in bytes.

        It is there whole or not at all, and durable on return. When `chunks` raises, nothing is left and the old
        object stays; a generator is closed in any case. Raises HowdahError `disk_full` besides.
        """

    def get(self, key: str) -> Generator[bytes, None, None]:
        """An object's bytes, in chunks of up to some MB. Raises HowdahError `backup_missing` before the first."""

    def find(self, key: str) -> StoredObject | None:
        """What is known of one object; None where there is none. It takes no longer however many others there are."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """The objects whose keys begin with `prefix`, sorted by key."""

    def delete(self, key: str) -> None:
        """Delete an object; one that isn't there is no error."""

    def room(self) -> Room | None:
        """The room on its disk; None where that can't be told."""


def open_repository(location: str, home: Home, given: Credentials | None = None) -> Repository:
    """The repository at an absolute folder path, or at `s3://bucket/prefix?endpoint=…&region=…`.

    A folder is made unless it is there; for S3, the server isn't asked yet, and `given` are used instead of what
    `credentials` finds. Raises HowdahError `invalid_input`, `plaintext_refused`, `repository`, and `missing_program`
    without the extra `s3`.
    """
    if location.startswith(SCHEME):
        return open_bucket(location, home, given)
    if "://" in location or not Path(location).is_absolute():
        # It isn't repeated: who writes an address of another kind may have written a password into it.
        raise HowdahError(
            "invalid_input",
            "that is no place for backups",
            hint="Name a folder by its absolute path, or s3://BUCKET/PREFIX?endpoint=URL&region=REGION.",
        )
    return Folder(Path(location))

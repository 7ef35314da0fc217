"""One cluster's part of a repository: what is put there is sealed, what is got is open again."""

from collections.abc import Iterable, Iterator

from howdah.instances.repository import Repository, Room, StoredObject
from howdah.instances.repository.sealing import SUFFIXES, Sealing


class ClusterRepository:
    """Objects of the cluster with that system identifier, by keys of its own like `wal/00000001/…`.

    Keys are given and returned without the prefix and without the suffix that says how an object is sealed, so that
    encryption can be turned on later. Raises what Repository and Sealing raise.
    """

    def __init__(self, repository: Repository, sealing: Sealing, identifier: int):
        self._repository = repository
        self._sealing = sealing
        self._prefix = f"{identifier}/"

    @property
    def location(self) -> str:
        """Where the repository is, as shown to people."""
        return self._repository.location

    @property
    def encrypted(self) -> bool:
        """Whether what is put from now on is encrypted."""
        return self._sealing.recipient is not None

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        """Store an object, sealed; returns its size as stored."""
        return self._repository.put(self._prefix + key + self._sealing.suffix, self._sealing.seal(chunks))

    def get(self, key: str) -> Iterator[bytes]:
        """An object's bytes, open. What comes may be trusted at the end only: until then it may be damaged."""
        stored = self._stored(key)
        # Where it isn't there, the repository says so, or why it can't be told.
        name = stored[-1] if stored else self._prefix + key + self._sealing.suffix
        yield from self._sealing.unseal(self._repository.get(name), name)

    def has(self, key: str) -> bool:
        """Whether it is there, sealed in whichever way."""
        return bool(self._stored(key))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """The objects whose keys begin with `prefix`, sorted."""
        for stored in self._repository.list(self._prefix + prefix):
            yield StoredObject(_open_key(stored.key).removeprefix(self._prefix), stored.size, stored.modified_at)

    def delete(self, key: str) -> None:
        """Delete an object, sealed in whichever way; one that isn't there is no error."""
        for stored in self._stored(key):
            self._repository.delete(stored)

    def room(self) -> Room | None:
        """The room on its disk; None where that can't be told."""
        return self._repository.room()

    def _stored(self, key: str) -> tuple[str, ...]:
        # A list would go through all of a folder of a hundred thousand segments, for each of them.
        found = [self._repository.find(self._prefix + key + suffix) for suffix in SUFFIXES]
        return tuple(each.key for each in sorted(filter(None, found), key=lambda each: each.modified_at))


def _open_key(key: str) -> str:
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if key.endswith(suffix):
            return key.removesuffix(suffix)
    return key

"""How a backup's bytes are stored: compressed with zstd and, with a key, encrypted in the format of age.

So `zstd -d` opens them without howdah, and `age -d -i backup-key.txt` before it. Nothing here holds more than a few
MB of a stream, however long it is.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType

from howdah.domain.errors import HowdahError, sentence
from howdah.domain.home import Home
from howdah.instances.files import read_secret, write_secret
from howdah.instances.repository.objects import ending
from howdah.instances.repository.pipe import through

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_COMPRESSED = ".zst"
_ENCRYPTED = ".zst.age"
SUFFIXES = (_COMPRESSED, _ENCRYPTED)
_PIECE = 1 << 20
_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: 1,
}


@dataclass(frozen=True)
class Sealing:
    """What is sealed for `recipient` (a public key of age; None: not encrypted) is opened with `identity`.

    The identity is one secret key, or several, a line each.
    """

    recipient: str | None = None
    identity: str | None = field(default=None, repr=False)

    @property
    def suffix(self) -> str:
        """What the keys of sealed objects end with."""
        return _ENCRYPTED if self.recipient else _COMPRESSED

    def seal(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The stream compressed and, with a recipient, encrypted.

        Raises HowdahError `missing_program` without the extra `encryption`, `invalid_input` for what is no recipient.
        """
        compressed = _compress(chunks)
        if self.recipient is None:
            return compressed
        age = _age()
        try:
            recipient = age.x25519.Recipient.from_str(self.recipient)
        except age.RecipientError:
            raise HowdahError("invalid_input", "that is no public key of age", hint="It begins with age1.") from None
        return through(lambda reader, writer: age.encrypt_io(reader, writer, [recipient]), compressed)

    def unseal(self, chunks: Iterable[bytes], key: str) -> Iterator[bytes]:
        """The stream as it was; what was done to it is told from the suffix of `key`, which errors name too.

        Raises HowdahError `backup_damaged` for what is damaged or ends early (so whoever uses the bytes waits for the
        end), `backup_sealed` without the right identity, `missing_program`.
        """
        if key.endswith(_ENCRYPTED):
            return _decompress(self._decrypt(chunks, key), key)
        if key.endswith(_COMPRESSED):
            return _decompress(chunks, key)
        raise HowdahError(
            "backup_damaged",
            f"nobody can tell how {key} is stored",
            detail=f"Its name ends with neither {_COMPRESSED} nor {_ENCRYPTED}.",
        )

    def _decrypt(self, chunks: Iterable[bytes], key: str) -> Iterator[bytes]:
        if self.identity is None:
            raise _sealed(key, "There is no key here.")
        age = _age()
        identities = [age.x25519.Identity.from_str(line) for line in self.identity.splitlines()]
        raised: list[Exception] = []
        try:
            yield from through(
                lambda reader, writer: age.decrypt_io(reader, writer, identities), _remembering(chunks, raised)
            )
        except (age.DecryptError, OSError) as error:
            if any(error is each for each in raised):
                raise
            # Damage to the header can look like this, too.
            if "No matching keys" in str(error):
                raise _sealed(key, "It was sealed for another key, or its first bytes are damaged.") from None
            raise _damaged(key, "Its encryption doesn't end as it should, or it was changed.") from None


def _remembering(chunks: Iterable[bytes], raised: list[Exception]) -> Iterator[bytes]:
    """The chunks; what their source raises is put into `raised`, so that nobody takes it for damage."""
    with ending(chunks):
        try:
            yield from chunks
        except Exception as error:
            raised.append(error)
            raise


def _compress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zstd.ZstdCompressor(options=_OPTIONS)
    with ending(chunks):
        for chunk in chunks:
            if compressed := compressor.compress(chunk):
                yield compressed
        yield compressor.flush()


def _decompress(chunks: Iterable[bytes], key: str) -> Iterator[bytes]:
    decompressor = zstd.ZstdDecompressor()
    with ending(chunks):
        for chunk in chunks:
            rest = chunk
            while rest or not (decompressor.needs_input or decompressor.eof):
                try:
                    plain = decompressor.decompress(rest, _PIECE)
                except (zstd.ZstdError, EOFError, MemoryError) as error:
                    raise _damaged(
                        key, "Something follows its end." if decompressor.eof else sentence(str(error))
                    ) from None
                rest = decompressor.unused_data if decompressor.eof else b""
                if plain:
                    yield plain
    if not decompressor.eof:
        raise _damaged(key, "It ends early.")


def _damaged(key: str, detail: str) -> HowdahError:
    return HowdahError(
        "backup_damaged",
        f"{key} is damaged",
        detail=detail,
        hint="It can't be used. Take another backup, and look at the disk or the bucket that it came from.",
    )


def _sealed(key: str, detail: str) -> HowdahError:
    return HowdahError(
        "backup_sealed",
        f"{key} is encrypted, and can't be opened",
        detail=detail,
        hint="Put the key that it was sealed for, a line that begins with AGE-SECRET-KEY-1, "
        "into secrets/backup-key.txt of howdah's home.",
    )


def _age() -> ModuleType:
    """pyrage. Raises HowdahError `missing_program`."""
    try:
        import pyrage
    except ImportError as error:
        raise HowdahError(
            "missing_program",
            "the library for encryption isn't installed",
            hint="Install it: pip install 'howdah[encryption]'.",
        ) from error
    found: ModuleType = pyrage
    return found


def new_key() -> Sealing:
    """A fresh key. Raises HowdahError `missing_program`."""
    identity = _age().x25519.Identity.generate()
    return Sealing(str(identity.to_public()), str(identity))


def save_identity(home: Home, sealing: Sealing) -> None:
    """Keep a key in the home's secrets, for `load_sealing` and for age itself.

    Raises HowdahError `file_exists` when another one is there: backups may be sealed for it. `home`, `disk_full`.
    """
    if sealing.identity is None:
        raise ValueError("no identity to keep")
    if read_secret(home.backup_key) is not None:
        if load_sealing(home) == sealing:
            return
        raise HowdahError(
            "file_exists",
            "there is a key for backups already",
            detail=f"It is in {home.backup_key}, and backups may be sealed for it.",
            hint="To seal for a new key from now on, put its line above the old one's.",
        )
    created = datetime.now(UTC).isoformat(timespec="seconds")
    write_secret(home.backup_key, f"# created: {created}\n# public key: {sealing.recipient}\n{sealing.identity}\n")


def load_sealing(home: Home) -> Sealing:
    """The key that was kept; its first line seals, all of them open. Without any, nothing is encrypted.

    Raises HowdahError `home` when the file holds no key, `missing_program`.
    """
    content = read_secret(home.backup_key)
    if content is None:
        return Sealing()
    lines = [line.strip() for line in content.splitlines() if line.strip() and not line.startswith("#")]
    age = _age()
    try:
        identities = [age.x25519.Identity.from_str(line) for line in lines]
        return Sealing(str(identities[0].to_public()), "\n".join(lines))
    except (age.IdentityError, IndexError):
        # Its text could quote the key.
        raise HowdahError(
            "home",
            f"{home.backup_key} doesn't hold keys of age",
            hint="Each line begins with AGE-SECRET-KEY-1, or with # for a remark. Backups aren't taken until then.",
        ) from None

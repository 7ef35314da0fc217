"""A repository in a bucket of S3, or of a server that speaks as S3 does. Needs the extra `howdah[s3]`."""

import itertools
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.repository.address import SCHEME, Address, parse_address
from howdah.instances.repository.credentials import Credentials, credentials
from howdah.instances.repository.objects import (
    Room,
    StoredObject,
    check_key,
    check_prefix,
    ending,
    missing,
)

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential, S3Store

__all__ = ["SCHEME", "Bucket", "open_bucket"]

# Bytes per part of an upload. Two are under way at once besides the one that is being filled.
_PART = 32 << 20
# S3 takes no more parts than this for one object.
_PARTS = 10_000
# Bytes per request of a download: each one ends within the time limit, and is asked again by itself.
_RANGE = 16 << 20
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_HINTS = {
    "AccessDenied": "Check what these credentials may do in the bucket: get, put, list and delete.",
    "InvalidAccessKeyId": "Check the credentials.",
    "SignatureDoesNotMatch": "Check the credentials.",
    "RequestTimeTooSkewed": "Set this machine's clock right.",
    "NoSuchBucket": "Make the bucket, or check its name, endpoint and region.",
}


def open_bucket(location: str, home: Home, given: Credentials | None = None) -> "Bucket":
    """The repository at `s3://…`. The server isn't asked yet.

    Raises HowdahError `invalid_input`, `plaintext_refused`, `repository` (no credentials), `missing_program`.
    """
    address = parse_address(location)
    try:
        import obstore  # noqa: F401
    except ImportError as error:
        raise HowdahError(
            "missing_program",
            "the library for S3 isn't installed",
            hint="Install it: pip install 'howdah[s3]'. Or keep backups in a folder.",
        ) from error
    return Bucket(address, given or credentials(home))


def _store(address: Address, keys: Credentials) -> "S3Store":
    from obstore.store import S3Store

    lent: S3Credential = {
        "access_key_id": keys.access_key_id,
        "secret_access_key": keys.secret_access_key,
        "token": keys.session_token,
        "expires_at": None,
    }
    where: S3Config = {"region": address.region}
    if address.endpoint:
        where["endpoint"] = address.endpoint
    store: S3Store = S3Store(
        address.bucket,
        prefix=address.prefix or None,
        config=where,
        client_options={
            "allow_http": (address.endpoint or "").startswith("http:"),
            "connect_timeout": timedelta(seconds=10),
            # for one part, on a slow line
            "timeout": timedelta(minutes=10),
        },
        retry_config={"max_retries": 4, "retry_timeout": timedelta(minutes=3)},
        # Not in `config`, which is shown where a store is printed, and mixed with the environment.
        credential_provider=lambda: lent,
    )
    return store


class Bucket:
    """Objects below a prefix of a bucket."""

    def __init__(self, address: Address, keys: Credentials):
        self.location = address.shown
        with self._refusals():
            self._store = _store(address, keys)

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        import obstore

        stored = 0
        # What the source raises goes through the library and comes out as it was.
        raised: list[BaseException] = []

        def counted() -> Iterator[bytes]:
            nonlocal stored
            try:
                for chunk in chunks:
                    stored += len(chunk)
                    if stored > _PART * _PARTS:
                        raise HowdahError(
                            "repository", f"{key} is too large for {self.location}", detail="S3 has 10,000 parts."
                        )
                    yield chunk
            except BaseException as error:
                raised.append(error)
                raise

        with ending(chunks):
            check_key(key)
            source = counted()
            first = []
            for chunk in source:
                first.append(chunk)
                if stored > _PART:
                    break
            with self._refusals(key, raised):
                if stored <= _PART:
                    obstore.put(self._store, key, b"".join(first), use_multipart=False)
                else:
                    parts = itertools.chain(first, source)
                    del first
                    obstore.put(self._store, key, parts, use_multipart=True, chunk_size=_PART, max_concurrency=2)
        return stored

    def get(self, key: str) -> Generator[bytes, None, None]:
        import obstore

        check_key(key)
        with self._refusals(key):
            try:
                found = obstore.head(self._store, key)
            except FileNotFoundError:
                obstore.get(self._store, key)  # asked for the reason, which the answer to a HEAD has no place for
                raise
        version = found["e_tag"]
        for start in range(0, found["size"], _RANGE):
            with self._refusals(key):
                part = obstore.get(
                    self._store,
                    key,
                    options={"range": (start, min(start + _RANGE, found["size"])), "if_match": version},
                )
                chunk = bytes(part.bytes())
            yield chunk

    def find(self, key: str) -> StoredObject | None:
        import obstore

        check_key(key)
        with self._refusals(key):
            try:
                found = obstore.head(self._store, key)
            except FileNotFoundError:
                return None
        return StoredObject(key, found["size"], found["last_modified"])

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        import obstore

        check_prefix(prefix)
        above = prefix.rpartition("/")[0]
        with self._refusals():
            found = [
                StoredObject(each["path"], each["size"], each["last_modified"])
                for page in obstore.list(self._store, above or None, chunk_size=1000)
                for each in page
                if each["path"].startswith(prefix)
            ]
        # Not every server sorts as S3 does.
        return iter(sorted(found, key=lambda each: each.key))

    def delete(self, key: str) -> None:
        import obstore

        check_key(key)
        with self._refusals():
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise

    def room(self) -> Room | None:
        return None

    @contextmanager
    def _refusals(self, key: str = "", raised: Iterable[BaseException] = ()) -> Iterator[None]:
        """Turn the library's errors into `backup_missing` or `repository`.

        Their text stays here: it quotes requests and answers, and an answer may quote the access key.
        """
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            if any(error is each for each in raised):
                raise
            code = _code(error)
            if key and isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
                raise missing(key, self.location) from None
            raise HowdahError(
                "repository",
                f"{self.location} can't be used",
                detail=_reason(error, code),
                hint=_HINTS.get(code or ""),
            ) from None


def _code(error: Exception) -> str | None:
    found = _CODE.search(str(error))
    return found[1] if found else None


def _reason(error: Exception, code: str | None) -> str:
    if code:
        return f"The server answered {code}."
    if status := _STATUS.search(str(error)):
        return f"The server answered with HTTP status {status[1]}."
    if "error sending request" in str(error):
        return "There is no connection to the server."
    return f"The library for S3 failed with {type(error).__name__}."

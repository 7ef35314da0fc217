"""What is wanted of backups: shown and changed."""

import os
from dataclasses import asdict, replace
from typing import Any

from howdah.domain.backup_views import BackupSchedule
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.names import HOME_INSTANCE
from howdah.instances.backup_settings import BackupSettings
from howdah.instances.files import disk_errors
from howdah.instances.repository import open_repository
from howdah.instances.repository.credentials import Credentials, save_credentials
from howdah.instances.repository.s3 import SCHEME
from howdah.instances.repository.sealing import load_sealing, new_key, save_identity
from howdah.services.core import Core
from howdah.services.coverage import Coverage
from howdah.services.operations import Operations


class BackupPlans:
    """Shows and changes the settings; a change holds at once."""

    def __init__(self, core: Core, operations: Operations, coverage: Coverage):
        self._core = core
        self._operations = operations
        self._coverage = coverage

    def show(self) -> BackupSchedule:
        """Raises HowdahError `home`."""
        return self._shown(BackupSettings.load(self._core.home))

    def change(self, given: dict[str, Any], actor: str, *, s3: tuple[str, str] | None = None) -> BackupSchedule:
        """Change what is given (None: not given); `s3` are an access key's id and secret, kept in the home.

        Another repository is written to and read from before it is taken; backups in the one before stay there. When
        encryption is turned on for the first time, the answer has the key. Raises HowdahError `invalid_input`,
        `key_without_bucket`, `plaintext_refused`, `missing_program`, `repository`, `home`, `disk_full`; then nothing
        was changed.
        """
        home = self._core.home
        before = BackupSettings.load(home)
        for name in given.get("dumps_only") or ():
            self._core.instance(name)
        wanted = before.merged(given)
        notices: list[str] = []
        with self._operations.run("backup.schedule", None, actor, about=HOME_INSTANCE) as operation:
            keys = Credentials(*s3) if s3 is not None else None
            if keys is not None and not wanted.location(home).startswith(SCHEME):
                raise HowdahError(
                    "key_without_bucket",
                    "an access key is for S3, and backups are kept in a folder",
                    hint="Name the bucket with it: --repository s3://BUCKET/PREFIX?endpoint=URL&region=REGION.",
                )
            if keys is not None or (wanted.on and wanted.location(home) != before.location(home)):
                _try(wanted, home, keys)
                if wanted.location(home) != before.location(home):
                    notices.append(
                        f"What was kept so far stays in {before.location(home)}, and is looked for there no more. "
                        "Unless there is a backup in the new place already, one is taken now."
                    )
            key = None
            if wanted.encrypted and not before.encrypted:
                sealing = load_sealing(home)
                if sealing.identity is None:
                    sealing = new_key()
                    save_identity(home, sealing)
                    key = sealing.identity
            if keys is not None:
                save_credentials(home, keys)
            with disk_errors(home.root):
                wanted.save(home)
            self._coverage.settings_changed()
            operation.audited = asdict(wanted)
            if wanted != before:
                self._core.wake("backup.cover", 0)
                self._core.wake("backup.take", 0)
                # What `status` says of it is of before.
                self._core.wake("wal.look", 0)
        return replace(self._shown(wanted), key=key, notices=notices)

    def _shown(self, settings: BackupSettings) -> BackupSchedule:
        known = asdict(settings)
        known["repository"] = settings.location(self._core.home)
        return BackupSchedule(**known)


def _try(wanted: BackupSettings, home: Home, keys: Credentials | None) -> None:
    """Put something there, read it, and take it away. Raises HowdahError `repository` and what opening one raises."""
    repository = open_repository(wanted.location(home), home, keys)
    key, content = f"probe-{os.urandom(6).hex()}", os.urandom(64)
    repository.put(key, [content])
    try:
        if b"".join(repository.get(key)) != content:
            raise HowdahError("repository", f"{repository.location} doesn't give back what was put there")
    finally:
        repository.delete(key)

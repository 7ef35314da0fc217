"""What PostgreSQL hands its WAL to: a program that needs nothing of howdah's, and the spool that it fills.

So WAL is kept while howdah is stopped, replaced or gone. howdah stores what is in the spool, and takes it out then.
"""

import shlex
from contextlib import suppress
from pathlib import Path

from howdah.domain.home import Home
from howdah.instances.files import disk_errors, make_folder, read_file, write_file
from howdah.instances.spool import Spool, Waiting, full_disks, shown, waiting
from howdah.postgres.programs import ServiceUser

PROGRAM = "archive-wal"
# What waits longer than that isn't just on its way: PostgreSQL tries at once.
_STUCK_S = 40.0
_SCRIPT = """\
#!/bin/sh
# Written by `howdah up`: PostgreSQL's archive_command. It copies one finished WAL file to the spool beside it, where
# howdah takes it up. It needs neither howdah nor Python. Usage: archive-wal PATH NAME
set -eu
umask 077
PATH=${PATH:-/usr/bin:/bin}
spool=$(dirname -- "$0")/spool
new=$spool/.new-$2
if [ -e "$spool/$2" ]; then
    if cmp -s -- "$1" "$spool/$2"; then
        # Whoever copied it may have been killed just before this.
        sync -- "$spool"
        exit 0
    fi
    echo "archive-wal: $spool/$2 is there already and holds something else" >&2
    exit 1
fi
trap 'rm -f -- "$new"' EXIT
cp -- "$1" "$new"
# A file first, then its name: after a crash of the machine it is there whole or not at all.
sync -- "$new"
mv -- "$new" "$spool/$2"
trap - EXIT
sync -- "$spool"
"""


class Archiver(Spool):
    """The program and the spool of one home, whose server has its WAL in `data`/pg_wal."""

    def __init__(self, home: Home, data: Path):
        self._home = home
        self._data = data
        super().__init__(home.archive / "spool")

    @property
    def command(self) -> str:
        """The value of archive_command."""
        # What begins with % is PostgreSQL's to fill in; the rest is the shell's.
        program = shlex.quote(str(self._home.archive / PROGRAM)).replace("%", "%%")
        return f'{program} "%p" "%f"'

    def install(self, user: ServiceUser) -> None:
        """Write the program, and make the spool. Raises `home`, `disk_full`."""
        with disk_errors(self._home.archive):
            make_folder(self._home.archive, 0o700, user)
            make_folder(self.spool, 0o700, user)
            write_file(self._home.archive, PROGRAM, _SCRIPT, user, mode=0o700)

    def in_server(self) -> Waiting:
        """What the server has finished and couldn't archive yet."""
        ready = []
        with suppress(OSError):
            ready = [path for path in (self._data / "pg_wal" / "archive_status").iterdir() if path.suffix == ".ready"]
        return waiting(ready, [self._data / "pg_wal" / path.stem for path in ready])

    def troubles(self) -> list[str]:
        """Whether what archives is there, as it was installed: a sentence each."""
        program = self._home.archive / PROGRAM
        try:
            intact = read_file(program.parent, PROGRAM) == _SCRIPT and program.stat().st_mode & 0o100
            if intact and self.spool.is_dir():
                return []
        except OSError:
            pass
        what = f"{program} or {self.spool} is gone or was changed"
        return [f"WAL can't be archived: {what}. `howdah up` puts that right."]

    def held_back(self, *, stopped: bool = False) -> list[str]:
        """What is late, what of it fills a disk, what was set aside: a sentence each. It asks no server.

        Where the server is `stopped`, nothing is late: there is nothing that moves WAL.
        """
        spool, server = self.in_spool(), self.in_server()
        said = self.aside()
        if server.seconds > _STUCK_S and not stopped:
            said.append(
                f"PostgreSQL can't archive its WAL: {shown(server)} wait in pg_wal. Its log says why: `howdah logs`."
            )
        if not stopped:
            said += self.late()
        places = (((self._data / "pg_wal").resolve(), server), (self.spool, spool))
        return said + full_disks(places, "PostgreSQL stops where there is no room for WAL.")

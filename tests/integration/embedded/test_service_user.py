"""The system user that PostgreSQL runs as, on a machine that doesn't have it yet."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

# In a mount namespace of its own, with a copy of /etc that knows no user howdah: this machine's stays as it is.
_ALONE = """
set -eu
cp -a /etc "$1/etc"
mount --bind "$1/etc" /etc
userdel howdah 2>/dev/null || true
groupdel howdah 2>/dev/null || true
! getent passwd howdah >/dev/null
for _ in 1 2 3 4 5 6; do "$2" -c "$3" & done
wait
getent passwd howdah | cut -d: -f3
"""
_MAKE = """
import os, time
from howdah.instances.service_user import service_user
time.sleep(max(0, float(os.environ["AT"]) - time.time()))
os.write(1, b"%d\\n" % service_user(lambda _: None).uid)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a system user")
def test_made_by_several_at_once_it_is_one(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    arguments = ["sh", "-c", _ALONE, "sh", str(tmp_path), sys.executable, _MAKE]
    together = {**os.environ, "AT": str(time.time() + 2)}
    done = subprocess.run([unshare, "--mount", *arguments], capture_output=True, text=True, timeout=60, env=together)
    assert done.returncode == 0, done.stderr
    uids = done.stdout.split()
    assert len(uids) == 7
    assert len(set(uids)) == 1

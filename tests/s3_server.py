"""An S3 server for tests, SeaweedFS: it checks signatures, and takes uploads in parts."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tests.support import free_port, open_folder

# As the server reads them from its file of identities.
ACCESS_KEY = "HOWDAHTESTKEY"
SECRET_KEY = "howdah-test-secret"
BUCKET = "howdah-test"


@dataclass(frozen=True)
class S3Server:
    """A running server; a bucket is made by the first upload to it."""

    port: int
    filer_port: int

    def location(self, prefix: str, bucket: str = BUCKET) -> str:
        return f"s3://{bucket}/{prefix}?endpoint=http://127.0.0.1:{self.port}&region=us-east-1"

    def unfinished_uploads(self) -> list[str]:
        """Uploads in parts that were neither finished nor called off."""
        address = f"http://127.0.0.1:{self.filer_port}/buckets/{BUCKET}/.uploads/"
        request = urllib.request.Request(address, headers={"Accept": "application/json"})
        try:
            with urllib.request.urlopen(request) as answer:
                return [each["FullPath"] for each in json.load(answer)["Entries"] or []]
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return []


@contextmanager
def running_s3() -> Iterator[S3Server]:
    """A server in a folder of its own, up after some 3 s."""
    with open_folder() as folder:
        parts = ("master", "volume", "filer", "s3")
        ports = {f"{part}.port{kind}": free_port() for part in parts for kind in ("", ".grpc")}
        allowed = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
        identity = {"name": "howdah", "credentials": allowed, "actions": ["Admin", "Read", "Write", "List"]}
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        command = [
            *(str(Path(sys.executable).parent / "weed"), "-logtostderr=true", "server", f"-dir={folder}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={folder}/s3.json"),
            *(f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.sock"),
            *(
                "-master.telemetry=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-master.volumeSizeLimitMB=64",
                "-volume.max=20",
            ),
            *(f"-{name}={port}" for name, port in ports.items()),
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder)
        try:
            _wait(process, ports["s3.port"], folder / "log")
            yield S3Server(ports["s3.port"], ports["filer.port"])
        finally:
            process.kill()  # a polite end takes 25 s
            process.wait()
            for port in ports.values():
                for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    left.unlink()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until it stores something: it answers before it has room for anything."""
    bucket = S3Store(
        BUCKET,
        config={"endpoint": f"http://127.0.0.1:{port}", "region": "us-east-1"},
        client_options={"allow_http": True, "timeout": timedelta(seconds=10)},
        retry_config={"max_retries": 0},
        credential_provider=lambda: {
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            "expires_at": None,
        },
    )
    for _ in range(600):
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            obstore.put(bucket, "ready", b"x")
            return
        except BaseError:
            time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])

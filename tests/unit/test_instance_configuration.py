"""The configuration's text: what is in it for whom, and that nothing in a path can break out of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from howdah.instances.configuration import Wanted, quoted, render_access, render_names, render_server
from howdah.instances.machine import MB, sizing

WANTED = Wanted(
    home=Path("/h"),
    major=18,
    port=5432,
    listen=("127.0.0.1",),
    socket_directory=Path("/h/run/pg"),
    logs=Path("/h/logs"),
    sizing=sizing(4096 * MB),
    cores=2,
    pg_stat_statements=True,
    tls_cert=None,
    tls_key=None,
    allow_plaintext=False,
    archive_command="'/h/it''s 100%%/archive-wal' \"%p\" \"%f\"",
    archive_timeout_s=60,
)


@pytest.mark.parametrize(
    ("name", "since"), [("summarize_wal", 17), ("reserved_connections", 16), ("recovery_init_sync_method", 14)]
)
def test_parameters_only_where_they_exist(name: str, since: int) -> None:
    for major in range(14, 19):
        lines = render_server(replace(WANTED, major=major)).splitlines()
        assert any(line.startswith(f"{name} ") for line in lines) == (major >= since)


def test_no_statement_is_logged() -> None:
    text = render_server(WANTED)
    for line in (
        "log_statement = 'none'",
        "log_min_error_statement = panic",
        "log_min_duration_statement = -1",
        "log_parameter_max_length = 0",
        "log_parameter_max_length_on_error = 0",
        "log_error_verbosity = terse",
        "pg_stat_statements.track_utility = off",
    ):
        assert line in text.splitlines()


def test_no_preload_where_the_module_is_missing() -> None:
    text = render_server(replace(WANTED, pg_stat_statements=False))
    assert "shared_preload_libraries = ''" in text
    assert "pg_stat_statements.track_utility" not in text


def test_values_are_quoted() -> None:
    assert quoted("it's \\ here") == "'it''s \\\\ here'"
    text = render_server(replace(WANTED, home=Path("/h\nport = 1"), socket_directory=Path('/a, "b"')))
    assert "\nport = 1\n" not in text
    assert 'unix_socket_directories = \'"/a, ""b"""\'' in text


def test_access_beyond_loopback() -> None:
    def beyond(**how: bool) -> list[str]:
        lines = [line.split() for line in render_access(**how).splitlines() if line and not line.startswith("#")]
        return [line[0] for line in lines if line[1:] == ["samerole", "all", "all", "scram-sha-256"]]

    assert beyond(tls=False, allow_plaintext=False) == []
    assert beyond(tls=True, allow_plaintext=False) == ["hostssl"]
    assert beyond(tls=False, allow_plaintext=True) == ["host"]


def test_access_ends_with_a_reject() -> None:
    assert render_access(tls=True, allow_plaintext=True).splitlines()[-1].split()[-1] == "reject"


def test_names_are_mapped_once_and_quoted() -> None:
    text = render_names(["root", "howdah", "root"])
    assert text.count('"root"  "howdah"\n') == 1
    assert 'howdah  "howdah"  "howdah_audit"' in text
    assert '"a""b"' in render_names(['a"b'])


@pytest.mark.parametrize("megabytes", [128, 512, 1024, 4096, 24_000, 500_000])
def test_sizing_fits_the_machine(megabytes: int) -> None:
    size = sizing(megabytes * MB)
    assert size.shared_buffers <= max(64, megabytes // 4)
    assert 100 <= size.max_connections <= 500
    assert 4 <= size.work_mem <= 64
    assert 32 <= size.maintenance_work_mem <= 1024
    if megabytes >= 4096:
        # Every connection at one work_mem, the buffers and three autovacuum workers together still fit.
        assert size.shared_buffers + size.max_connections * size.work_mem + 3 * size.maintenance_work_mem <= megabytes

"""An app that takes every connection locks nobody out but itself."""

from contextlib import ExitStack

import psycopg

from howdah.services.platform import Platform


def test_howdah_works_while_an_app_has_taken_every_connection(platform: Platform) -> None:
    created = platform.apps.create("greedy", "test")
    url = created.logins[0].url or ""
    with platform._core.instance("home").session() as connection:
        connection.execute("ALTER ROLE greedy_user CONNECTION LIMIT -1")
        connection.execute("ALTER DATABASE greedy_db CONNECTION LIMIT -1")
    full = ""
    with ExitStack() as stack:
        for _ in range(1000):
            try:
                stack.enter_context(psycopg.connect(url))
            except psycopg.OperationalError as error:
                full = str(error)
                break
        assert "remaining connection slots are reserved" in full
        platform.store._audit_pool.check()
        other = platform.apps.plan_create("modest")
        assert other.statements
        repaired = platform.repairs.repair("greedy", "test")
        assert len(repaired.statements) == 2
        assert platform.logins.new_password("greedy", None, True, "test").sessions_ended > 50

"""What the tests of apps with several databases share."""

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.specs import Purpose
from howdah.domain.views import CreatedApp
from howdah.services.platform import Platform

MAIN, TEST, SHADOW = Purpose.MAIN, Purpose.TEST, Purpose.SHADOW


def create(platform: Platform, app: str, *purposes: Purpose, deliver: bool = True) -> CreatedApp:
    """Create, and what the door does when its answer has left."""
    created = platform.apps.create(app, "test", purposes=purposes)
    if deliver:
        platform.apps.delivered(created)
    return created


def urls(created: CreatedApp) -> dict[str, str]:
    return {login.name: login.url for login in created.logins if login.url}


def owner_of(url: str) -> str:
    """Who one is with this URL; and it can make a table."""
    with psycopg.connect(url) as session:
        session.execute("CREATE TABLE IF NOT EXISTS t (id int)")
        row = session.execute("SELECT current_user::text || ' in ' || current_database()").fetchone()
    assert row is not None
    return str(row[0])


def states(platform: Platform, app: str) -> dict[str, str]:
    [summary] = platform.apps.list(app)
    return {database.database: database.state for database in summary.databases}


def admin(platform: Platform, *statements: str) -> None:
    """What a superuser does by hand."""
    with platform._core.instance("home").session() as connection:
        for statement in statements:
            connection.execute(statement.encode())


def refusal(platform: Platform, app: str, *purposes: Purpose) -> HowdahError:
    with pytest.raises(HowdahError) as caught:
        create(platform, app, *purposes)
    return caught.value

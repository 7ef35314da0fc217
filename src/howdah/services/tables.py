"""Tables: what an app made in its database."""

from howdah.domain.specs import Purpose
from howdah.domain.views import TableView
from howdah.postgres import catalog
from howdah.services.core import Core, check_present


class Tables:
    """Looks into an app's database."""

    def __init__(self, core: Core):
        self._core = core

    def list(self, app: str, purpose: Purpose = Purpose.MAIN) -> list[TableView]:
        """Tables and views of the app's database for that purpose, by schema and name.

        Raises HowdahError `app_not_found`, `database_not_found`, `database_missing`, `server_down`.
        """
        record = self._core.live_app(app)
        database = record.for_purpose(purpose)
        instance = self._core.of(record)
        with instance.session() as connection:
            check_present(connection, record, database)
            with instance.connector.connect(database.name) as inside:
                return [TableView(**row) for row in catalog.tables(inside)]

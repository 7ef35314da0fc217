"""Tables: what an app made in its database."""

from howdah.domain.views import TableView
from howdah.postgres import catalog
from howdah.services.core import Core, check_present


class Tables:
    """Looks into an app's database."""

    def __init__(self, core: Core):
        self._core = core

    def list(self, app: str) -> list[TableView]:
        """Tables and views by schema and name; raises HowdahError `app_not_found`, `server_down`."""
        record = self._core.app(app)
        with self._core.session() as connection:
            check_present(connection, record)
            with self._core.connector.connect(record.database.name) as inside:
                return [TableView(**row) for row in catalog.tables(inside)]

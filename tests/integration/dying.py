"""A control plane that dies in the middle of a create, as `kill -9` would have it."""

from collections.abc import Callable
from unittest.mock import patch

from howdah.domain.plans import Plan, Statement
from howdah.domain.server import Server
from howdah.postgres.connections import Connection, Connector
from howdah.services.loop import Loop
from howdah.store.database import Store


def dying(statements: int) -> Callable[[], None]:
    """Make the platform die after that many statements, whichever databases they are for; returns what revives it.

    OIDs are recorded as in life.
    """
    left = statements

    class DyingLoop(Loop):
        def _apply(
            self, connection: Connection, app: str, plan: Plan, done: list[Statement], tried: dict[str, str]
        ) -> None:
            nonlocal left
            now, left = plan[:left], max(0, left - len(plan))
            super()._apply(connection, app, now, done, tried)
            if len(now) < len(plan):
                raise KeyboardInterrupt

    def make(connector: Connector, store: Store, server: Server) -> Loop:
        return DyingLoop(connector, store, server)

    patched = patch("howdah.services.core.Loop", make)
    patched.start()
    return patched.stop

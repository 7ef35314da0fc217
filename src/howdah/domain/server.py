"""What the loop must know of a server: its version and what the control role may do there."""

from dataclasses import dataclass

from howdah.domain.differences import Difference


@dataclass(frozen=True)
class Server:
    """Facts about one PostgreSQL server, inputs of the diff.

    `version_num` is the server's own (180006 for 18.6). `control_role` owns the databases.
    `grantor` is the role that the server records as the grantor of a membership howdah grants:
    from 16 on the bootstrap superuser where howdah is a superuser, else the control role.
    `template` is what new databases are made from. `provider` is the prefix of the roles of whoever runs the server
    for its admin (`rds`, `cloudsql`, `azure`); `provider_roles` are left alone, with all that they hold.
    """

    version_num: int
    superuser: bool
    control_role: str
    grantor: str
    template: str = "template0"
    provider: str | None = None
    provider_roles: frozenset[str] = frozenset()

    @property
    def major(self) -> int:
        return self.version_num // 10000

    def has(self, difference: Difference) -> bool:
        """Whether this server is one where `difference` holds."""
        return difference.there(self)

    @property
    def public_schema_owner(self) -> str:
        """Who owns `public` in a database fresh from template0: from 15 on the predefined pg_database_owner."""
        return "pg_database_owner" if self.major >= 15 else self.grantor

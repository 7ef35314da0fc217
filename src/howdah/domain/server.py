"""What the loop must know of a server: its version and what the control role may do there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """Facts about one PostgreSQL server, inputs of the diff.

    `version_num` is the server's own (180006 for 18.6). `control_role` owns the databases.
    `grantor` is the role that the server records as the grantor of a membership howdah grants:
    from 16 on the bootstrap superuser where howdah is a superuser, else the control role.
    """

    version_num: int
    superuser: bool
    control_role: str
    grantor: str
    # The template of new databases. Before 15 only one whose `public` the control role owns lets an admin who is
    # no superuser take CREATE from PUBLIC there.
    template: str = "template0"

    @property
    def major(self) -> int:
        return self.version_num // 10000

    @property
    def has_membership_options(self) -> bool:
        """16 gave each membership its own ADMIN, INHERIT and SET options, and a grantor that counts."""
        return self.major >= 16

    @property
    def has_large_object_defaults(self) -> bool:
        """18 knows ALTER DEFAULT PRIVILEGES … ON LARGE OBJECTS."""
        return self.major >= 18

    @property
    def has_maintain(self) -> bool:
        """17 added the table privilege MAINTAIN."""
        return self.major >= 17

    @property
    def public_schema_owner(self) -> str:
        """Who owns `public` in a database fresh from template0: from 15 on the predefined pg_database_owner."""
        return "pg_database_owner" if self.major >= 15 else self.grantor

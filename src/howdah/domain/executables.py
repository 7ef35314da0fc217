"""What is shown of a function that read-only logins were given."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExecutableView:
    """`function` is as PostgreSQL writes it, `schema.name(types)`.

    `state`: `granted`, `missing` (there is no such function now), `refused` (it is SECURITY DEFINER by now), or
    `revoked`.
    """

    app: str
    function: str
    state: str

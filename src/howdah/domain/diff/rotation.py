"""The statements of a rotation: about logins that are there, one or a thousand of them."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from howdah.domain.plans import Plan, Statement
from howdah.domain.sql import ident, literal


def set_passwords(verifiers: Mapping[str, str]) -> Plan:
    """New passwords for logins that let nobody in yet."""
    return [
        Statement(
            f"set password of {name}",
            f"ALTER ROLE {ident(name)} NOLOGIN PASSWORD {literal(verifier)}",
            secret=verifier,
            about=name,
        )
        for name, verifier in verifiers.items()
    ]


def change_over(opened: Mapping[str, datetime | None], closed: Iterable[str] = ()) -> Plan:
    """Let logins in, each until its time, and others no more."""
    plan = []
    for name, until in opened.items():
        when = literal(until.isoformat()) if until else "'infinity'"
        sql = f"ALTER ROLE {ident(name)} LOGIN VALID UNTIL {when}"
        plan.append(Statement(f"let {name} in", sql, about=name))
    for name in closed:
        plan.append(Statement(f"let {name} in no more", f"ALTER ROLE {ident(name)} NOLOGIN", about=name))
    return plan

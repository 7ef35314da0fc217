"""Quoting for the statements that the domain writes.

The diff is pure and may not import a driver, so the two quoting rules stand here;
a test holds them against the server's own `quote_ident` and `quote_literal`.
"""


def ident(name: str) -> str:
    """`name` as a quoted identifier (always quoted, so that no keyword list is needed)."""
    if "\x00" in name:
        raise ValueError("an identifier can't hold a NUL")
    return '"' + name.replace('"', '""') + '"'


def idents(names: "tuple[str, ...] | list[str]") -> str:
    """Several identifiers with commas between."""
    return ", ".join(ident(name) for name in names)


def literal(value: str) -> str:
    """`value` as a string literal, whatever `standard_conforming_strings` says."""
    if "\x00" in value:
        raise ValueError("a string can't hold a NUL")
    quoted = "'" + value.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in value else quoted


def grantee(name: str) -> str:
    """A role, or the keyword PUBLIC for the empty name that stands for it in observed privileges."""
    return ident(name) if name else "PUBLIC"

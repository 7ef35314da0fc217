"""Names that somebody may want for an app, wisely or not."""

from hypothesis import strategies as st

LONGEST = 40
# Words that SQL or PostgreSQL means something by; none of them is in the way of an app.
WORDS = [
    "select",
    "user",
    "table",
    "all",
    "current_user",
    "session_user",
    "owner",
    "default",
    "null",
    "true",
    "admin",
]
# These are, as PostgreSQL or howdah has roles or databases of such names.
RESERVED = ["none", "postgres", "public", "template", "template0", "template1", "howdah", "howdah_x_1", "pg_monitor"]
SHORTEST = ["a", "z9", "a_1"]

PLAIN = st.from_regex(r"[a-z][a-z0-9]{0,18}(_[a-z0-9]{1,12}){0,3}", fullmatch=True)
_SPECIAL = st.sampled_from(
    ["'", '"', "''", '""', "\\", ";", "--", "/*", "$$", "%s", "%", "{}", "\0", "\n", "\t", " ", "."]
)
_LETTERS = st.sampled_from(
    ["é", "ß", "İ", "ı", "K", "ｍ", "а", "ñ", "e\N{COMBINING ACUTE ACCENT}", "🐘", "\u202e", "\ud800"]
)


@st.composite
def odd_names(draw: st.DrawFn) -> str:
    """Texts of any kind, and plain names that were spoiled a little."""
    if draw(st.booleans()):
        return draw(st.one_of(st.text(max_size=90), st.sampled_from(WORDS + RESERVED), PLAIN))
    name = draw(st.one_of(PLAIN, st.sampled_from(WORDS + RESERVED)))
    spoil = draw(st.sampled_from(["insert", "upper", "lengthen", "underscore", "digit", "nothing"]))
    if spoil == "insert":
        at = draw(st.integers(0, len(name)))
        return name[:at] + draw(st.one_of(_SPECIAL, _LETTERS)) + name[at:]
    if spoil == "upper":
        return draw(st.sampled_from([name.upper(), name.title(), name[0].upper() + name[1:]]))
    if spoil == "lengthen":
        return (name * 64)[: draw(st.integers(38, 65))]
    if spoil == "underscore":
        return draw(st.sampled_from([f"_{name}", f"{name}_", name.replace("_", "__") + "__x"]))
    return f"{draw(st.integers(0, 9))}{name}" if spoil == "digit" else name

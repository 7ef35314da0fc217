"""What `howdah prove` tries: one table, a line for each attempt. Adding an attempt is adding a line.

`anyone.py` holds what no login may do on its server and in its own database, `neighbours.py` what it may not do to
another app and to the databases that are nobody's, `readonly.py` what a read-only login may not do, `needed.py`
what each access must be able to do, `unhidden.py` what PostgreSQL lets everybody see.

The rules of the table: every statement runs in a transaction that is rolled back. What can't be in one, or would do
more than a rollback undoes, is written so that it fails for another reason once the privilege is there: whatever
isn't the expected refusal is a hole. A statement that is refused must not wait for a lock before that.
"""

from howdah.domain.attempts.anyone import ANYONE
from howdah.domain.attempts.attempt import (
    DENIED,
    UNDECIDED_CLASSES,
    Attempt,
    Judgement,
    Needed,
    fill,
    judge,
    usable,
)
from howdah.domain.attempts.needed import NEEDED
from howdah.domain.attempts.neighbours import NEIGHBOURS, SESSIONS, SHELLS
from howdah.domain.attempts.readonly import READONLY
from howdah.domain.attempts.unhidden import UNHIDDEN

__all__ = [
    "ANYONE",
    "DENIED",
    "NEEDED",
    "NEIGHBOURS",
    "READONLY",
    "SESSIONS",
    "SHELLS",
    "UNDECIDED_CLASSES",
    "UNHIDDEN",
    "Attempt",
    "Judgement",
    "Needed",
    "fill",
    "judge",
    "usable",
]

# settings.py: the part for app {{app}}, database {{database}}, as {{login}}
# pip install django dj-database-url "psycopg[binary]"
import os
import sys

import dj_database_url

# `python manage.py test --keepdb` runs in the database of TEST_DATABASE_URL, where that is set: {{login}} can't make
# one. To get it: howdah create {{app}} --test-db
for_tests = os.environ.get("TEST_DATABASE_URL") if sys.argv[1:2] == ["test"] else None

DATABASES = {
    "default": dj_database_url.parse(
        for_tests or os.environ["DATABASE_URL"],
        conn_max_age=60,  # seconds; each thread keeps a connection, all together: at most {{limit}}
        conn_health_checks=True,  # one that broke while it lay there is replaced
    ),
}
if for_tests:
    default = DATABASES["default"]
    default["TEST"] = {"NAME": default["NAME"]}
    # Else Django asks the database "postgres" whether it is there, and no app gets in there.
    default.setdefault("OPTIONS", {})["dbname"] = default["NAME"]

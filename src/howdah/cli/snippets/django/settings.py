# settings.py: the part for app {{app}}, database {{database}}, as {{login}}
# pip install django dj-database-url "psycopg[binary]"
import os

import dj_database_url

DATABASES = {
    "default": dj_database_url.parse(
        os.environ["DATABASE_URL"],
        conn_max_age=60,  # seconds; each thread keeps a connection, all together: at most {{limit}}
        conn_health_checks=True,  # one that broke while it lay there is replaced
    ),
}

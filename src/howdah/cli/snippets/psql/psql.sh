#!/bin/sh
# psql.sh: app {{app}}, database {{database}}, as {{login}}; arguments are psql's
# With the password in the environment: among the arguments, others on this machine could see it.
: "${DATABASE_URL:?is not set}"
head=${DATABASE_URL%%@*}
PGPASSWORD=${head##*:} exec psql "${head%:*}@${DATABASE_URL#*@}" "$@"

# The two commands: `make up` and `make test`. The work is in scripts/.
.PHONY: up install down test test-all bench check format lock

up:
	@scripts/up $(ARGS)

install:
	@scripts/install

down: install
	@.venv/bin/howdah down

# Everything but the slow suites; PYTEST="-k name" narrows it.
test:
	@scripts/test $(PYTEST)

# Besides: more examples, the system's own PostgreSQL, and 13 to 18 with both kinds of admin (docs/versions.md).
test-all:
	@scripts/test-all $(PYTEST)

# Against plain SQL and PostgreSQL's own tools, in some twenty minutes; ARGS="--only backups" measures a part alone,
# "--ansible" adds Ansible, "--apps 10 100 1000" lists 1,000 apps (8 GB, five minutes more).
bench:
	@scripts/bench $(ARGS)

check:
	@scripts/check

format:
	@.venv/bin/ruff format src tests scripts
	@.venv/bin/ruff check --fix src tests scripts

# Resolve the dependencies anew; the lock files hold hashes and no addresses.
lock:
	@scripts/lock

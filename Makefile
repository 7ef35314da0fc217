# The two commands: `make up` and `make test`. The work is in scripts/.
.PHONY: up install down test test-all check format lock

up:
	@scripts/up $(ARGS)

install:
	@scripts/install

down: install
	@.venv/bin/howdah down

# Everything but the slow suites; PYTEST="-k name" narrows it.
test:
	@scripts/test $(PYTEST)

# Besides: more examples, and the same tests on the system's own PostgreSQL.
test-all:
	@scripts/test-all $(PYTEST)

check:
	@scripts/check

format:
	@.venv/bin/ruff format src tests
	@.venv/bin/ruff check --fix src tests

# Resolve the dependencies anew; the lock files hold hashes and no addresses.
lock:
	@scripts/lock

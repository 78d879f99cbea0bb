#!/bin/sh
# Every check of the tree, each timed; all of them run, and one failure fails the whole.
set -u
cd "$(dirname "$0")/.."
bin=.venv/bin
failed=""

step() {
    name=$1
    shift
    started=$(date +%s)
    echo "== $name"
    if ! "$@"; then failed="$failed $name"; fi
    echo "== $name took $(($(date +%s) - started)) s"
}

step ruff "$bin/ruff" check .
step pyright "$bin/pyright" --pythonpath "$bin/python"
step imports "$bin/lint-imports" --no-logo
step pytest "$bin/python" -m pytest -q "$@"

if [ -n "$failed" ]; then
    echo "FAILED:$failed"
    exit 1
fi

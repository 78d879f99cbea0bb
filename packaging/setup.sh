#!/bin/sh
# Everything a fresh checkout needs: system libraries (when this user may install them), a virtual environment in
# .venv and the exact packages of constraints.txt. Instant, and without the network, when nothing has changed.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/setup-stamp
constraints=packaging/constraints.txt
wanted=$(cat pyproject.toml "$constraints" packaging/system-packages.txt packaging/setup.sh | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && [ -x "$venv/bin/stridor" ]; then
    exit 0
fi

find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
}

installed() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok installed$'
}

# The packages of system-packages.txt that are not there; of `a|b`, the first this release offers.
missing_packages() {
    sed -e 's/#.*//' -e '/^\[/d' packaging/system-packages.txt | tr -d ' \t' | grep -v '^$' | while read -r line; do
        found=""
        for name in $(echo "$line" | tr '|' ' '); do
            if installed "$name"; then found=yes; fi
        done
        [ -n "$found" ] && continue
        for name in $(echo "$line" | tr '|' ' '); do
            if [ -n "$(apt-cache madison "$name" 2>/dev/null)" ]; then break; fi
        done
        echo "$name"
    done
}

install_system_packages() {
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "setup: no apt here: install what packaging/system-packages.txt lists with your own package manager."
        return
    fi
    missing=$(missing_packages | tr '\n' ' ')
    python=$(find_python)
    if [ -z "$python" ]; then
        missing="$missing python3 python3-venv"
    elif ! "$python" -c 'import ensurepip' 2>/dev/null; then
        missing="$missing python3-venv"
    fi
    if [ -z "$(echo "$missing" | tr -d ' ')" ]; then return; fi
    if [ "$(id -u)" = 0 ]; then
        sudo=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        sudo="sudo"
    else
        echo "setup: system libraries are missing; install them with:"
        echo "    sudo apt-get install --no-install-recommends $missing"
        return
    fi
    echo "setup: installing system libraries: $missing"
    $sudo apt-get -qq update || echo "setup: apt-get update failed; trying with the lists there are."
    missing=$(missing_packages | tr '\n' ' ')$(echo "$missing" | grep -o 'python3.*' || true) # names known now
    # shellcheck disable=SC2086 # a list of words
    if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null; then
        echo "setup: apt-get failed; install the libraries yourself with:"
        echo "    sudo apt-get install --no-install-recommends $missing"
    fi
}

install_system_packages
python=$(find_python)
if [ -z "$python" ]; then
    echo "setup: Stridor needs Python 3.11 or newer. Install it, or name it: make setup PYTHON=/path/to/python3" >&2
    exit 2
fi

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    echo "setup: creating $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi
echo "setup: installing the packages of $constraints (a few minutes the first time)"
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$constraints" -e '.[dev]'; then
    echo "setup: the packages could not be installed; see pip's message above, then run make setup again." >&2
    exit 2
fi
echo "$wanted" >"$stamp"
echo "setup: done"

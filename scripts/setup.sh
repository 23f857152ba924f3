# Sourced by demo and test: brings the checkout from bare to ready, and says what it does. $packages is Debian's packages.
# shellcheck shell=sh

root=$(cd "$(dirname "$0")/.." && pwd)

step() { printf '== %s\n' "$1" >&2; }
fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

missing_packages() {
    for package in ${packages:?}; do
        [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
    python=$(find_python) || { echo python3 python3-venv && return; }
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
}

install_packages() {
    command -v apt-get >/dev/null || return 0
    missing=$(missing_packages | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        fail "These packages are missing. Install them, then run this again:" "  sudo apt-get install --yes $missing"
    fi
    step "installing $missing"
    # Word splitting is wanted: the list is ours.
    # shellcheck disable=SC2086
    set -- --yes --no-install-recommends $missing
    export DEBIAN_FRONTEND=noninteractive
    apt-get install --quiet=2 "$@" >/dev/null 2>&1 && return
    apt-get update --quiet=2 && apt-get install --quiet=2 "$@" >/dev/null
}

make_environment() {
    wanted=$(sha256sum "$root/requirements.lock")
    [ "$(cat "$root/.venv/made-from" 2>/dev/null)" = "$wanted" ] && return
    step "making .venv"
    python=$(find_python) || fail "Python 3.11 or later is needed, and not found."
    rm -rf "$root/.venv"
    "$python" -m venv "$root/.venv"
    "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement "$root/requirements.lock"
    printf '%s\n' "$wanted" >"$root/.venv/made-from"
}

# Hundreds of processes start in a run of the tests: what one has compiled, the next need not.
unset PYTHONDONTWRITEBYTECODE

install_packages
make_environment
export PATH="$root/.venv/bin:$PATH"
cd "$root" || exit

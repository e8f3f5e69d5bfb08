# env.sh: what every script here needs: places, words to the user, missing packages, locks, Python.
#
# Sourced, never run. It changes nothing on the machine until one of its functions is called.
# shellcheck shell=bash

YZ_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
YZ_VAR="${YZ_VAR:-$YZ_ROOT/var}"
YZ_CACHE="${YZ_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/yizhan}"
export YZ_ROOT YZ_VAR YZ_CACHE

# Debian packages by purpose; each list is installed only when something needs it.
# The lists are used by the scripts that source this file.
# shellcheck disable=SC2034
YZ_BUILD_PACKAGES=(gcc libc6-dev cmake ninja-build pkg-config
    libnats-dev libwebsockets-dev libwebsockets-evlib-uv libuv1-dev libmongoc-dev
    libprotobuf-c-dev protobuf-c-compiler libprotobuf-dev libjwt-dev libjansson-dev libssl-dev
    libsodium-dev uthash-dev)
# shellcheck disable=SC2034
YZ_TEST_PACKAGES=(libcmocka-dev curl git faketime util-linux)
# shellcheck disable=SC2034
YZ_LINT_PACKAGES=(clang-format clang-tidy libclang-rt-dev shellcheck)
YZ_PYTHON_PACKAGES=(python3 python3-venv ca-certificates)

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
fail() {
    printf '\033[1;31mfailed:\033[0m %s\n' "$*" >&2
    exit 1
}
usage_error() {
    printf '%s\n' "$*" >&2
    exit 2
}
# asked_for_help "$@": a script that takes no such word itself prints its head and ends.
asked_for_help() {
    case "${1:-}" in
    -h | --help)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
        exit 0
        ;;
    esac
}
# Colours only where a person sees them.
if [ ! -t 2 ]; then
    say() { printf '==> %s\n' "$*" >&2; }
    fail() {
        printf 'failed: %s\n' "$*" >&2
        exit 1
    }
fi

have() { command -v "$1" >/dev/null 2>&1; }
# at_least 2.11 2.12.15: the second version is the first or newer.
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# locked FILE COMMAND...: one at a time over all scripts that name the file. The lock does not reach
# processes that the command leaves behind.
locked() {
    local file="$1" fd
    shift
    mkdir -p "$(dirname "$file")"
    exec {fd}>"$file"
    if ! flock -n "$fd"; then
        note "another run holds $(basename "$file"); waiting for it"
        flock "$fd"
    fi
    # Closed for the command's children only: bash keeps the lock in a copy until the command is done.
    "$@" {fd}>&-
    exec {fd}>&-
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "this needs root, and there is no sudo: $*"
    fi
}

# packages_missing NAME...: prints those that are not installed.
packages_missing() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s\n' "$name"
    done
}

apt_update_once() {
    [ -z "${YZ_APT_UPDATED:-}" ] || return 0
    as_root apt-get update -qq >&2 || fail "apt-get update did not work; its messages stand above"
    YZ_APT_UPDATED=1
}

apt_install() {
    local log try
    log="$(mktemp)"
    for try in 1 2 3; do
        if as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            -o DPkg::Lock::Timeout=600 "$@" >"$log" 2>&1 </dev/null; then
            rm -f "$log"
            return 0
        fi
        # Another apt run holds its list lock, or a mirror hiccuped: neither is worth a failure.
        [ "$try" -eq 3 ] || sleep 5
    done
    tail -n 15 "$log" >&2
    rm -f "$log"
    fail "these packages could not be installed: $*"
}

install_packages_now() {
    local why="$1" missing line
    shift
    mapfile -t missing < <(packages_missing "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    have apt-get || fail "$why needs these Debian packages: ${missing[*]}"
    say "Installing ${#missing[@]} Debian packages for $why"
    fold -s -w 100 <<<"${missing[*]}" | while read -r line; do note "$line"; done
    apt_update_once
    apt_install "${missing[@]}"
}

# need_packages WHY NAME...: installs those that are missing, after saying which and why.
need_packages() {
    local why="$1" missing
    shift
    mapfile -t missing < <(packages_missing "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    locked "$YZ_CACHE/apt.lock" install_packages_now "$why" "$@"
}

# make_venv FOLDER PIP-ARGUMENT...: a Python environment, complete or not there at all.
make_venv() {
    local folder="$1" log
    shift
    [ ! -e "$folder/complete" ] || return 0
    rm -rf "$folder"
    log="$(mktemp)"
    mkdir -p "$(dirname "$folder")"
    if ! python3 -m venv "$folder" >"$log" 2>&1 ||
        ! "$folder/bin/pip" install -q --disable-pip-version-check "$@" >>"$log" 2>&1 </dev/null; then
        tail -n 15 "$log" >&2
        rm -rf "$folder" "$log"
        fail "the Python packages could not be installed: $*"
    fi
    rm -f "$log"
    touch "$folder/complete"
}

# Sets YZ_PYTHON to an interpreter that has tests/requirements.txt. The folder's name says for what it was
# made, so that clones share it and a changed pin makes a new one.
need_python() {
    local mark folder
    need_packages "the demo and the tests (Python, other people's clients)" "${YZ_PYTHON_PACKAGES[@]}"
    mark="$({ python3 -c 'import sys; print(sys.prefix, sys.version)' && cat "$YZ_ROOT/tests/requirements.txt"; } |
        sha256sum | cut -c1-12)"
    folder="$YZ_CACHE/python-$mark"
    if [ ! -e "$folder/complete" ]; then
        say "Making a Python environment for the demo and the tests: tests/requirements.txt"
        locked "$YZ_CACHE/python.lock" make_venv "$folder" -r "$YZ_ROOT/tests/requirements.txt"
    fi
    export YZ_PYTHON="$folder/bin/python"
}

# What tests with real servers need: Python, nats-server, a database, the proxy that disturbs them; and no
# setting of somebody's running system.
need_test_services() {
    local name
    need_python
    while read -r name; do
        case "$name" in
        YZ_ROOT | YZ_VAR | YZ_CACHE | YZ_PYTHON | YZ_NATS_SERVER | YZ_DATABASE_SERVER | YZ_KUSTOMIZE | YZ_TOXIPROXY | \
            YZ_PROMTOOL | YZ_BUILD_DIR | YZ_TEST_*) ;;
        *) unset "$name" ;;
        esac
    done < <(compgen -e | grep '^YZ_')
    YZ_NATS_SERVER="$("$YZ_ROOT/scripts/services" nats-server)"
    YZ_DATABASE_SERVER="$("$YZ_ROOT/scripts/services" database-server)"
    YZ_TOXIPROXY="$("$YZ_ROOT/scripts/services" toxiproxy)"
    export YZ_NATS_SERVER YZ_DATABASE_SERVER YZ_TOXIPROXY
}

need_build_tools() {
    need_packages "the build (compiler, CMake and the libraries that Yizhan stands on)" "${YZ_BUILD_PACKAGES[@]}"
}

# build PRESET: configures when needed, builds what changed, shows only what went wrong.
build() {
    local preset="$1" log="$YZ_ROOT/build/$1.log" started=$SECONDS
    mkdir -p "$YZ_ROOT/build"
    say "Building ($preset)"
    if ! (cd "$YZ_ROOT" && cmake --preset "$preset" && cmake --build --preset "$preset") >"$log" 2>&1 </dev/null; then
        grep -nE 'error|FAILED|Error' "$log" | head -n 30 >&2 || true
        tail -n 20 "$log" >&2
        fail "the build did not succeed; all of it is in build/$preset.log"
    fi
    note "built in $((SECONDS - started)) s: build/$preset"
}

#!/bin/sh
# Installs the Debian packages that are missing: those to build and run streamd; with `deb` those to make a package of it,
# with `systemd` those to try that in a container, with `test` those to test it.
set -eu
cd "$(dirname "$0")/.."

packages="gcc make pkg-config libc6-dev libevent-dev libsqlite3-dev libjwt-dev libcjson-dev libssl-dev libcurl4-openssl-dev libnanomsg-dev libsodium-dev libzstd-dev libxxhash-dev"
package="debhelper dpkg-dev lintian"
case "${1:-}" in
deb) packages="$packages $package" ;;
systemd) packages="$packages $package mmdebstrap systemd-container" ;;
test) packages="$packages $package clang libcmocka-dev valgrind chromium nginx-light haproxy openssl prometheus swift-proxy swift-account swift-container swift-object memcached python3 systemd" ;;
esac

root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install() {
    missing=""
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
    done
    [ -z "$missing" ] && return
    echo "installing$missing"
    if [ -z "${updated:-}" ]; then root apt-get update -q; fi
    updated=yes
    # shellcheck disable=SC2086 # a list of words
    root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
}

node_major() {
    node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p'
}

has_node() {
    command -v npm >/dev/null && [ "$(node_major || true)" ] && [ "$(node_major)" -ge 20 ]
}

if ! command -v dpkg-query >/dev/null; then
    echo "not a Debian system: these packages are needed: $packages" >&2
    exit 0
fi
# shellcheck disable=SC2086
install $packages
[ "${1:-}" = test ] || exit 0

# The runtime of clang's sanitizers and of libFuzzer has the compiler's version in its name.
install "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"

# The layout of the C files is checked with this version, which Debian 12 has; elsewhere it is not checked.
if apt-cache show clang-format-14 >/dev/null 2>&1; then install clang-format-14; fi

# Debian 12 has Node 18, which the test runner is too new for: npm then brings a newer one, into build/node.
has_node || install nodejs npm
has_node || npm install --silent --no-audit --no-fund --prefix build/node node@22

#!/bin/sh
# `streamd check` on every *.ini here, compared with what is committed: NAME.ok is its standard output (the effective
# configuration, which must also read back to itself), NAME.err its standard error.
#   tests/config/run.sh [STREAMD]            compare
#   tests/config/run.sh --update [STREAMD]   write the files anew
set -u
update=
if [ "${1:-}" = --update ]; then
    update=1
    shift
fi
streamd=$(realpath "${1:-build/streamd}") || exit 1
cd "$(dirname "$0")" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
    echo "FAIL $1"
    failed=1
}

# compare PRINTED COMMITTED: an empty output has no file.
compare() {
    if [ -n "$update" ]; then
        if [ -s "$1" ]; then cp "$1" "$2"; else rm -f "$2"; fi
    elif [ -s "$1" ] || [ -e "$2" ]; then
        diff -u "$2" "$1" || fail "$2"
    fi
}

for ini in *.ini; do
    name=${ini%.ini}
    "$streamd" --config "$ini" check >"$work/out" 2>"$work/err"
    status=$?
    compare "$work/out" "$name.ok"
    compare "$work/err" "$name.err"
    if [ -s "$work/err" ]; then
        [ $status = 1 ] || fail "$ini: errors with status $status"
        continue
    fi
    [ $status = 0 ] || fail "$ini: status $status without an error"
    "$streamd" --config "$work/out" check | diff -u "$work/out" - || fail "$ini: does not read back to itself"
done

"$streamd" --config ../../config.example.ini check | diff -u empty.ok - || fail "the example is not the defaults"
"$streamd" example-config | diff -u ../../config.example.ini - || fail "config.example.ini is stale"
# A server that cannot work with its configuration ends with the status of RestartPreventExitStatus, before it makes
# anything.
refuse() {
    "$streamd" --set server.data_dir="$work/data" "$@" >/dev/null 2>&1
    status=$?
    [ $status = 78 ] || fail "start with $*: status $status"
    [ -e "$work/data" ] && fail "start with $*: it has made the data folder"
}
for ini in forms together unreadable; do refuse --config $ini.ini; done
refuse --config missing.ini
refuse --set auth.mode=nobody
refuse --set auth.mode=callback
grep -q '^RestartPreventExitStatus=78$' ../../scripts/systemd/streamd.service || fail "the unit restarts after 78"
"$streamd" --config missing.ini check 2>/dev/null && fail "a missing file is accepted"
"$streamd" --nonsense 2>/dev/null && fail "an unknown option is accepted"
[ $failed = 0 ] && echo "tests/config: ok"
exit $failed

#!/bin/sh
# man-page.sh STREAMD PREFIX: prints the manual page of a built streamd: scripts/streamd.1 with the commands that it knows.
set -eu
commands=$("$1" help | awk '
    /^Keys/ { exit }
    /^  [a-z]/ {
        name = $1
        sub(/^ *[^ ]+ +/, "")
        gsub(/\\/, "\\e")
        gsub(/-/, "\\-")
        gsub(/-/, "\\-", name)
        printf ".TP\n.B %s\n%s\n", name, $0
    }')
version=$("$1" version)
while IFS= read -r line; do
    case "$line" in
    .TH*) printf '%s "" "" "%s"\n' "$line" "$version" ;;
    @COMMANDS@) printf '%s\n' "$commands" ;;
    *@PREFIX@*) printf '%s\n' "${line%%@PREFIX@*}$2${line#*@PREFIX@}" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$(dirname "$0")/streamd.1"

#!/bin/sh
# man-page.sh STREAMD PREFIX: prints the manual page of a built streamd. In scripts/streamd.1, @COMMANDS@ stands for the
# commands that the program knows, and "@TABLE FILE CHAPTER@" for the rows of the table in that chapter of a README.
set -eu
here=$(dirname "$0")
prefix=$2
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

# table FILE CHAPTER: each row of two columns is a term and what it means.
table() {
    awk -v chapter="## $2" '
        /^## / { here = $0 == chapter }
        here && /^\| `/ {
            gsub(/`/, "")
            gsub(/\\/, "\\e")
            gsub(/-/, "\\-")
            split($0, column, / *\| */)
            printf ".TP\n.B %s\n%s\n", column[2], column[3]
            rows++
        }
        END { exit rows == 0 }' "$here/../$1" | sed "s,/usr/,$prefix/,g"
}

while IFS= read -r line; do
    case "$line" in
    .TH*) printf '%s "" "" "%s"\n' "$line" "$version" ;;
    @COMMANDS@) printf '%s\n' "$commands" ;;
    @TABLE*)
        words=${line#@TABLE }
        words=${words%@}
        table "${words%% *}" "${words#* }"
        ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$here/streamd.1"

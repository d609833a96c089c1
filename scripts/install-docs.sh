#!/bin/sh
# install-docs.sh DEST: installs the READMEs, and the files that they link to, at the paths that they have here, so that the
# links work there.
set -eu
cd "$(dirname "$0")/.."
readmes="README.md scripts/README.md tests/README.md $(sed '/^#/d; /^$/d; s, .*,/README.md,' scripts/layers.txt)"
for readme in $readmes; do
    install -D -m 644 "$readme" "$1/$readme"
    links=$(sed '/^```/,/^```/d' "$readme" | grep -oE '\]\([^)]+\)' | sed 's/^](//; s/[#)].*//; /:/d; /^$/d' | sort -u)
    for link in $links; do
        file=$(realpath --relative-to=. "$(dirname "$readme")/$link")
        [ -d "$file" ] || install -D -m 644 "$file" "$1/$file"
    done
done

#!/bin/sh
# Holds the README of every folder in scripts/layers.txt against the tree. Its first line is "# FOLDER"; then comes one
# sentence on what the folder is; then each .c and .def file of the folder is named as `file.c`, and no other is. A file
# of another folder is named with its path, and must exist. The tour in the README of the root names every folder.
#
#     scripts/check-tour.sh [ROOT]     exit status 1: a README and the tree differ
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/..}"
tree=$(mktemp) named=$(mktemp)
trap 'rm -f "$tree" "$named"' EXIT
wrong=0
complain() {
    echo "$1" >&2
    wrong=1
}

folders=$(sed '/^#/d; /^$/d; s/ .*//' scripts/layers.txt)
files=0
for folder in $folders; do
    readme=$folder/README.md
    if [ ! -f "$readme" ]; then
        complain "$readme: missing; begin it with \"# $folder\" and one sentence"
        continue
    fi
    [ "$(head -n 1 "$readme")" = "# $folder" ] || complain "$readme:1: the first line must be \"# $folder\""
    sed -n '3,/^$/p' "$readme" | tr '\n' ' ' | grep -qE '^[A-Z].*[^.]\. *$' ||
        complain "$readme:3: one sentence must say what the folder is, from a capital to a period"
    find "$folder" -maxdepth 1 -name '*.c' -o -maxdepth 1 -name '*.def' | sed 's,.*/,,' | sort >"$tree"
    files=$((files + $(wc -l <"$tree")))
    grep -oE '`[a-z_0-9]+\.(c|def)`' "$readme" | tr -d '`' | sort -u >"$named"
    for file in $(comm -23 "$tree" "$named"); do complain "$readme: $file is not named"; done
    for file in $(comm -13 "$tree" "$named"); do complain "$readme: $file is named, and is not in the folder"; done
    for file in $(grep -oE '`[a-z_0-9]+/[a-z_0-9/]+\.(c|h|def)`' "$readme" | tr -d '`'); do
        [ -e "$file" ] || complain "$readme: $file does not exist"
    done
done

# Files that the README of the root names exist, and its tour has every folder.
for file in $(grep -oE '`(supervisor|router|shard|common|scripts|tests)/[a-z_0-9/]+\.(c|h|def)`' README.md | tr -d '`'); do
    [ -e "$file" ] || complain "README.md: $file does not exist"
done
for folder in $folders; do
    grep -qE "\(($folder|$folder/|$folder/README.md)\)" README.md || complain "README.md: the tour has no link to $folder"
done

node "$here/check-links.mjs" || wrong=1

[ "$wrong" = 0 ] || exit 1
echo "folders: $(echo "$folders" | wc -l), their READMEs name all of $files files"

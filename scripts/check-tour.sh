#!/bin/sh
# Holds the README's source tour against the tree: every source file is named in it, and it names no other.
set -eu
cd "$(dirname "$0")/.."
tree=$(mktemp) tour=$(mktemp)
trap 'rm -f "$tree" "$tour"' EXIT
git ls-files 'supervisor/*.c' 'router/*.c' 'shard/*.c' 'common/*.c' 'common/*.def' 'shard/*.def' 'router/*.def' | sort -u >"$tree"
sed -n '/^## Source tour/,/^## Testing/p' README.md | grep -oE '`(supervisor|router|shard|common)/[a-z_0-9/]+\.(c|def)`' |
    tr -d '`' | sort -u >"$tour"
if ! diff "$tree" "$tour"; then
    echo "README.md: the source tour and the tree differ (< only in the tree, > only in the tour)" >&2
    exit 1
fi
echo "source tour: $(wc -l <"$tour") files, each named"

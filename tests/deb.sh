#!/bin/sh
# Builds the Debian package, which lintian must accept, and looks at what is in it.
set -eu
cd "$(dirname "$0")/.."
make --no-print-directory deb
deb=$(ls build/deb/streamd_*.deb)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
dpkg-deb --extract "$deb" "$root"
dpkg-deb --control "$deb" "$root/DEBIAN"

say() {
    echo "$deb: $1" >&2
    exit 1
}
for file in usr/bin/streamd usr/lib/streamd/streamd-router usr/lib/streamd/streamd-shard etc/streamd/streamd.ini \
    lib/systemd/system/streamd.service usr/lib/sysusers.d/streamd.conf usr/lib/tmpfiles.d/streamd.conf \
    usr/share/man/man1/streamd.1.gz usr/share/doc/streamd/copyright usr/share/doc/streamd/README.md \
    usr/share/streamd/openapi.yaml usr/share/streamd/front/nginx.conf usr/share/streamd/front/haproxy.cfg; do
    [ -e "$root/$file" ] || say "$file is missing"
done
[ "streamd $(dpkg-deb --field "$deb" Version)" = "$("$root/usr/bin/streamd" version)" ] || say "it has another version than its programs"
[ "$(cat "$root/DEBIAN/conffiles")" = /etc/streamd/streamd.ini ] || say "its configuration is no conffile"
"$root/usr/bin/streamd" --config "$root/etc/streamd/streamd.ini" check >/dev/null || say "its configuration is not right"
"$root/usr/bin/streamd" --config "$root/etc/streamd/streamd.ini" check | grep -qx 'data_dir = /var/lib/streamd' ||
    say "its configuration does not name the data folder"
grep -q '^ExecStart=.*--set' "$root/lib/systemd/system/streamd.service" && say "its unit overrides the configuration"
sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$root/lib/systemd/system/streamd.service" | grep -qx /usr/lib/streamd/streamd ||
    say "its unit starts something else"
node scripts/check-links.mjs "$root/usr/share/doc/streamd" || say "a link in its documentation does not work"
(cd "$root" && md5sum --quiet -c DEBIAN/md5sums) || say "its checksums are wrong"
echo "Debian package: ok"

#!/bin/sh
# Makes a server that speaks the MongoDB protocol available to the tests (test/mongo-server.ts finds
# it), and prints which one. What is there already is used: MONGODB_URI, a mongod or a ferretdb.
# Otherwise FerretDB with its SQLite back end is built from the Go module of its release.
#
# No package with a mongod for Debian 12 was found in the registries of Debian, PyPI, npm or Maven (the
# packages of that kind download it from elsewhere), so a real one is used only where it is installed.
set -eu

version=v1.24.2
# What the Go module was when this was written, as `go mod download -json` says it ("Sum").
sum=h1:trrUU0LbmusMbyubhPS1IELncvrIwKrsRT2LW1UUWCw=
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ferretdb

if [ -n "${MONGODB_URI:-}" ]; then
  echo "mongo: the server that MONGODB_URI names"
  exit 0
fi
for name in mongod ferretdb; do
  if command -v "$name" >/dev/null 2>&1; then
    echo "mongo: $(command -v "$name")"
    exit 0
  fi
done
if [ -x "$cache/ferretdb" ] && "$cache/ferretdb" --version 2>/dev/null | grep -q "$version"; then
  echo "mongo: $cache/ferretdb"
  exit 0
fi
if ! command -v go >/dev/null 2>&1; then
  echo "mongo: neither mongod nor ferretdb is installed, and there is no Go to build ferretdb" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

# `go install` would do but for one thing: it asks the module proxy for the list of all versions,
# which not every proxy has. The module by itself, built in a copy, needs that of nobody.
go mod download -json "github.com/FerretDB/FerretDB@$version" >module.json
field() { sed -n "s/^[[:space:]]*\"$1\": \"\(.*\)\",*$/\1/p" module.json; }
if [ "$(field Sum)" != "$sum" ]; then
  echo "mongo: FerretDB $version has the checksum $(field Sum), expected $sum" >&2
  exit 1
fi
cp -R "$(field Dir)" source
chmod -R u+w source
cd source
# Its build insists on this file; a release build writes the tag into it.
echo "$version" >build/version/version.txt
CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags ferretdb_no_postgresql \
  -o "$work/ferretdb" ./cmd/ferretdb
"$work/ferretdb" --version >/dev/null
mkdir -p "$cache"
mv "$work/ferretdb" "$cache/ferretdb.$$"
mv "$cache/ferretdb.$$" "$cache/ferretdb"
echo "mongo: built $cache/ferretdb"

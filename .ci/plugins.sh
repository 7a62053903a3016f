#!/usr/bin/env bash
# Builds plugins/bundled/* into a folder (bin/plugins, or the argument), each as NAME.wasm
# with its manifest and its self-tests in it, by our own `sallyport plugin build`.
#
# SALLYPORT_SOURCES names another copy of the tree to build from, SALLYPORT_CLI a sallyport
# that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/install.sh
out=${1:-bin/plugins}
sources=${SALLYPORT_SOURCES:-.}
command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || { echo "Go is missing: install the version that go.mod names, or newer" >&2; exit 1; }
toolchains rust || exit 1

cli=${SALLYPORT_CLI:-}
if [ -z "$cli" ]; then
  cli=$PWD/bin/tools/sallyport
  CGO_ENABLED=0 go build -o "$cli" .
fi
mkdir -p "$out"
built=0
for manifest in "$sources"/plugins/bundled/*/plugin.yaml; do
  [ -e "$manifest" ] || continue
  folder=$(dirname "$manifest")
  "$cli" plugin build "$folder" -o "$out/$(basename "$folder").wasm" </dev/null
  built=$((built + 1))
done
[ "$built" -gt 0 ] || { echo "no plugin in $sources/plugins/bundled" >&2; exit 1; }

#!/usr/bin/env bash
# Builds the bundled plugins twice: here, and from a copy in another folder with another
# home, other caches, another time zone, locale and umask. Each must come out the same, byte
# for byte. SALLYPORT_RESULTS, when set, names the file that the counts are appended to.
set -uo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch" 2>/dev/null; rm -rf "$scratch"' EXIT
passed=0 failed=0

differ() { failed=$((failed + 1)); echo "FAILED: $*"; }

there=$scratch/another/folder/that-has/a/longer/name
mkdir -p "$there" "$scratch/home" "$scratch/out"
git ls-files -co --exclude-standard -- plugins/bundled sdk | while read -r f; do [ -e "$f" ] && echo "$f"; done | tar -cf - -T - | tar -xf - -C "$there"

if [ -z "${SALLYPORT_CLI:-}" ]; then
  CGO_ENABLED=0 go build -o bin/tools/sallyport . || exit 1
  SALLYPORT_CLI=$PWD/bin/tools/sallyport
fi
export SALLYPORT_CLI
if ! bash .ci/plugins.sh bin/plugins >"$scratch/log" 2>&1; then
  cat "$scratch/log"
  differ "the plugins do not build"
elif ! (
  umask 077
  modules=$(go env GOMODCACHE)
  # What belongs to the machine stays: the compilers, and their way to what is installed.
  env HOME="$scratch/home" XDG_CACHE_HOME="$scratch/home/cache" GOCACHE="$scratch/home/go-build" GOMODCACHE="$modules" \
    CARGO_HOME="$scratch/home/cargo" CARGO_TARGET_DIR="$scratch/home/target" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" TMPDIR="$scratch" \
    TZ=Pacific/Kiritimati LC_ALL=C GOFLAGS=-buildvcs=true SOURCE_DATE_EPOCH=1 SALLYPORT_SOURCES="$there" \
    bash .ci/plugins.sh "$scratch/out"
) >"$scratch/log" 2>&1; then
  cat "$scratch/log"
  differ "the plugins do not build in another folder"
else
  for one in bin/plugins/*.wasm; do
    name=$(basename "$one")
    [ -e "plugins/bundled/${name%.wasm}/plugin.yaml" ] || continue # of a plugin that is gone
    if cmp "$one" "$scratch/out/$name"; then
      passed=$((passed + 1))
      echo "same     $name $(sha256sum <"$one" | cut -c 1-64)"
    else
      differ "$name differs: something of the folder, the time or the machine is in it"
    fi
  done
  [ "$passed" -gt 0 ] || [ "$failed" -gt 0 ] || differ "there was nothing to compare"
fi

echo "plugins, built twice: $passed passed, $failed failed, 0 skipped"
[ -z "${SALLYPORT_RESULTS:-}" ] || printf 'plugins, built twice\t%d\t%d\t0\n' "$passed" "$failed" >>"$SALLYPORT_RESULTS"
[ "$failed" = 0 ]

#!/usr/bin/env bash
# Runs every suite and prints one line per suite with its counts, then the sum. On Debian as
# root it installs what is missing; elsewhere it runs what it can and says what it left out.
# What is left out counts as skipped, and a skip fails the run when CI=true.
#
# The suites: check (.ci/check.sh); the Go tests, with the race detector where there is a C
# compiler, one suite a room; sdk/go, a module of its own; and core/interop: clients and
# conformance suites that nobody here wrote, against the real binary.
set -uo pipefail
cd "$(dirname "$0")/.."
results=${SALLYPORT_RESULTS:-}
if [ -z "$results" ]; then
  results=$(mktemp)
  trap 'rm -f "$results"' EXIT
fi
export SALLYPORT_RESULTS=$results
: >"$results"

say() { echo "--- $*"; }
timed() { local start=$SECONDS; "$@"; local code=$?; echo "--- took $((SECONDS - start)) s"; return $code; }

command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || { echo "Go is missing: install the version that go.mod names, or newer" >&2; exit 1; }

# install PACKAGE…: from Debian, as root; elsewhere it says no.
install() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  say "installing $*"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@"; } >"$results.apt" 2>&1 </dev/null ||
    { cat "$results.apt"; rm -f "$results.apt"; return 1; }
  rm -f "$results.apt"
}

# The race detector needs cgo.
race=()
command -v gcc >/dev/null || command -v cc >/dev/null || install gcc libc6-dev
if command -v gcc >/dev/null || command -v cc >/dev/null; then
  export CGO_ENABLED=1 SALLYPORT_RACE=1
  race=(-race)
else
  say "left out: the race detector; it needs a C compiler"
  [ "${CI:-}" = true ] && printf 'race detector\t0\t0\t1\n' >>"$results"
fi

# core/interop types the command that the quickstart prints.
command -v curl >/dev/null || install curl || say "left out: curl, and what the quickstart prints for it"

# The peers of core/interop that are written for Node 22; the tests find them there.
peers() {
  local dir=core/interop/node sum
  command -v npm >/dev/null || install nodejs npm || { say "left out: npm, so the suites that need Node are skipped"; return; }
  sum=$(sha256sum <"$dir/package-lock.json")
  [ "$(cat "$dir/node_modules/.lock-sum" 2>/dev/null)" = "$sum" ] && return
  say "installing the peers of core/interop"
  (cd "$dir" && npm ci --ignore-scripts --loglevel=error </dev/null) && echo "$sum" >"$dir/node_modules/.lock-sum" ||
    say "npm ci did not succeed, so the suites that need Node are skipped"
}
peers

say "check"
timed bash .ci/check.sh

tally=$PWD/bin/tools/tally
go build -o "$tally" ./.ci/tally || exit 1

# tests NAME TALLY-ARGUMENT… -- GO-TEST-ARGUMENT…, in the module that $at names; a stage that came to no counts has failed.
tests() {
  local name=$1 how=() before
  shift
  while [ "$1" != -- ]; do how+=("$1"); shift; done
  shift
  before=$(wc -l <"$results")
  say "$name"
  go test ${at:+-C "$at"} -json "$@" </dev/null 2>&1 | "$tally" -out "$results" "${how[@]}"
  [ "$(wc -l <"$results")" -gt "$before" ] || printf '%s\t0\t1\t0\n' "$name" >>"$results"
}

# One package at a time: tests that hold a clock share the cores with nobody. What they are
# built from is compiled before, on all of them.
mapfile -t packages < <(go list ./... ./.ci/tally | grep -v -e /core/interop -e /plugins/rewrite)
go build "${race[@]}" ./... </dev/null || true # the tests will say what is wrong
timed tests "go test ${race[*]}" -- "${race[@]}" -p 1 -timeout 25m "${packages[@]:-no packages}"

# Bounds on memory and speed hold only without the race detector: tests that know of it
# (by a build tag) run once more.
if ((${#race[@]})); then
  mapfile -t measured < <(git grep --untracked -l '^//go:build !race' -- '*_test.go' | xargs -r -n 1 dirname | sort -u)
  ((${#measured[@]})) && timed tests "go test" -mark " (measured)" -- -timeout 25m "${measured[@]/#/./}"
fi
# The rewriter turns bytes into bytes on one goroutine, and its tests compile thousands of modules:
# the race detector has nothing to find there and makes that ten times slower.
timed tests plugins/rewrite -- -timeout 10m ./plugins/rewrite

# The SDK is a module of its own.
sdk() {
  (cd sdk/go && go vet ./... </dev/null && go mod tidy -diff) || { printf 'sdk/go: go vet, go mod tidy\t0\t1\t0\n' >>"$results"; say "sdk/go: FAILED go vet or go mod tidy"; }
  at=sdk/go tests sdk/go -- "${race[@]}" -timeout 10m ./...
}
timed sdk

timed tests core/interop -split core/interop -- -count=1 -timeout 25m ./core/interop

awk -F'\t' -v ci="${CI:-}" '
  { suites++; p += $2; f += $3; s += $4 }
  END {
    printf "total of %d suites: %d passed, %d failed, %d skipped\n", suites, p, f, s
    exit (p == 0 || f > 0 || (ci == "true" && s > 0))
  }' "$results"

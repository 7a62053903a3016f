#!/usr/bin/env bash
# Runs every suite and prints one line per suite with its counts, then the sum. On Debian as
# root it installs what is missing; elsewhere it runs what it can and says what it left out.
# What is left out counts as skipped, and a skip fails the run when CI=true.
#
# The suites: check (.ci/check.sh); the Go tests, with the race detector where there is a C
# compiler, one suite a room; the store, one suite a database; the Go modules of their own
# (sdk/go and plugins); the crates and the npm package of the SDKs and plugins; sdk/conformance; the bundled plugins, built
# twice and with their fixtures; and core/interop: clients and conformance suites that
# nobody here wrote, against the real binary.
set -uo pipefail
cd "$(dirname "$0")/.."
results=${SALLYPORT_RESULTS:-}
if [ -z "$results" ]; then
  results=$(mktemp)
  trap 'rm -f "$results"' EXIT
fi
export SALLYPORT_RESULTS=$results
: >"$results"

. .ci/install.sh
timed() { local start=$SECONDS; "$@"; local code=$?; echo "--- took $((SECONDS - start)) s"; return $code; }

command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || { echo "Go is missing: install the version that go.mod names, or newer" >&2; exit 1; }

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

# packages DIR WHAT-FOR: npm ci, unless the lock is that of the last one.
packages() {
  local dir=$1 sum
  command -v npm >/dev/null || install nodejs npm || { say "left out: npm, so $2 are skipped"; return 1; }
  sum=$(sha256sum <"$dir/package-lock.json")
  [ "$(cat "$dir/node_modules/.lock-sum" 2>/dev/null)" = "$sum" ] && return
  say "installing the packages of $dir"
  (cd "$dir" && npm ci --ignore-scripts --loglevel=error </dev/null) && echo "$sum" >"$dir/node_modules/.lock-sum" ||
    { say "npm ci did not succeed, so $2 are skipped"; return 1; }
}
# The peers of core/interop are written for Node 22; the tests find them there.
packages core/interop/node "the suites that need Node"
# The browser that pages of others attack the gateway in.
command -v chromium chromium-browser google-chrome >/dev/null || install chromium || say "left out: Chromium, so its tests are skipped"
# The compiler of AssemblyScript.
assemblyscript=true
packages sdk/assemblyscript "the tests of the AssemblyScript SDK" || assemblyscript=false
# Those of plugins in Rust and C.
compilers=true
toolchains rust || compilers=false
toolchains c || true # sdk/conformance says what it had to leave out

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

# counted NAME FORMAT COMMAND…: a suite of another test runner, whose sums the tally reads.
counted() {
  local name=$1 format=$2 code=0 before
  shift 2
  before=$(wc -l <"$results")
  say "$name"
  "$@" >"$results.log" 2>&1 </dev/null || code=$?
  "$tally" -out "$results" -name "$name" -format "$format" -code "$code" <"$results.log"
  [ "$(wc -l <"$results")" -gt "$before" ] || printf '%s\t0\t1\t0\n' "$name" >>"$results"
  rm -f "$results.log"
}

# skipped NAME WHY: a suite that cannot run here.
skipped() {
  say "left out: $1: $2"
  printf '%s\t0\t0\t1\n' "$1" >>"$results"
}

# One package at a time: tests that hold a clock share the cores with nobody. What they are
# built from is compiled before, on all of them.
mapfile -t rooms < <(go list ./... ./.ci/tally | grep -v -e /core/interop -e '/store$' -e /plugins/rewrite -e /plugins/author -e /sdk/conformance)
go build "${race[@]}" ./... </dev/null || true # the tests will say what is wrong
timed tests "go test ${race[*]}" -- "${race[@]}" -p 1 -timeout 25m -skip '^TestPostgres' "${rooms[@]:-no packages}"

# Bounds on memory and speed hold only without the race detector: tests that know of it
# (by a build tag) run once more.
if ((${#race[@]})); then
  mapfile -t measured < <(git grep --untracked -l '^//go:build !race' -- '*_test.go' | xargs -r -n 1 dirname | sort -u)
  ((${#measured[@]})) && timed tests "go test" -mark " (measured)" -- -timeout 25m "${measured[@]/#/./}"
fi
# The rewriter turns bytes into bytes on one goroutine, and its tests compile thousands of modules:
# the race detector has nothing to find there and makes that ten times slower.
timed tests plugins/rewrite -- -timeout 10m ./plugins/rewrite

# The store, once a database, so that each has its counts. Postgres is one of this run's own.
database() {
  timed tests "store on SQLite" -name "store on SQLite" -- "${race[@]}" -timeout 15m -skip '^TestPostgres' ./store
  if bash .ci/postgres.sh true; then
    say "store on Postgres"
    bash .ci/postgres.sh go test -json "${race[@]}" -count=1 -timeout 15m -run '^TestPostgres' ./store </dev/null 2>&1 |
      "$tally" -out "$results" -name "store on Postgres"
    grep -q '^store on Postgres' "$results" || printf 'store on Postgres\t0\t1\t0\n' >>"$results"
    say "the whole gateway on Postgres"
    SALLYPORT_TEST_STORE=postgres bash .ci/postgres.sh go test -json "${race[@]}" -count=1 -timeout 15m -run '^Test(Postgres|EveryCall|NoByte|MarksAre|Admin)' ./core/app </dev/null 2>&1 |
      "$tally" -out "$results" -name "core/app on Postgres"
    grep -q '^core/app on Postgres' "$results" || printf 'core/app on Postgres\t0\t1\t0\n' >>"$results"
  else
    skipped "store on Postgres" "there is no Postgres"
  fi
}
timed database

# Guests of all languages, built by their compilers and run in the sandbox. The race detector
# would watch wazero compile them, for minutes.
timed tests sdk/conformance -name sdk/conformance -- -timeout 10m ./sdk/conformance
timed tests plugins/author -name plugins/author -- -timeout 10m ./plugins/author

# Go modules of their own.
modules() {
  local module
  for module in $(git ls-files -co --exclude-standard '*/go.mod' | grep -v -e '^\.ci/' -e /testdata/); do
    module=$(dirname "$module")
    [ -n "$(git ls-files -co --exclude-standard "$module/*_test.go")" ] || continue
    at=$module tests "$module" -name "$module" -- "${race[@]}" -timeout 10m ./...
  done
}
timed modules

# The crates: Debian's cargo, offline; there is nothing to fetch.
crates() {
  local crate cargo=cargo
  [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && cargo=/usr/bin/cargo && export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
  export CARGO_TARGET_DIR=$PWD/bin/cargo CARGO_NET_OFFLINE=true CARGO_TERM_COLOR=never
  for crate in sdk/rust plugins/bundled/*/Cargo.toml; do
    crate=${crate%/Cargo.toml}
    [ -e "$crate/Cargo.toml" ] || continue
    if command -v "$cargo" >/dev/null; then
      counted "$crate" cargo "$cargo" test --offline --locked --manifest-path "$crate/Cargo.toml"
    else
      skipped "$crate" "there is no cargo"
    fi
  done
}
(timed crates)

if $assemblyscript; then
  timed counted sdk/assemblyscript node npm --prefix sdk/assemblyscript test --silent
else
  skipped sdk/assemblyscript "its compiler is not installed"
fi

# The bundled plugins: built twice, then each with its fixtures as its author runs them. The
# folder that is tested holds what a release holds: manifest, fixtures and module.
plugins() {
  local folder name stage code=0
  say "plugins, built twice"
  bash .ci/reproducible.sh || code=$?
  [ "$code" = 0 ] || grep -q '^plugins, built twice' "$results" || printf 'plugins, built twice\t0\t1\t0\n' >>"$results"
  stage=$(mktemp -d)
  for folder in plugins/bundled/*/plugin.yaml; do
    folder=$(dirname "$folder")
    name=$(basename "$folder")
    mkdir "$stage/$name"
    cp -pr "$folder/plugin.yaml" "$folder/fixtures" "bin/plugins/$name.wasm" "$stage/$name/"
    counted "plugins/bundled/$name (fixtures)" cases bin/tools/sallyport plugin test "$stage/$name/$name.wasm"
  done
  rm -rf "$stage"
}
if $compilers; then
  timed plugins
else
  skipped "bundled plugins" "compilers are missing"
fi

timed tests core/interop -split core/interop -- -count=1 -timeout 25m ./core/interop

awk -F'\t' -v ci="${CI:-}" '
  { suites++; p += $2; f += $3; s += $4 }
  END {
    printf "total of %d suites: %d passed, %d failed, %d skipped\n", suites, p, f, s
    exit (p == 0 || f > 0 || (ci == "true" && s > 0))
  }' "$results"

#!/usr/bin/env bash
# The checks that need no running: one line each, then the counts. SALLYPORT_RESULTS, when
# set, names the file that the counts are appended to.
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# ok NAME COMMAND…: the check passes when the command does. Exit code 77 leaves it out.
ok() {
  local name=$1 start=$SECONDS code=0
  shift
  "$@" >"$scratch/out" 2>&1 || code=$?
  case $code in
    0) passed=$((passed + 1)); echo "ok       $name ($((SECONDS - start)) s)"; grep '^note: ' "$scratch/out" ;;
    77) skipped=$((skipped + 1)); echo "left out $name: $(tail -n 1 "$scratch/out")" ;;
    *) failed=$((failed + 1)); echo "FAILED   $name ($((SECONDS - start)) s)"; sed 's/^/    /; 400q' "$scratch/out" ;;
  esac
}

sources() { git ls-files -co --exclude-standard "$@" | while read -r f; do [ -e "$f" ] && echo "$f"; done; }

format() {
  local wrong
  wrong=$(sources '*.go' | xargs -r bin/tools/gofumpt -l) || { echo "$wrong"; return 1; }
  [ -z "$wrong" ] || { echo "not formatted (make fmt):"; echo "$wrong"; return 1; }
}

# within COMMAND…: in each Go module below this one, but for those of the tools.
within() {
  local module
  sources '*/go.mod' | grep -v -e '^\.ci/' -e /testdata/ | {
    local code=0
    while read -r module; do
      (cd "$(dirname "$module")" && "$@" </dev/null) || { code=1; echo "in $(dirname "$module")"; }
    done
    return $code
  }
}

tidy() { go mod tidy -diff && (cd .ci/tools && go mod tidy -diff) && within go mod tidy -diff; }

vet() { go vet ./... ./.ci/tally && within go vet ./...; }

lint() {
  bin/tools/golangci-lint run --allow-parallel-runners ./... ./.ci/tally && within "$PWD/bin/tools/golangci-lint" run --allow-parallel-runners ./...
}

# Generated files are made again in a copy and compared.
generated() {
  local copy=$scratch/copy
  mkdir "$copy"
  sources | tar -cf - -T - | tar -xf - -C "$copy"
  cp -r "$copy" "$scratch/before"
  (cd "$copy" && go generate ./...) || return 1
  diff -r "$scratch/before" "$copy" || { echo "generated files are stale (make generate)"; return 1; }
}

# A lock file must work with any registry, so it names none.
lock() {
  local bad
  bad=$(sources '*package-lock.json' | xargs -r grep -ln '"resolved"')
  [ -z "$bad" ] || { echo "$bad: holds addresses of a registry; npm install with omit-lockfile-registry-resolved=true"; return 1; }
}

# Offline when a copy of the vulnerability database lies beside the clone.
vulnerabilities() {
  local archive=${SALLYPORT_VULNDB:-../shared/vulndb.tgz} db made code=0
  if [ -f "$archive" ]; then
    mkdir "$scratch/db" && tar -xzf "$archive" -C "$scratch/db" || return 1
    db=$(dirname "$(dirname "$(find "$scratch/db" -path '*/index/db.json' | head -n 1)")")
    made=$(grep -o '"modified": *"[^"]*"' "$db/index/db.json" | cut -d '"' -f 4)
    echo "note: the database is of $made, $((($(date +%s) - $(date -d "$made" +%s)) / 86400)) days old"
    bin/tools/govulncheck -db "file://$db" ./...
    return
  fi
  bin/tools/govulncheck ./... || code=$?
  if [ $code = 1 ]; then
    echo "no ${archive} and the online database was not reached"
    return 77
  fi
  return $code
}

ok "tools built" bash .ci/tools.sh
ok "format (gofumpt)" format
ok "go.mod tidy" tidy
ok "go vet" vet
ok "lint (golangci-lint)" lint
ok "generated files fresh" generated
ok "lock files name no registry" lock
ok "known vulnerabilities (govulncheck)" vulnerabilities

echo "check: $passed passed, $failed failed, $skipped skipped"
if [ -n "${SALLYPORT_RESULTS:-}" ]; then
  printf 'check\t%d\t%d\t%d\n' "$passed" "$failed" "$skipped" >>"$SALLYPORT_RESULTS"
fi
[ "$failed" = 0 ] && { [ "${CI:-}" != true ] || [ "$skipped" = 0 ]; }

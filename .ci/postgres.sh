#!/usr/bin/env bash
# bash .ci/postgres.sh COMMAND…: runs COMMAND beside a throw-away Postgres on loopback, whose
# address is in SALLYPORT_TEST_POSTGRES, and ends as COMMAND does. Nothing of it is left.
# Code 69: there is no Postgres, and none could be installed.
set -euo pipefail
. "$(dirname "$0")/install.sh"

# programs: the folder of initdb and pg_ctl; Debian keeps them out of the PATH.
programs() {
  local initdb
  for initdb in $(command -v initdb) /usr/lib/postgresql/*/bin/initdb; do
    [ -x "$initdb" ] && dirname "$(readlink -f "$initdb")"
  done | sort -V | tail -n 1
}
bin=$(programs)
if [ -z "$bin" ]; then
  install postgresql >&2 || { say "left out: Postgres (the Debian package postgresql, or what your system calls it)" >&2; exit 69; }
  bin=$(programs)
  [ -n "$bin" ] || exit 69
fi

# Postgres refuses to run as root.
as=()
dir=$(mktemp -d "${TMPDIR:-/tmp}/postgres.XXXXXX")
if [ "$(id -u)" = 0 ]; then
  as=(setpriv --reuid=postgres --regid="$(id -gn postgres)" --clear-groups env HOME="$dir")
  chown postgres "$dir"
fi
# stop: at once; what is in there is worth nothing. Killed by its parent's end it would stay.
stop() {
  local code=$?
  trap - EXIT INT TERM
  (cd "$dir" && "${as[@]}" "$bin/pg_ctl" -D "$dir/db" -m immediate stop) >/dev/null 2>&1 || true
  rm -rf "$dir"
  exit "$code"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

(cd "$dir" && "${as[@]}" "$bin/initdb" -D "$dir/db" -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1) ||
  { cat "$dir/initdb.log" >&2; exit 1; }
# A port of the system's choice is not to be had, so one is drawn until Postgres can have it.
started=false
for _ in 1 2 3 4 5 6 7 8 9 10; do
  port=$((20000 + RANDOM % 12000))
  if (cd "$dir" && "${as[@]}" "$bin/pg_ctl" -D "$dir/db" -w -t 60 -l "$dir/log" -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200 -c log_min_messages=fatal" start >/dev/null 2>&1); then
    started=true
    break
  fi
done
$started || { cat "$dir/log" >&2; exit 1; }

export SALLYPORT_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
code=0
"$@" || code=$?
exit "$code"

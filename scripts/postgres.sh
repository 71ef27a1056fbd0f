#!/usr/bin/env bash
# A private PostgreSQL for tests and benchmarks: on loopback, without a Unix socket, run by an unprivileged user.
#   scripts/postgres.sh start DIR   starts one in DIR (made when missing) and prints its URL, which asks for no TLS
#   scripts/postgres.sh stop DIR    stops it
#   scripts/postgres.sh kill DIR    kills it without warning, as a crash would
set -euo pipefail

action=${1:?start, stop or kill}
dir=$(mkdir -p "${2:?a folder}" && cd "$2" && pwd)
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || { echo "PostgreSQL is missing: apt-get install postgresql" >&2; exit 1; }

as_user() { # PostgreSQL refuses to run as root
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; else "$@"; fi
}

free_port() { node -e 'const s=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'; }

start() {
  if [ ! -s "$dir/data/PG_VERSION" ]; then
    mkdir -p "$dir/data"
    [ "$(id -u)" != 0 ] || { chown -R postgres:postgres "$dir"; chmod 755 "$dir"; }
    as_user "$bin/initdb" -D "$dir/data" -U tollgate --auth=trust -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log"
    free_port >"$dir/port"
    # It offers TLS as well, with a certificate of its own that a client may be told to trust.
    mkdir -p "$dir/tls"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=localhost \
      -addext subjectAltName=IP:127.0.0.1,DNS:localhost -addext basicConstraints=critical,CA:FALSE \
      -keyout "$dir/tls/server.key" -out "$dir/tls/server.crt" 2>"$dir/openssl.log"
    chmod 755 "$dir/tls"; chmod 644 "$dir/tls/server.crt"; chmod 600 "$dir/tls/server.key"
  fi
  [ "$(id -u)" != 0 ] || chown -R postgres:postgres "$dir"
  local port; port=$(cat "$dir/port")
  as_user "$bin/pg_ctl" -D "$dir/data" -l "$dir/postgres.log" -w -t 60 \
    -o "-c ssl=on -c ssl_cert_file=$dir/tls/server.crt -c ssl_key_file=$dir/tls/server.key \
-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories='' -c max_connections=200 -c shared_buffers=256MB -c max_wal_size=4GB" start >/dev/null
  echo "postgres://tollgate@127.0.0.1:$port/postgres?sslmode=disable"
}

case $action in
  start) start ;;
  stop) as_user "$bin/pg_ctl" -D "$dir/data" -m fast -w stop >/dev/null ;;
  kill) kill -9 "$(head -n 1 "$dir/data/postmaster.pid")" ;;
  *) echo "start, stop or kill" >&2; exit 2 ;;
esac

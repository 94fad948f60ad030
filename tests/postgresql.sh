#!/usr/bin/env bash
# A private PostgreSQL server for the tests: on a free port of this machine only, its data in a temporary folder.
#
#   export MAINSPRING_TEST_POSTGRESQL="$(tests/postgresql.sh start)"    prints the URL of an empty database
#   tests/postgresql.sh stop "$MAINSPRING_TEST_POSTGRESQL"              stops the server and removes its data
#
# It is Debian's PostgreSQL, installed if it is absent. PostgreSQL refuses to run as root; then it runs as `postgres`.
set -euo pipefail

say() { echo "$*" >&2; }

as_server() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

programs() {  # the folder of initdb and pg_ctl, which Debian keeps out of the PATH
    ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1
}

folder_of() {  # one folder a port, so that `stop` finds it by the URL
    echo "${TMPDIR:-/tmp}/mainspring-postgresql-$1"
}

start() {
    if [ ! -x "$(programs)/initdb" ]; then
        say "installing PostgreSQL …"
        (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql) >&2
    fi
    local bin port folder password
    bin="$(programs)"
    port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
    folder="$(folder_of "$port")"
    password="$(python3 -c 'import secrets; print(secrets.token_hex(16))')"
    mkdir -m 700 "$folder"
    (umask 077 && echo "$password" > "$folder/password")
    if [ "$(id -u)" = 0 ]; then chown -R postgres "$folder"; fi
    (
        cd "$folder"
        as_server "$bin/initdb" -D "$folder/data" -U mainspring --pwfile="$folder/password" -A scram-sha-256 -E UTF8 \
            --no-sync >&2
        # Nothing here must outlive a crash, so nothing waits for the disk.
        as_server "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 \
            -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off" start >&2
    )
    echo "postgresql://mainspring:$password@127.0.0.1:$port/postgres"
}

stop() {
    local port folder
    port="$(sed -E 's|.*@127\.0\.0\.1:([0-9]+)/.*|\1|' <<< "$1")"
    folder="$(folder_of "$port")"
    (cd "$folder" && as_server "$(programs)/pg_ctl" -D "$folder/data" -m immediate -w stop >&2)
    rm -rf "$folder"
}

case "${1:-}" in
    start) start ;;
    stop) stop "${2:?the URL that start printed}" ;;
    *) say "usage: $0 start | stop URL"; exit 2 ;;
esac

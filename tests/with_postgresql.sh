#!/usr/bin/env bash
# Runs a command with a PostgreSQL server of its own, whose URL the tests find in MAINSPRING_TEST_POSTGRESQL.
set -euo pipefail
here=$(dirname "$0")
if [ -z "${MAINSPRING_TEST_POSTGRESQL:-}" ]; then
  if MAINSPRING_TEST_POSTGRESQL=$("$here/postgresql.sh" start); then
    export MAINSPRING_TEST_POSTGRESQL
    trap '"$here/postgresql.sh" stop "$MAINSPRING_TEST_POSTGRESQL"' EXIT
  else
    echo "no PostgreSQL server: its tests will fail and say what to do; the others do not need it" >&2
  fi
fi
"$@"

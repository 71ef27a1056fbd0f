#!/usr/bin/env bash
# Every test, in order of speed. Each step is named, timed and bounded; all run even after a failure, and the last
# line says how many tests passed and failed.
#   scripts/test.sh            everything
#   scripts/test.sh clippy …   only the named steps
#   scripts/test.sh torture    the crash tests for TORTURE_ROUNDS rounds, which `make test` runs for a few
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${CI:-}" = true ]; then export CARGO_INCREMENTAL=0; fi
CARGO_TARGET_DIR=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/tollgate-test.XXXXXX")
chmod 755 "$work" # PostgreSQL runs as another user when this runs as root
export CARGO_TARGET_DIR work NO_COLOR=1 CARGO_TERM_COLOR=never RUST_BACKTRACE=0
export TOLLGATE_BIN=$CARGO_TARGET_DIR/debug/tollgate
only=" $* "
results=$work/results
running=
: >"$results"

clean_up() {
  if [ -n "$running" ]; then kill "$running" 2>/dev/null || true; wait "$running" 2>/dev/null || true; fi
  if [ -e "$work/postgres/data/postmaster.pid" ]; then scripts/postgres.sh stop "$work/postgres" || true; fi
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# step NAME SECONDS COUNT SCRIPT   COUNT says where its tests are counted: `none` (a preparation), `one`, or KIND:FILE
# as scripts/count.mjs reads it. SCRIPT runs in a bash of its own, with the functions below.
step() {
  local name=$1 limit_s=$2 count=$3 script=$4 log=$work/$1.log status=0 started=$SECONDS follower
  if [ "$count" != none ] && [ "$only" != "  " ] && [[ "$only" != *" $name "* ]]; then return 0; fi
  echo "── $name"
  : >"$log"
  timeout --kill-after=10 "$limit_s" bash -euo pipefail -c "$script" >"$log" 2>&1 </dev/null &
  running=$!
  tail -n +1 -f --pid="$running" "$log" &
  follower=$!
  wait "$running" || status=$?
  running=
  wait "$follower" || true
  if [ "$status" = 124 ]; then echo "$name took longer than its $limit_s s and was ended"; fi
  printf '%s\t%s\t%s\t%s\n' "$name" "$status" "$((SECONDS - started))" "$count" >>"$results"
}

start_postgres() {
  scripts/prepare.sh postgresql
  scripts/postgres.sh start "$work/postgres" >"$work/postgres-url"
}
check_format() {
  cargo fmt --all --check -- --color never
  cargo fmt --manifest-path bench/naive-axum/Cargo.toml --check -- --color never
}
check_tidy() { # compiled alone, so that it answers before anything else is built
  CARGO_MANIFEST_DIR=$PWD/crates/server rustc --edition 2024 --test -o "$work/tidy" crates/server/tests/tidy.rs
  "$work/tidy"
}
nextest() {
  cargo nextest run --config-file scripts/nextest.toml --workspace --locked "$@"
}
compile_tests() { # the server that the browser tests start is made anew or not there
  rm -f "$TOLLGATE_BIN"
  if [ "$runner" = nextest ]; then nextest --no-run; else cargo test --workspace --locked --no-run; fi
  [ -x "$TOLLGATE_BIN" ]
}
test_rust() { # tidy had a step of its own
  if [ "$runner" = nextest ]; then nextest -E 'not binary(tidy)'; else cargo test --workspace --locked --no-fail-fast --lib --bins --tests; fi
}
torture() {
  if [ "$runner" = nextest ]; then nextest --profile torture --success-output immediate -E 'binary(torture)'; else cargo test -p server --locked --test torture -- --nocapture; fi
}
check_openapi() {
  "$TOLLGATE_BIN" openapi >"$work/openapi.json"
  diff -u openapi.json "$work/openapi.json" || { echo "openapi.json is stale: run make openapi"; exit 1; }
}
test_browser() { # test_browser DATABASE_URL REPORT
  local status=0
  rm -rf web/e2e/results
  E2E_DATABASE_URL=$1 npm --prefix web run e2e || status=$?
  cp web/e2e/results/results.json "$2"
  return "$status"
}
export -f start_postgres check_format check_tidy nextest compile_tests test_rust torture check_openapi test_browser

runner=cargo
rust_count=libtest:$work/rust.log
if cargo nextest --version >/dev/null 2>&1; then
  runner=nextest
  rust_count=junit:target/nextest/default/junit.xml
  rm -f "${rust_count#junit:}"
fi
export runner

step postgres 1300 none start_postgres
step smtp 600 none 'scripts/prepare.sh smtp'
step browser 1300 none 'scripts/prepare.sh chromium fonts'
step npm 600 none 'make web-installed'
TEST_POSTGRES_URL=$(cat "$work/postgres-url" 2>/dev/null || true)
export TEST_POSTGRES_URL REQUIRE_POSTGRES=1

step fmt 120 one check_format
step tidy 120 "libtest:$work/tidy.log" check_tidy
step licenses 120 one 'cargo metadata --format-version 1 --locked | node scripts/licenses.mjs web/package-lock.json'
step clippy 1500 one 'cargo clippy --workspace --all-targets --locked -- -D warnings'
step web 600 "vitest:$work/web.log" 'npm --prefix web run check'
step pages 300 one 'make web'
step compile 1800 one compile_tests
step rust 1800 "$rust_count" test_rust
step doc 600 "libtest:$work/doc.log" 'cargo test --workspace --locked --doc --no-fail-fast'
step openapi 60 one check_openapi
step e2e-sqlite 900 "playwright:$work/e2e-sqlite.json" "test_browser '' $work/e2e-sqlite.json"
step e2e-postgres 900 "playwright:$work/e2e-postgres.json" "test_browser '$TEST_POSTGRES_URL' $work/e2e-postgres.json"
if [[ "$only" == *" torture "* ]]; then step torture 10800 "libtest:$work/torture.log" torture; fi

node scripts/count.mjs "$results"

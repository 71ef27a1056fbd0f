#!/usr/bin/env bash
# The server in the dev profile and Vite in front of it; both end together.
#   scripts/dev.sh LISTEN DATA
set -euo pipefail
cd "$(dirname "$0")/.."
listen=$1 data=$2

trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
cargo run -p server -- serve --demo --listen "$listen" --data "$data" &
TOLLGATE_URL="http://$listen" npm --prefix web run dev &
wait -n

#!/usr/bin/env bash
# Installs the Debian packages that are missing, or says which to install where it may not.
#   scripts/prepare.sh postgresql smtp chromium fonts wrk sqlite3 …
set -euo pipefail

packages() { # the Debian packages behind a name that are not here
  case $1 in
    postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || echo postgresql ;;
    chromium) [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || echo chromium ;;
    smtp) /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || echo python3-aiosmtpd ;;
    fonts) for font in inter dejavu-core; do [ -d /usr/share/doc/fonts-$font ] || echo fonts-$font; done ;;
    *) command -v "$1" >/dev/null || echo "$1" ;;
  esac
}

missing=()
for name in "$@"; do mapfile -t -O "${#missing[@]}" missing < <(packages "$name"); done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Missing: ${missing[*]}. On Debian or Ubuntu: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
# A private cluster is all that is wanted: keep the package from making and starting one of its own.
if [[ " ${missing[*]} " == *" postgresql "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
  mkdir -p /etc/postgresql-common
  echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing ${missing[*]}"
timeout 300 apt-get update -qq </dev/null
timeout 900 apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null

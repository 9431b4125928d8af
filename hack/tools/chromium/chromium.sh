#!/usr/bin/env bash
# Runs the headless Chromium beside this script with the libraries and fonts that came with it; without one there, that of the
# distribution. HOME is that of its user, with the authorities that are trusted.
#
#   chromium ARGUMENTS...
#   chromium trust CA.pem...   only make HOME/.pki/nssdb, which trusts these authorities
set -euo pipefail

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
libraries=""
if [[ -d $here/browser ]]; then
  libraries=$here/browser/lib
  export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} FONTCONFIG_FILE=$here/fonts.conf
fi

if [[ ${1:-} == trust ]]; then
  shift
  exec python3 "$here/trust.py" "$libraries" "${HOME:?chromium: HOME is not set}" "$@"
fi
if [[ -n $libraries ]]; then
  exec "$here/browser/chromium" "$@"
fi
exec chromium --headless "$@"

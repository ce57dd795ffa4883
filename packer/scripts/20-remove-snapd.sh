#!/usr/bin/env bash
# Removes snapd, and with it the agent of Session Manager, unless the build is connected by that.
set -euo pipefail

if [ "${BUILD_CONNECTION:-ssh}" = session_manager ]; then
    echo "left for remove-snapd.sh, after the connection"
else
    bash "$(dirname "${BASH_SOURCE[0]}")/remove-snapd.sh"
fi
# Held: no dependency brings it back.
cat >/etc/apt/preferences.d/no-snapd <<'PREFERENCES'
Package: snapd
Pin: release *
Pin-Priority: -1
PREFERENCES

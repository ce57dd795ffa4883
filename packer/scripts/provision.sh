#!/usr/bin/env bash
# Makes the scanner's image of an Ubuntu LTS or Debian system. Run as root on the machine itself, with files/, scripts/ and
# release/ below one directory, which is gone afterwards. Needs no systemd to run, so that it works in a container too.
#
# Environment, all of it noted in /etc/agentless-scanner/image.json:
#   SCANNER_VERSION RELEASE_PUBLIC_KEY SOURCE_IMAGE SOURCE_IMAGE_NAME GIT_COMMIT BUILT_AT
# Optional: BUILD_CONNECTION=session_manager (remove-snapd.sh is run later), APT_MIRROR, APT_SECURITY_MIRROR (https only).
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
IMAGE_DIR="$(dirname "$here")"
export IMAGE_DIR DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
umask 022

fail() {
    echo "provision.sh: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "run it as root"
for variable in SCANNER_VERSION RELEASE_PUBLIC_KEY SOURCE_IMAGE SOURCE_IMAGE_NAME GIT_COMMIT BUILT_AT; do
    value="${!variable:-}"
    [ -n "$value" ] || fail "$variable is not set"
    # They are written into JSON as they are.
    [[ $value =~ ^[A-Za-z0-9\ ._:/@+=~*-]+$ ]] || fail "$variable has characters that are not expected: $value"
done

# Packages that are installed or removed start and stop nothing: neither the connection that this runs over, nor services of a
# machine that is only built here.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
trap 'rm -f /usr/sbin/policy-rc.d' EXIT

for script in "$here"/[0-9][0-9]-*.sh; do
    echo "== $(basename "$script") ($SECONDS s)"
    bash "$script"
done
echo "== done ($SECONDS s)"

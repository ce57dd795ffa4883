#!/usr/bin/env bash
# Removes snapd with all snaps, such as the agent of Session Manager. Runs alone, as root.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

if dpkg-query -W -f '${db:Status-Status}\n' snapd 2>/dev/null | grep -qv '^not-installed$'; then
    apt-get -q --yes purge snapd
fi
# What snaps keep outside of their packages.
rm -rf /snap /var/snap /var/lib/snapd /var/cache/snapd /root/snap /home/*/snap

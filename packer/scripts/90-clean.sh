#!/usr/bin/env bash
# Takes away what belongs to this one machine, and what only the build needed.
set -euo pipefail

apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin

# Each instance has an identity, keys and seeds of its own, and a first start.
if command -v cloud-init >/dev/null; then cloud-init clean --logs --seed; fi
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id /etc/ssh/ssh_host_* /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
rm -f /etc/netplan/50-cloud-init.yaml /etc/hostname /var/lib/dhcp/* /var/lib/systemd/timesync/clock
rm -rf /var/lib/cloud/instances /var/lib/agentless-scanner

find /var/log -type f -delete
rm -rf /var/log/journal/* /var/crash/* /var/tmp/* /root/.bash_history /root/.cache /root/.wget-hsts /home/*/.bash_history
rm -f /usr/sbin/policy-rc.d
# This script's own shell has it open.
rm -rf "$IMAGE_DIR"

#!/usr/bin/env bash
# The tree of files/, and the services that it configures.
set -euo pipefail

# The upload may have lost modes and owners, so they do not come from there.
(cd "$IMAGE_DIR/files" && find . -type f -print) | while IFS= read -r file; do
    mode=0644
    case "$file" in ./usr/local/lib/agentless-scanner/*) mode=0755 ;; esac
    install -D -m "$mode" -o root -g root "$IMAGE_DIR/files/$file" "/${file#./}"
done

# Users that the firewall and the units name.
systemd-sysusers
id agentless-scanner >/dev/null

systemctl enable agentless-scanner.socket agentless-scanner.service agentless-scanner-verify.service nftables.service \
    systemd-networkd.service systemd-resolved.service systemd-timesyncd.service auditd.service \
    apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service
# Names are resolved by the stub on loopback alone: it is the only one that the firewall lets ask.
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf

# The rules as the kernel would take them, with the names of users. Not into the kernel: this machine is only built.
unshare --map-root-user --net nft --check --file /etc/agentless-scanner/nftables.conf

#!/usr/bin/env bash
# Nobody logs in, nothing gains privileges, nothing asks from outside. Instances are replaced, not administered.
set -euo pipefail

# Also where their packages are gone: nothing that is installed later starts them.
systemctl mask ssh.service ssh.socket sshd.service getty@.service serial-getty@.service console-getty.service \
    debug-shell.service ctrl-alt-del.target systemd-networkd-persistent-storage.service \
    motd-news.timer rpcbind.socket rpcbind.service >/dev/null
# Parts of systemd that would take requests from a network.
systemctl mask systemd-journal-remote.socket systemd-journal-gatewayd.socket >/dev/null

# No password, no shell, no key, no rule of sudo. The user of the source image stays: the build is logged in as it.
while IFS=: read -r user _ id _ _ home shell; do
    passwd --quiet --lock "$user" 2>/dev/null || usermod --lock "$user"
    if [ "$id" -ge 1000 ] && [ "$user" != nobody ]; then
        usermod --shell /usr/sbin/nologin --groups "" "$user"
    fi
    case "$home/$shell" in /root/* | /home/*) rm -rf "$home/.ssh" ;; esac
done </etc/passwd
rm -f /etc/sudoers.d/90-cloud-init-users /etc/ssh/ssh_host_*

# Every service has its user from the start, so that no program needs the set-uid bit. Noted with dpkg, so that updates of
# their packages do not bring it back.
find / -xdev -type f -perm /6000 -print | while IFS= read -r file; do
    chmod a-s "$file"
    if dpkg-query -S "$file" >/dev/null 2>&1 && ! dpkg-statoverride --list "$file" >/dev/null; then
        read -r owner group mode < <(stat -c '%U %G %a' "$file")
        dpkg-statoverride --add "$owner" "$group" "0$mode" "$file"
    fi
done

# Who is not root learns nothing of how the system starts and what it schedules.
chmod 0700 /root
for path in /etc/cron.d /etc/cron.daily /etc/cron.hourly /etc/cron.monthly /etc/cron.weekly /boot/grub/grub.cfg /etc/crontab; do
    if [ -e "$path" ]; then chmod go-rwx "$path"; fi
done

#!/usr/bin/env bash
# The system's own packages: from https sources, up to date, with what the image needs and without what it does not.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/os-release
architecture="$(dpkg --print-architecture)"

# The image's firewall lets TLS out and no plain HTTP, so these sources serve the updates of running instances too.
case "$ID" in
ubuntu)
    mirror=https://archive.ubuntu.com/ubuntu
    security=https://security.ubuntu.com/ubuntu
    if [ "$architecture" != amd64 ]; then
        mirror=https://ports.ubuntu.com/ubuntu-ports
        security="$mirror"
    fi
    components="main"
    keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg
    ;;
debian)
    mirror=https://deb.debian.org/debian
    security=https://deb.debian.org/debian-security
    components="main"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    ;;
*)
    echo "neither Ubuntu nor Debian, but $ID" >&2
    exit 1
    ;;
esac
security="${APT_SECURITY_MIRROR:-${APT_MIRROR:-$security}}"
mirror="${APT_MIRROR:-$mirror}"
for address in "$mirror" "$security"; do
    [[ $address == https://* ]] || { echo "$address is not https, and nothing else leaves the image" >&2; exit 1; }
done
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
for pocket in "$mirror $VERSION_CODENAME $VERSION_CODENAME-updates" "$security $VERSION_CODENAME-security"; do
    cat <<SOURCE
Types: deb
URIs: ${pocket%% *}
Suites: ${pocket#* }
Components: $components
Signed-By: $keyring

SOURCE
done >/etc/apt/sources.list.d/image.sources

# An https source that cannot be reached is an error here, rather than on instances that then get no updates.
apt-get -q -o APT::Update::Error-Mode=any update

# What listens, gives access, changes the system by another way than apt, or phones home.
unwanted=(
    openssh-server openssh-sftp-server ec2-instance-connect amazon-ssm-agent
    apport apport-core-dump-handler at avahi-daemon bluez chrony cups cups-daemon exim4-base fwupd inetutils-inetd landscape-client
    landscape-common lxd-agent-loader lxd-installer modemmanager motd-news-config multipath-tools nfs-common nfs-kernel-server ntp
    ntpsec open-iscsi open-vm-tools openbsd-inetd packagekit popularity-contest postfix rpcbind rsync rsyslog samba snmpd
    squid telnet telnetd tftpd-hpa udisks2 ufw vsftpd whoopsie xinetd ypbind-mt
)
present=()
for package in "${unwanted[@]}"; do
    if dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qv '^not-installed$'; then
        present+=("$package")
    fi
done
if [ "${#present[@]}" -gt 0 ]; then
    apt-get -q --yes purge "${present[@]}"
fi

wanted=(
    auditd ca-certificates cloud-guest-utils cloud-init iproute2 kmod nftables openssl procps systemd-timesyncd
    unattended-upgrades
    # Not for the image: the build fetches the records by `scp`, and the server that came with it is gone by then.
    openssh-client
)
# In Ubuntu 22.04 it is a part of systemd.
if apt-cache show systemd-resolved >/dev/null 2>&1; then
    wanted+=(systemd-resolved)
fi
apt-get -q --yes -o Dpkg::Options::=--force-confold dist-upgrade
apt-get -q --yes --no-install-recommends -o Dpkg::Options::=--force-confold install "${wanted[@]}"
apt-get -q --yes autoremove --purge

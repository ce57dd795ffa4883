#!/usr/bin/env bash
# Checks a system that was started from the scanner's image, as root: in a container, a virtual machine or on an instance. Prints
# TAP; exit code 1 when a check fails. Changes nothing. With an argument, only the checks with that text in their names.
#
# VERIFY_SECURITY_MAX is the worst score of `systemd-analyze security` that passes, in tenths.
# shellcheck disable=SC2016 # What is in single quotes is for awk and other shells.
set -u
# No pipefail: `grep -q` ends what still writes to it.
export LC_ALL=C.UTF-8
cd /

unit=agentless-scanner.service
binary=/usr/local/bin/agentless-scanner
library=/usr/local/lib/agentless-scanner
settings=/etc/agentless-scanner
share=/usr/share/agentless-scanner
security_max="${VERIFY_SECURITY_MAX:-15}"
only="${1:-}"
number=0
failed=0

# check NAME COMMAND...: one line of TAP, and what the command wrote if it failed. Exit code 77 is a check that this kind of
# machine cannot carry out; the first line that it wrote says why.
check() {
    local name="$1" output code=0
    shift
    case "$name" in *"$only"*) ;; *) return ;; esac
    number=$((number + 1))
    output="$("$@" 2>&1)" || code=$?
    case "$code" in
    0) echo "ok $number - $name" ;;
    77) echo "ok $number - $name # SKIP ${output%%$'\n'*}" ;;
    *)
        failed=$((failed + 1))
        echo "not ok $number - $name"
        # A program that was not found wrote nothing that helps without its code.
        printf '%s\n' "$output" "exit code $code" | head -n 20 | sed 's/^/# /'
        ;;
    esac
}

# none COMMAND...: nothing may be found.
none() {
    local found
    found="$("$@")" || true
    [ -z "$found" ] || { printf '%s\n' "$found"; return 1; }
}

main_pid() {
    systemctl show --property MainPID --value "$unit"
}

# The service.

is_active() {
    systemctl is-active "$unit" && [ "$(main_pid)" -gt 0 ]
}

# The configuration of the launch template's cloud-config, which cloud-init wrote.
configuration() {
    test -s "$settings/config.yaml" && "$binary" config check --config "$settings/config.yaml"
}

cloud_init_is_done() {
    local code=0
    cloud-init status --long || code=$?
    # 2 is a recoverable problem, such as a key that a newer version names otherwise.
    [ "$code" = 0 ] || [ "$code" = 2 ]
}

security() {
    local score
    score="$(systemd-analyze security --no-pager "$unit" | sed -n 's/.*Overall exposure level for [^:]*: \([0-9]*\)\.\([0-9]\) .*/\1\2/p')"
    echo "it is ${score:-not told}"
    [ -n "$score" ] && [ "$score" -le "$security_max" ]
}

# What the kernel says of the process, rather than what the unit asks for.
process() {
    local pid status
    pid="$(main_pid)"
    [ "$pid" -gt 0 ] || return 1
    status="$(cat "/proc/$pid/status")"
    printf '%s\n' "$status" | grep -E '^(Uid|Cap|NoNewPrivs|Seccomp):'
    local user
    user="$(id -u agentless-scanner)" || return 1
    for line in "Uid:$user$user$user$user" CapEff:0000000000000000 CapPrm:0000000000000000 CapBnd:0000000000000000 \
        CapAmb:0000000000000000 NoNewPrivs:1 Seccomp:2; do
        printf '%s\n' "$status" | tr -d '\t ' | grep -qxF "$line" || { echo "not $line"; return 1; }
    done
}

status_answers() {
    local code=0
    systemctl is-active agentless-scanner.socket || return 1
    "$binary" status || code=$?
    # 3 is an answer too: that not all is well.
    [ "$code" = 0 ] || [ "$code" = 3 ]
}

service_restarts_are_bounded() {
    local wanted
    for wanted in StartLimitAction=poweroff Restart=on-failure Type=notify; do
        systemctl show "$unit" --property "${wanted%%=*}" | grep -qxF "$wanted" || { echo "not $wanted"; return 1; }
    done
    [ "$(systemctl show "$unit" --property WatchdogUSec --value)" != 0 ]
}

# The network.

# Sockets that could be reached from outside. systemd-networkd has to hear of addresses and routers; the firewall lets in nothing else.
listening() {
    ss -H --listening --tcp --udp --raw --sctp --numeric --processes |
        awk '{ split($0, f, " +"); a = f[5]; sub(/:[^:]*$/, "", a); sub(/%.*/, "", a); gsub(/[][]/, "", a);
               if (a ~ /^127\./ || a == "::1" || a == "::ffff:127.0.0.1") next;
               if (f[1] == "udp" && f[5] ~ /:(68|546)$/ && $0 ~ /systemd-network/) next;
               if (f[1] == "raw" && f[5] ~ /:(58|ipv6-icmp)$/ && $0 ~ /systemd-network/) next;
               print }'
}

nothing_listens() {
    # Without it nothing would be found.
    ss --version >/dev/null || return 1
    none listening
}

firewall_drops() {
    local chain rules
    rules="$(nft list ruleset)" || return 1
    for chain in input forward output; do
        printf '%s\n' "$rules" | grep -A 1 "chain $chain {" | grep -q "hook $chain .*policy drop" || {
            echo "chain $chain does not drop"
            return 1
        }
    done
    systemctl is-enabled nftables.service
}

# tcp USER ADDRESS PORT: connects.
tcp() {
    runuser -u "$1" -- timeout 5 bash -c "exec 3<>/dev/tcp/$2/$3"
}

# The firewall answers at once: what takes five seconds was let out. The address is one of those for documentation.
only_tls_goes_out() {
    local user port start
    for user in root agentless-scanner nobody; do
        for port in 22 53 80 8443; do
            start="$SECONDS"
            if tcp "$user" 192.0.2.1 "$port" 2>/dev/null || [ $((SECONDS - start)) -ge 4 ]; then
                echo "$user may connect to port $port"
                return 1
            fi
        done
    done
    start="$SECONDS"
    if tcp nobody 192.0.2.1 443 2>/dev/null || [ $((SECONDS - start)) -ge 4 ]; then
        echo "nobody may connect to port 443"
        return 1
    fi
}

metadata_is_for_two() {
    tcp root 169.254.169.254 80 || { echo "root does not reach it"; return 1; }
    runuser -u agentless-scanner -- timeout 5 bash -c 'exec 3<>/dev/tcp/169.254.169.254/80' || {
        echo "the scanner does not reach it"
        return 1
    }
    if tcp nobody 169.254.169.254 80 2>/dev/null; then
        echo "everybody reaches it"
        return 1
    fi
}

# Access.

installed() {
    dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^[a-z][a-bd-mo-z][^ ]* *//p'
}

no_ssh() {
    none installed openssh-server ec2-instance-connect &&
        none find /usr/sbin/sshd /etc/ssh -name 'sshd' -o -name 'ssh_host_*' 2>/dev/null &&
        none find /root /home -name authorized_keys &&
        none systemctl list-units --no-legend --state=active 'ssh*' 'sshd*' &&
        [ "$(systemctl is-enabled ssh.service)" = masked ]
}

no_agents() {
    none installed snapd amazon-ssm-agent rpcbind avahi-daemon rsyslog chrony cups landscape-client &&
        [ ! -e /var/lib/snapd ] && [ ! -e /snap ]
}

nobody_logs_in() {
    none awk -F: '$2 !~ /^[!*]/ { print $1 " has a password" }' /etc/shadow &&
        none awk -F: '($3 >= 1000 || $3 == '"$(id -u agentless-scanner)"') && $7 !~ /(nologin|false)$/ { print $1 " has the shell " $7 }' \
            /etc/passwd &&
        none awk -F: '$3 == 0 && $1 != "root" { print $1 " is root" }' /etc/passwd &&
        none grep -rhs NOPASSWD /etc/sudoers /etc/sudoers.d
}

no_set_uid() {
    none find / -xdev -type f -perm /6000
}

# Updates.

updates_are_enabled() {
    local timer
    for timer in apt-daily.timer apt-daily-upgrade.timer; do
        systemctl is-enabled "$timer" || return 1
        systemctl is-active "$timer" || return 1
    done
    [ "$(apt-config shell value APT::Periodic::Unattended-Upgrade)" = "value='always'" ] &&
        [ "$(apt-config shell value Unattended-Upgrade::Automatic-Reboot)" = "value='false'" ]
}

security_updates_only() {
    local origins
    origins="$(apt-config dump Unattended-Upgrade::Allowed-Origins
        apt-config dump Unattended-Upgrade::Origins-Pattern)"
    printf '%s\n' "$origins" | grep -q security || { printf '%s\n' "$origins"; return 1; }
    none sh -c 'printf "%s\n" "$1" | grep "::" | grep ":: " | grep -v security' sh "$origins"
}

update_dry_run() {
    unattended-upgrade --dry-run
}

https_sources() {
    grep -rhsE '^(URIs:|deb )' /etc/apt/sources.list /etc/apt/sources.list.d | grep -q https: || return 1
    none grep -rhsE '^(URIs:|deb ).*http:' /etc/apt/sources.list /etc/apt/sources.list.d
}

# The kernel.

modules_are_blocked() {
    local module
    for module in cramfs squashfs udf xfs btrfs nfs dccp sctp usb-storage; do
        modprobe --showconfig | tr - _ | grep -qx "install ${module//-/_} /bin/false" || { echo "$module"; return 1; }
    done
}

kernel_settings() {
    if systemd-detect-virt --quiet --container; then
        echo "the settings of the kernel belong to the machine that the container runs on"
        return 77
    fi
    local key value is wrong=0
    while IFS='= ' read -r key value; do
        # What this kernel does not have cannot be set.
        is="$(sysctl -n "$key" 2>/dev/null)" || continue
        [ "$is" = "$value" ] || { echo "$key is $is, not $value"; wrong=1; }
    done < <(sed -nE 's/^([a-z0-9_.]+) *= *(.*)$/\1=\2/p' /etc/sysctl.d/90-agentless-scanner.conf)
    return "$wrong"
}

audit() {
    grep -q '^-w /usr/local/bin/agentless-scanner ' /etc/audit/rules.d/90-agentless-scanner.rules || return 1
    if systemd-detect-virt --quiet --container; then
        echo "the kernel's audit is not for containers"
        return 77
    fi
    systemctl is-active auditd.service && auditctl -l | grep -q -- '-k scanner\|key=scanner'
}

# What the image is made of.

record() {
    python3 - "$settings/image.json" <<'PYTHON'
import json, subprocess, sys
record = json.load(open(sys.argv[1]))
for key in ("scanner_version", "scanner_sha256", "source_image", "source_image_name", "git_commit", "built_at", "os"):
    assert record[key], key
query = "${Package}\t${Version}\t${Architecture}\n"
lines = subprocess.run(["dpkg-query", "-W", "-f", query], check=True, capture_output=True, text=True).stdout.splitlines()
there = {tuple(line.split("\t")) for line in lines}
noted = {(package["name"], package["version"], package["architecture"]) for package in record["packages"]}
assert len(noted) > 50, f"only {len(noted)} packages are noted"
assert there == noted, f"not noted: {sorted(there - noted)}; not there: {sorted(noted - there)}"
PYTHON
}

files() {
    [ "$(wc -l <"$share/files.sha256")" -gt 10 ] && sha256sum --check --strict --quiet "$share/files.sha256"
}

# Files of packages, other than configuration, and than the documentation that minimal systems leave out.
package_files() {
    command -v dpkg >/dev/null || return 1
    none sh -c 'dpkg --verify | grep -v " c /" | grep -vE " /(usr/share/(doc|man|locale|info)|etc)/"'
}

signature() {
    "$library/check-signature.sh" "$binary" "$library/agentless-scanner.minisig" "$settings/release.pub" &&
        [ "$(stat -c '%U %a' "$binary" "$settings/release.pub" | tr '\n' ' ')" = "root 755 root 444 " ]
}

package_list() {
    python3 - "$share/image.cdx.json" "$settings/image.json" <<'PYTHON'
import json, sys
listed = {(c["name"], c["version"]) for c in json.load(open(sys.argv[1]))["components"] if c.get("purl", "").startswith("pkg:deb/")}
noted = {(p["name"], p["version"]) for p in json.load(open(sys.argv[2]))["packages"]}
assert noted - listed == set(), f"not in the scanner's list: {sorted(noted - listed)}"
PYTHON
}

nothing_of_the_build() {
    none find /tmp/agentless-image /usr/sbin/policy-rc.d /root/.bash_history -maxdepth 0 2>/dev/null &&
        [ "$(find /var/lib/cloud/instances -mindepth 1 -maxdepth 1 | wc -l)" -le 1 ] &&
        grep -qxE '[0-9a-f]{32}' /etc/machine-id
}

clock_is_kept() {
    systemctl is-enabled systemd-timesyncd.service && grep -qx 'NTP=169.254.169.123' /etc/systemd/timesyncd.conf.d/agentless-scanner.conf
}

nothing_failed() {
    none systemctl list-units --no-legend --plain --state=failed
}

echo "TAP version 13"
check "the service is active" is_active
check "its configuration is the launch template's" configuration
check "cloud-init is done" cloud_init_is_done
check "the unit's score is at most $security_max tenths" security
check "the process has no privileges" process
check "the status interface answers" status_answers
check "a service that does not get ready ends its instance" service_restarts_are_bounded
check "nothing listens beyond loopback" nothing_listens
check "the firewall drops what is not allowed" firewall_drops
check "only TLS goes out" only_tls_goes_out
check "metadata is for root and the scanner" metadata_is_for_two
check "there is no SSH" no_ssh
check "there are no other agents" no_agents
check "nobody can log in" nobody_logs_in
check "no program has the set-uid bit" no_set_uid
check "updates are enabled, without reboots" updates_are_enabled
check "updates are those of security" security_updates_only
check "a dry run of updates works" update_dry_run
check "packages come by https" https_sources
check "modules of the kernel are blocked" modules_are_blocked
check "settings of the kernel are set" kernel_settings
check "audit is set up" audit
check "packages are those of image.json" record
check "files are those of the manifest" files
check "files of packages are theirs" package_files
check "the program is the one that was released" signature
check "the scanner's own list of the image is there" package_list
check "nothing of the build is left" nothing_of_the_build
check "the clock is kept" clock_is_kept
check "no unit failed" nothing_failed
echo "1..$number"
[ "$failed" = 0 ]

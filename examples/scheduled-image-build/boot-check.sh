#!/usr/bin/env bash
# Starts one instance of an image as the scanner's group would, waits until the checks that the image has in itself (verify.sh) have
# written their result to its console, and ends it. Exit code 0: every check passed.
#
#   boot-check.sh AMI OUTPUTS     OUTPUTS is what `terraform output -json` has written
#
# There is no way into an instance of the image: no SSH, no agent, no open port. So the settings of the launch template get one
# file more, which lets the checks run, and the result is read where EC2 shows what a machine prints.
set -euo pipefail

image=$1
outputs=$2
attempts=${BOOT_CHECK_ATTEMPTS:-60}
pause=${BOOT_CHECK_PAUSE:-15}
work=$(mktemp -d)
instance=''
# shellcheck disable=SC2317 # The trap calls it.
ended() {
    rm -rf "$work"
    if [ -n "$instance" ]; then
        aws ec2 terminate-instances --instance-ids "$instance" >/dev/null \
            || echo "boot-check.sh: the instance $instance could not be ended; end it by hand" >&2
    fi
}
trap ended EXIT

output() { jq --raw-output --exit-status ".$1.value" "$outputs"; }

# Cloud-config: a comment, then JSON, which is YAML. What only a member of the group does (its hooks) is left out.
output user_data | sed '1{/^#cloud-config$/d}' | jq '
    (.write_files[] | select(.path == "/etc/agentless-scanner/config.yaml") | .content) |= (fromjson | del(.lifecycle) | tojson)
    | .write_files += [{path: "/etc/agentless-scanner/verify", content: ""}]' >"$work/settings.json"
{ echo '#cloud-config'; cat "$work/settings.json"; } >"$work/user-data"

marker='Tags=[{Key=DatadogAgentlessScannerImage,Value=true},{Key=Name,Value=agentless-scanner-check}]'
instance=$(aws ec2 run-instances --count 1 --image-id "$image" --subnet-id "$(output subnet_id)" \
    --launch-template "LaunchTemplateId=$(output launch_template_id),Version=$(output launch_template_version)" \
    --instance-initiated-shutdown-behavior terminate --user-data "file://$work/user-data" \
    --tag-specifications "ResourceType=instance,$marker" "ResourceType=volume,$marker" \
    --query 'Instances[0].InstanceId' --output text)
echo "$instance boots $image"

for _ in $(seq "$attempts"); do
    sleep "$pause"
    # What it has printed so far, which may be nothing yet.
    aws ec2 get-console-output --latest --instance-id "$instance" --query Output --output text >"$work/console" || true
    # TAP, behind what systemd writes before each line: "ok 3 - …", "not ok 4 - …", and how many there are ("1..24") at the end.
    sed 's/\r$//; s/^.*verify\.sh\[[0-9]*\]: //' "$work/console" | grep -E '^(ok|not ok) [0-9]+|^1\.\.[0-9]+$|^# ' >"$work/tap" || true
    planned=$(sed -n 's/^1\.\.\([1-9][0-9]*\)$/\1/p' "$work/tap" | tail -n 1)
    if [ -n "$planned" ]; then
        cat "$work/tap"
        passed=$(grep -cE '^ok [0-9]+' "$work/tap" || true)
        if [ "$passed" = "$planned" ] && ! grep -q '^not ok' "$work/tap"; then
            exit 0
        fi
        echo "boot-check.sh: $passed of $planned checks passed on $instance" >&2
        exit 1
    fi
    state=$(aws ec2 describe-instances --instance-ids "$instance" --query 'Reservations[0].Instances[0].State.Name' --output text)
    case $state in
    pending | running) ;;
    *)
        tail -n 40 "$work/console" >&2
        echo "boot-check.sh: $instance is $state before its checks were done: it has ended itself" >&2
        exit 1
        ;;
    esac
done
tail -n 40 "$work/console" >&2
echo "boot-check.sh: no result of the checks on the console of $instance in $((attempts * pause)) seconds" >&2
exit 1

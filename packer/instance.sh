#!/usr/bin/env bash
# Runs on the build instance, as root and from /tmp/agentless-image: makes the image's contents (scripts/provision.sh).
#
# Through Session Manager, the connection is the agent that must not be in the image. So it goes last, when Packer has fetched what
# it wants and has said so: `instance.sh finish` waits for that in a unit of its own, removes the agent, and powers the
# instance off, which is what Packer waits for. When something fails, the instance stays up and becomes no image.
set -euo pipefail

kept=/run/agentless-image
said=/dev/shm/agentless-image-downloaded

finish() {
    for _ in $(seq 300); do
        if [ -e "$said" ]; then
            # Until the answer to what said so is on its way.
            sleep 5
            "$kept/remove-snapd.sh"
            if command -v snap amazon-ssm-agent || pgrep -x 'amazon-ssm-agen|ssm-agent-worke|snapd'; then
                echo "instance.sh: the agent of Session Manager is still there; the instance becomes no image" >&2
                exit 1
            fi
            exec systemctl poweroff
        fi
        sleep 1
    done
    echo "instance.sh: nobody said that everything was downloaded; the instance becomes no image" >&2
    exit 1
}

if [ "${1:-}" = finish ]; then
    finish
fi
cd /tmp/agentless-image
if [ "$BUILD_CONNECTION" = session_manager ]; then
    # Memory: nothing of it is in the image.
    install -d -m 700 "$kept"
    install -m 700 instance.sh scripts/remove-snapd.sh "$kept/"
fi
bash scripts/provision.sh
if [ "$BUILD_CONNECTION" = session_manager ]; then
    systemd-run --quiet --collect --unit=agentless-image-finish "$kept/instance.sh" finish
fi

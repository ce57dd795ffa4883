#!/usr/bin/env bash
# Builds an image, checks it on an instance, moves the scanner onto it, and says so only if all of that went well:
#
#   release ─► packer build ─► boot-check.sh ─► image publish ─► terraform apply ─► image promote ─► image prune
#              (an AMI)        (an instance)     (candidate)      (refresh, bake)    (current)
#
# GitHub Actions (github-actions.yml), CodeBuild (buildspec.yml) and people run it alike. It exits with 0 when the scanner runs on
# the new image, and otherwise says at which step it ended, what is left, and what to do. From the environment:
#
#   AWS_REGION           region of the build and of the scanner
#   ARCHITECTURE         arm64 or amd64
#   SCANNER_VERSION      which release is built in
#   RELEASE_BUCKET       bucket with that release below agentless-scanner/VERSION/; or RELEASE_FOLDER, where it lies already
#   RELEASE_PUBLIC_KEY   minisign's key that releases are signed with
#   GIT_COMMIT           commit of the release and of the template
#   BUILD_VARIABLES      file of variables for Packer (*.pkrvars.hcl): subnet, connection, key, regions, accounts
#   STATE_BUCKET         bucket of Terraform's state; left out, it is a file here
#   PARAMETER_PREFIX     of the parameters; /agentless-scanner/image if it is left out
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
packer_folder=${PACKER_FOLDER:-$here/../../packer}
prefix=${PARAMETER_PREFIX:-/agentless-scanner/image}
work=$(mktemp -d)

image='' step='' left=''
begin() {
    step=$1
    left=$2
    echo "== $step"
}
ended() {
    local code=$?
    rm -rf "$work"
    [ "$code" = 0 ] && return
    {
        echo "== $step failed; no image was promoted"
        echo "$left"
    } >&2
    exit 1
}
trap ended EXIT

begin settings "Set what is missing; the head of pipeline.sh says what each is."
for name in AWS_REGION ARCHITECTURE SCANNER_VERSION RELEASE_PUBLIC_KEY GIT_COMMIT BUILD_VARIABLES; do
    if [ -z "${!name:-}" ]; then
        echo "$name is not set" >&2
        exit 1
    fi
done
parameters=(--architecture "$ARCHITECTURE" --region "$AWS_REGION" --parameter-prefix "$prefix")

begin release "Nothing was made. Is there a release $SCANNER_VERSION, signed with the key in RELEASE_PUBLIC_KEY?"
release=${RELEASE_FOLDER:-$work/release}
if [ -z "${RELEASE_FOLDER:-}" ]; then
    aws s3 cp --recursive --only-show-errors "s3://$RELEASE_BUCKET/agentless-scanner/$SCANNER_VERSION/" "$release"
fi
# The same program is what this machine publishes and promotes with, so it is verified before it runs here.
machine=$(uname -m)
case $machine in
x86_64) machine=amd64 ;;
aarch64) machine=arm64 ;;
esac
scanner=$release/agentless-scanner_${SCANNER_VERSION}_linux_$machine
"$packer_folder/verify-release.sh" "$scanner"
chmod +x "$scanner"

begin build "There is no image. Packer has ended its instance; what it wrote above says why. Run it again."
packer init "$packer_folder"
packer build -color=false "-only=*.$ARCHITECTURE" \
    "-var-file=$BUILD_VARIABLES" \
    "-var=region=$AWS_REGION" \
    "-var=scanner_version=$SCANNER_VERSION" \
    "-var=release_folder=$release" \
    "-var=release_public_key=$RELEASE_PUBLIC_KEY" \
    "-var=git_commit=$GIT_COMMIT" \
    "-var=output_folder=$work" \
    "$packer_folder"
image=$(jq --raw-output --arg region "$AWS_REGION" \
    '.builds[-1].artifact_id | split(",")[] | split(":") | select(.[0] == $region) | .[1]' "$work/manifest.json")
case $image in
ami-*) echo "$image" ;;
*)
    echo "Packer's manifest names no image in $AWS_REGION" >&2
    exit 1
    ;;
esac

begin terraform "The image $image stays unused, until \`agentless-scanner image prune\`. Put right what Terraform says and run it again."
cd "$here"
backend=()
if [ -n "${STATE_BUCKET:-}" ]; then
    printf 'terraform {\n  backend "s3" {}\n}\n' >backend_override.tf
    backend=("-backend-config=bucket=$STATE_BUCKET" "-backend-config=key=agentless-scanner/$AWS_REGION.tfstate"
        "-backend-config=region=$AWS_REGION" -backend-config=encrypt=true -backend-config=use_lockfile=true)
fi
terraform init -input=false -no-color "${backend[@]}"
# Empty before the first apply.
terraform output -json >"$work/outputs.json"

begin check "The image $image did not pass on an instance, and is not published. What failed is above; the instance is gone.
The scanner goes on with its own image. The next build starts anew; \`agentless-scanner image prune\` removes this one in time."
if jq --exit-status '.launch_template_id' "$work/outputs.json" >/dev/null; then
    "$here/boot-check.sh" "$image" "$work/outputs.json"
else
    echo "there is no scanner yet whose settings the check could have; the launch hook admits the first instance after its self-test"
fi

begin publish "The image $image is good, but not published. Run \`agentless-scanner image publish $image\` by hand to see why."
"$scanner" image publish "$image" "${parameters[@]}"

begin apply "The scanner was put back onto the image that it had, or still is on it; \`current\` is as it was. \`candidate\` names $image.
Why the refresh failed is above and in the activity of the Auto Scaling group. Run it again with the next image, or, if the image was
not to blame: terraform apply -var image_id=$image, then agentless-scanner image promote ${parameters[*]}"
terraform apply -input=false -auto-approve -no-color "-var=image_id=$image"

begin promote "The scanner runs on $image, and \`current\` still names the one before. Nothing has to be rolled back:
agentless-scanner image promote ${parameters[*]}"
group=$(terraform output -raw scanner_name)
after=()
# The first apply makes a group and refreshes nothing.
if jq --exit-status '.launch_template_id' "$work/outputs.json" >/dev/null; then
    after=(--after-refresh "$group")
fi
"$scanner" image promote "${parameters[@]}" "${after[@]}"

echo "== prune"
# The image is in use. What is not cleared away today is tomorrow.
"$scanner" image prune --yes --region "$AWS_REGION" --parameter-prefix "$prefix" \
    || echo "old images were not cleared away; the next run tries again" >&2
echo "== the scanner $group runs on $image"

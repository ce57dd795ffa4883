#!/usr/bin/env bash
# What the image is made of: image.json, a manifest of the files that this build put there, and the list of everything by the
# scanner itself. verify.sh compares the running system with them.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/os-release

settings=/etc/agentless-scanner
share=/usr/share/agentless-scanner
binary=/usr/local/bin/agentless-scanner
install -d -m 0755 "$share"

# What remove-snapd.sh takes away later is not a part of the image.
later='^$'
if [ "${BUILD_CONNECTION:-ssh}" = session_manager ]; then later='"name": "snapd"'; fi

# Names and versions of packages, and what provision.sh lets through, have no character that JSON escapes.
{
    cat <<JSON
{
  "scanner_version": "$SCANNER_VERSION",
  "scanner_sha256": "$(sha256sum "$binary" | cut -d ' ' -f 1)",
  "release_public_key": "$RELEASE_PUBLIC_KEY",
  "source_image": "$SOURCE_IMAGE",
  "source_image_name": "$SOURCE_IMAGE_NAME",
  "git_commit": "$GIT_COMMIT",
  "built_at": "$BUILT_AT",
  "architecture": "$(dpkg --print-architecture)",
  "os": {"id": "$ID", "version_id": "$VERSION_ID", "codename": "$VERSION_CODENAME"},
  "packages": [
JSON
    dpkg-query -W -f '    {"name": "${Package}", "version": "${Version}", "architecture": "${Architecture}"},\n' | grep -v "$later" |
        LC_ALL=C sort | sed '$ s/,$//'
    printf '  ]\n}\n'
} >"$settings/image.json"
python3 -m json.tool "$settings/image.json" >/dev/null

(
    cd "$IMAGE_DIR/files"
    find . -type f -print | LC_ALL=C sort | sed 's|^\./|/|'
    printf '%s\n' "$binary" /usr/local/lib/agentless-scanner/agentless-scanner.minisig "$settings/release.pub" \
        "$settings/image.json" /etc/apt/sources.list.d/image.sources
) | xargs -d '\n' sha256sum >"$share/files.sha256"

# Of the whole system, by the program that the image is for. What it could not read is named in the list (exit code 3).
code=0
"$binary" scan / --format cyclonedx-json --output "$share/image.cdx.json" --sandbox best-effort || code=$?
[ "$code" = 0 ] || [ "$code" = 3 ] || { echo "the scanner could not list the image (exit code $code)" >&2; exit 1; }
chmod 0644 "$settings/image.json" "$share/files.sha256" "$share/image.cdx.json"

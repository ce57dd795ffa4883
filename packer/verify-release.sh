#!/usr/bin/env bash
# Checks the release of a scanner before it is uploaded: its signature by RELEASE_PUBLIC_KEY, that the signature was made for a file
# of this name (so that no older version and no other architecture passes for it), and the checksum that the image is tagged with.
#
#   RELEASE_PUBLIC_KEY=RW… packer/verify-release.sh FOLDER/agentless-scanner_VERSION_linux_ARCH
set -euo pipefail

file=$1
name=$(basename "$file")
fail() { echo "verify-release.sh: $*" >&2; exit 1; }

command -v minisign >/dev/null || fail "minisign is not installed; it is the Debian and Ubuntu package of that name"
for part in "$file" "$file.sha256" "$file.minisig"; do
    [ -f "$part" ] || fail "$part is not there; .ci/release scanner --key KEY writes it"
done
comment=$(minisign -V -Q -P "$RELEASE_PUBLIC_KEY" -m "$file" -x "$file.minisig") \
    || fail "$name is not what the owner of the key $RELEASE_PUBLIC_KEY has signed"
[ "$comment" = "file:$name" ] || fail "the signature beside $name was made for another file: $comment"
(cd "$(dirname "$file")" && LC_ALL=C sha256sum --check --strict --quiet "$name.sha256") \
    || fail "$name does not have the checksum in $name.sha256"
# One line, of this file: it is where the image's tag comes from.
[ "$(sed 's/^[0-9a-f]\{64\} [ *]//' "$file.sha256")" = "$name" ] || fail "$name.sha256 is of another file"

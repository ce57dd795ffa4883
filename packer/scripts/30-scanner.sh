#!/usr/bin/env bash
# The scanner: its release is verified before anything of it is installed or run.
set -euo pipefail

architecture="$(dpkg --print-architecture)"
name="agentless-scanner_${SCANNER_VERSION}_linux_$architecture"
binary=/usr/local/bin/agentless-scanner
library=/usr/local/lib/agentless-scanner
settings=/etc/agentless-scanner

cd "$IMAGE_DIR/release"
for file in "$name" "$name.sha256" "$name.minisig"; do
    [ -f "$file" ] || { echo "release/$file is missing: the release has $(echo *)" >&2; exit 1; }
done
sha256sum --check --strict "$name.sha256"
grep -qF "$name" "$name.sha256" || { echo "$name.sha256 is of another file" >&2; exit 1; }
install -d -m 0755 "$settings" "$library"
printf 'untrusted comment: public key of scanner releases\n%s\n' "$RELEASE_PUBLIC_KEY" >"$settings/release.pub"
chmod 0444 "$settings/release.pub"
bash "$IMAGE_DIR/files$library/check-signature.sh" "$name" "$name.minisig" "$settings/release.pub"
install -m 0755 -o root -g root "$name" "$binary"
install -m 0444 -o root -g root "$name.minisig" "$library/agentless-scanner.minisig"

reported="$("$binary" --version)"
[ "$reported" = "agentless-scanner $SCANNER_VERSION" ] || {
    echo "the program says that it is \"$reported\", and the release says $SCANNER_VERSION" >&2
    exit 1
}

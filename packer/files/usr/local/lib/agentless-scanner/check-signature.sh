#!/usr/bin/env bash
# check-signature.sh FILE SIGNATURE PUBLIC_KEY: whether minisign signed FILE with the key of the file PUBLIC_KEY.
#
# By OpenSSL, which every image has: Ubuntu 22.04 has no minisign. The format is minisign's, for hashed files: a signature is
# "ED", the key's number (8 bytes), and Ed25519 (64 bytes) of the file's BLAKE2b-512; a key is "Ed", its number, and 32 bytes. The
# signed comment, which nothing here relies on, is not looked at.
set -euo pipefail
export LC_ALL=C

file="$1"
signature="$2"
public_key="$3"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

fail() {
    echo "$file is not what was released: $*" >&2
    exit 1
}

tail -n 1 "$public_key" | base64 --decode >"$work/key" || fail "$public_key is no public key"
sed -n 2p "$signature" | base64 --decode >"$work/signature" || fail "$signature is no signature"
[ "$(stat -c %s "$work/key") $(head -c 2 "$work/key")" = "42 Ed" ] || fail "$public_key is no public key"
[ "$(stat -c %s "$work/signature") $(head -c 2 "$work/signature")" = "74 ED" ] ||
    fail "$signature is no signature of a hashed file"
[ "$(head -c 10 "$work/key" | tail -c 8 | base64)" = "$(head -c 10 "$work/signature" | tail -c 8 | base64)" ] ||
    fail "it is signed with another key"

# SubjectPublicKeyInfo of Ed25519 (RFC 8410).
{
    printf '\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00'
    tail -c 32 "$work/key"
} >"$work/key.der"
tail -c 64 "$work/signature" >"$work/ed25519"
openssl dgst -blake2b512 -binary "$file" >"$work/digest"
openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/key.der" -rawin -in "$work/digest" \
    -sigfile "$work/ed25519" >"$work/said" 2>&1 || fail "$(tail -n 1 "$work/said")"
echo "$file is what was released"

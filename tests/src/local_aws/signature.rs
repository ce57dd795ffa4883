//! Verifies Signature Version 4, so that a wrong secret is refused as AWS refuses it.

use sha2::{Digest, Sha256};

use super::request::{Request, Scope, hex, percent_encode};

/// Whether `request` was signed with `secret`.
pub(crate) fn is_valid(request: &Request, scope: &Scope, secret: &str) -> bool {
    let date = request.header("x-amz-date").unwrap_or_default();
    let payload_hash = request
        .header("x-amz-content-sha256")
        .map_or_else(|| hex(&Sha256::digest(&request.body)), str::to_owned);
    let canonical = canonical_request(request, scope, &payload_hash);
    let credential_scope = format!("{}/{}/{}/aws4_request", scope.date, scope.region, scope.service);
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{credential_scope}\n{}",
        hex(&Sha256::digest(canonical.as_bytes()))
    );
    let key = [&scope.date, &scope.region, &scope.service, "aws4_request"]
        .iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part.as_bytes()).to_vec());
    hex(&hmac(&key, to_sign.as_bytes())) == scope.signature
}

fn canonical_request(request: &Request, scope: &Scope, payload_hash: &str) -> String {
    let uri = &request.parts.uri;
    // The path is encoded once on the wire and once more here, but for S3.
    let encode = |part: &str| if scope.service == "s3" { part.to_owned() } else { percent_encode(part) };
    let path: Vec<String> = uri.path().split('/').map(encode).collect();
    let mut query: Vec<(&str, &str)> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    query.sort_unstable();
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers: Vec<String> = scope
        .signed_headers
        .iter()
        .map(|name| {
            let values: Vec<String> = request
                .parts
                .headers
                .get_all(name)
                .iter()
                .map(|value| collapse_spaces(&String::from_utf8_lossy(value.as_bytes())))
                .collect();
            format!("{name}:{}", values.join(","))
        })
        .collect();
    format!(
        "{}\n{}\n{}\n{}\n\n{}\n{payload_hash}",
        request.parts.method,
        path.join("/"),
        query.join("&"),
        headers.join("\n"),
        scope.signed_headers.join(";")
    )
}

fn collapse_spaces(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<&str>>().join(" ")
}

/// RFC 2104 with SHA-256.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        for (byte, digest) in block.iter_mut().zip(Sha256::digest(key)) {
            *byte = digest;
        }
    } else {
        for (byte, key) in block.iter_mut().zip(key) {
            *byte = *key;
        }
    }
    let inner = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new_with_prefix(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

/// The block size of SHA-256 (FIPS 180-4).
const BLOCK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 2 and 6.
    #[test]
    fn hmac_test_vectors() {
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}

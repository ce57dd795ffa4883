//! Takes secrets out of lines of a log: a last resort. Secrets of our own are unprintable by type; what is caught here came
//! with somebody else's text, such as an error that quotes an address.
//!
//! One pass from left to right. What is hidden, each behind [`MASK`]:
//!
//! - Values of keys whose names contain `pass` or `pwd`, or end in `token`, `jwt`, `secret`, `access_key`, `private_key`,
//!   `authorization` or `X-Amz-Signature`; what follows `Bearer`. A value ends at a space or a comma, at its quote or its
//!   bracket; one whose quote or bracket does not close is hidden to the end.
//! - `user:password@` in addresses.
//! - Blocks of PEM, and AWS's access keys.
//! - Words of 32 and of 40 hexadecimal digits, Datadog's API and application keys, but for their last four.
//!
//! `ENC[…]` names a secret without being one, and stays.

use std::borrow::Cow;

use crate::secret::MASK;

/// A text without what looks like a secret. Doing it twice may hide more than doing it once: where what was hidden had been the
/// name of another secret.
pub fn scrub(text: &str) -> Cow<'_, str> {
    let mut scrubber = Scrubber { text, at: 0, copied: 0, clean: String::new() };
    while let Some(byte) = scrubber.byte(0) {
        scrubber.step(byte);
    }
    if scrubber.copied == 0 {
        return Cow::Borrowed(text);
    }
    let Scrubber { copied, mut clean, .. } = scrubber;
    clean.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(clean)
}

struct Scrubber<'a> {
    text: &'a str,
    /// How far the text is looked at.
    at: usize,
    /// How far it is in `clean`.
    copied: usize,
    clean: String,
}

const PEM_BEGIN: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"-----END ";

impl<'a> Scrubber<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.rest().get(ahead).copied()
    }

    /// Goes past what is harmless.
    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    /// Hides what is between two places, but for its last `shown` bytes. Both are next to ASCII or at the end.
    fn hide(&mut self, from: usize, to: usize, shown: usize) {
        let kept = to.saturating_sub(shown).max(from);
        if self.text.get(from..kept).is_some_and(|hidden| hidden != MASK) {
            self.clean.push_str(self.text.get(self.copied..from).unwrap_or_default());
            self.clean.push_str(MASK);
            self.copied = kept;
        }
        self.at = to;
    }

    fn step(&mut self, byte: u8) {
        let rest = self.rest();
        match byte {
            _ if rest.starts_with(PEM_BEGIN) => self.hide(self.at, self.at.saturating_add(pem(rest)), 0),
            0x1b => self.skip(escape(rest)),
            // An escaped character of an address is no part of a word.
            b'%' if is_percent(rest) => self.skip(3),
            b':' if rest.starts_with(b"://") => self.address(),
            _ if is_word(byte) => self.word(),
            _ => self.skip(1),
        }
    }

    /// Hides who is let in, after `://`.
    fn address(&mut self) {
        self.skip("://".len());
        let rest = self.rest();
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"/?#\"'<>`\\\x1b".contains(byte);
        let authority = rest.iter().position(is_end).and_then(|end| rest.get(..end)).unwrap_or(rest);
        let Some(at) = authority.iter().rposition(|&byte| byte == b'@') else { return };
        if authority.get(..at).unwrap_or_default().contains(&b':') {
            self.hide(self.at, self.at.saturating_add(at), 0);
        }
    }

    /// A word: the name of a key whose value may be secret, or a secret itself.
    fn word(&mut self) {
        let (start, rest) = (self.at, self.rest());
        let length = word_length(rest);
        let word = rest.get(..length).unwrap_or_default();
        let after = rest.get(length..).unwrap_or_default();
        if after.first() == Some(&b'[')
            && let Some(handle) = enc_length(word, after)
        {
            self.skip(length.saturating_add(handle));
            return;
        }
        self.hide_in(start, word);
        self.at = start.saturating_add(length);
        let is_bearer = word.eq_ignore_ascii_case(b"bearer");
        let gap = if is_bearer {
            gap_of_space(after)
        } else {
            is_secret_name(word).then(|| gap_of_key(after)).flatten()
        };
        if let Some(gap) = gap {
            self.skip(gap);
            self.value();
        }
    }

    /// Hides what are secrets by their form in a word, between its dots and dashes.
    fn hide_in(&mut self, start: usize, word: &[u8]) {
        let mut from = start;
        for part in word.split(|byte| !byte.is_ascii_alphanumeric()) {
            let to = from.saturating_add(part.len());
            let is_access_key = part.len() == 20
                && (part.starts_with(b"AKIA") || part.starts_with(b"ASIA"))
                && part.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            if is_access_key {
                self.hide(from, to, 0);
            } else if matches!(part.len(), 32 | 40) && part.iter().all(u8::is_ascii_hexdigit) {
                self.hide(from, to, 4);
            }
            from = to.saturating_add(1);
        }
    }

    /// Hides the value that begins here.
    fn value(&mut self) {
        let rest = self.rest();
        let (open, content) = match quote(rest) {
            Some((escapes, quote)) => {
                let open = escapes.saturating_add(1);
                (open, quoted_length(rest.get(open..).unwrap_or_default(), escapes, quote))
            }
            None => (0, bare_length(rest)),
        };
        let from = self.at.saturating_add(open);
        let to = from.saturating_add(content);
        let value = self.text.get(from..to).unwrap_or_default();
        let is_handle = value
            .strip_prefix("ENC")
            .is_some_and(|handle| enc_length(b"ENC", handle.as_bytes()) == Some(handle.len()));
        if content == 0 || is_handle {
            self.at = to;
        } else {
            self.hide(from, to, 0);
        }
    }
}

/// Whether a byte is one of a word: of a name, a number, a key.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// The length of the word that a text begins with. A block of PEM ends it.
fn word_length(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(rest) = text.get(length..) {
        match rest.first() {
            Some(&byte) if is_word(byte) && !rest.starts_with(PEM_BEGIN) => length = length.saturating_add(1),
            _ => break,
        }
    }
    length
}

/// Whether the value of a key with this name is a secret.
fn is_secret_name(name: &[u8]) -> bool {
    const WITHIN: [&[u8]; 2] = [b"pass", b"pwd"];
    const ENDS: [&[u8]; 7] =
        [b"token", b"jwt", b"secret", b"access_key", b"private_key", b"authorization", b"x_amz_signature"];
    let name: Vec<u8> =
        name.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_lowercase() }).collect();
    WITHIN.iter().any(|part| name.windows(part.len()).any(|window| window == *part))
        || ENDS.iter().any(|end| name.ends_with(end))
        || [&b"accesskey"[..], b"privatekey"].iter().any(|end| name.ends_with(end))
}

/// Whether a text begins with the name of a secret, and its value follows.
fn is_key(text: &[u8]) -> bool {
    let (word, after) = text.split_at_checked(word_length(text)).unwrap_or_default();
    is_secret_name(word) && gap_of_key(after).is_some()
}

/// The length of what is between a name and its value: the name's closing quote, spaces, `=` or `:`. `None` if the word is
/// no name.
fn gap_of_key(text: &[u8]) -> Option<usize> {
    let closing = quote(text).map_or(0, |(escapes, _)| escapes.saturating_add(1));
    let mut length = closing.saturating_add(space(text.get(closing..)?));
    let separators = text.get(length..)?.iter().take_while(|byte| b"=:>".contains(byte)).count();
    if separators == 0 {
        return None;
    }
    length = length.saturating_add(separators);
    Some(length.saturating_add(space(text.get(length..)?)))
}

/// The length of the space before a token; `None` if there is none.
fn gap_of_space(text: &[u8]) -> Option<usize> {
    Some(space(text)).filter(|&length| length > 0)
}

/// The length of the spaces, and of what makes a terminal change its colours, that a text begins with.
fn space(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(rest) = text.get(length..) {
        match rest.first() {
            Some(b' ' | b'\t') => length = length.saturating_add(1),
            Some(0x1b) => length = length.saturating_add(escape(rest)),
            _ => break,
        }
    }
    length
}

/// The length of the sequence for a terminal that a text begins with.
fn escape(text: &[u8]) -> usize {
    if text.get(1) != Some(&b'[') {
        return 1;
    }
    let parameters = text.iter().skip(2).take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
    let end = usize::from(text.get(parameters.saturating_add(2)).is_some_and(u8::is_ascii_alphabetic));
    parameters.saturating_add(2).saturating_add(end)
}

/// Whether a text begins with an escaped byte of an address.
fn is_percent(text: &[u8]) -> bool {
    matches!(text, [b'%', one, other, ..] if one.is_ascii_hexdigit() && other.is_ascii_hexdigit())
}

/// The quote that a text begins with, and how many backslashes are before it: as many as it is deep in other quotes.
fn quote(text: &[u8]) -> Option<(usize, u8)> {
    let escapes = text.iter().take_while(|byte| **byte == b'\\').count();
    let quote = *text.get(escapes)?;
    matches!(quote, b'"' | b'\'').then_some((escapes, quote))
}

/// The length of what is in quotes, up to the backslashes before the closing one, or else to the end.
fn quoted_length(text: &[u8], depth: usize, quote: u8) -> usize {
    let mut escapes = 0_usize;
    for (index, &byte) in text.iter().enumerate() {
        if byte == b'\\' {
            escapes = escapes.saturating_add(1);
            continue;
        }
        if byte == quote && (escapes <= depth || depth == 0 && escapes.is_multiple_of(2)) {
            // Backslashes of the value itself are hidden with it.
            return index.saturating_sub(escapes.min(depth));
        }
        escapes = 0;
    }
    text.len()
}

/// The length of a value without quotes.
fn bare_length(text: &[u8]) -> usize {
    // The scheme of `authorization: Basic …` is no value without what follows.
    let scheme = ["bearer ", "basic "].into_iter().find(|scheme| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
    });
    let mut length = scheme.map_or(0, str::len);
    let rest = text.get(length..).unwrap_or_default();
    if is_key(rest) || length > 0 && rest.starts_with(b"ENC[") {
        // This is the name of another secret, or its handle: it is looked at as such.
        return 0;
    }
    let mut depth = 0_usize;
    while let Some(rest) = text.get(length..) {
        let Some(&byte) = rest.first() else { break };
        if rest.starts_with(PEM_BEGIN) {
            length = length.saturating_add(pem(rest));
            continue;
        }
        match byte {
            b'[' | b'(' | b'{' => depth = depth.saturating_add(1),
            b']' | b')' | b'}' if depth > 0 => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    // `ENC[…]`, `Some(…)`: what follows is looked at as any value.
                    length = length.saturating_add(1);
                    continue;
                }
            }
            _ if depth == 0 && (byte.is_ascii_whitespace() || b"])}\"',;&<>\\\x1b".contains(&byte)) => break,
            _ => {}
        }
        length = length.saturating_add(1);
    }
    length
}

/// The length of the handle, with its brackets, after a word that ends in `ENC`.
fn enc_length(word: &[u8], after: &[u8]) -> Option<usize> {
    let before = word.strip_suffix(b"ENC")?;
    if before.last().is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let handle = after.strip_prefix(b"[")?;
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || b"[]\"'".contains(byte);
    let length = handle.iter().position(is_end)?;
    (length > 0 && handle.get(length) == Some(&b']')).then(|| length.saturating_add(2))
}

/// The length of the block of PEM that a text begins with; all of a text in which it does not end.
fn pem(text: &[u8]) -> usize {
    let find = |from: usize, wanted: &[u8]| {
        let rest = text.get(from..)?;
        rest.windows(wanted.len()).position(|window| window == wanted).map(|index| from.saturating_add(index))
    };
    let end = find(PEM_BEGIN.len(), PEM_END)
        .and_then(|end| find(end.saturating_add(PEM_END.len()), b"-----"))
        .map(|end| end.saturating_add(b"-----".len()));
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const API_KEY: &str = "0123456789abcdef0123456789abcdef";
    const APPLICATION_KEY: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn secrets_are_hidden_and_what_is_around_them_stays() {
        for (text, expected) in [
            ("key 0123456789abcdef0123456789abcdef!", "key ********cdef!"),
            (APPLICATION_KEY, "********4567"),
            (
                "GET https://a.b/?api_key=0123456789abcdef0123456789abcdef&x=y",
                "GET https://a.b/?api_key=********cdef&x=y",
            ),
            ("Authorization: Bearer abc.def-ghi next", "Authorization: ******** next"),
            ("authorization: Basic dXNlcjpw, x", "authorization: ********, x"),
            ("sent bearer abc.def~/+=; more", "sent bearer ********; more"),
            ("postgres://user:p4ss:w@rd@db.example.com:5432/x", "postgres://********@db.example.com:5432/x"),
            ("https://user@host/ https://host:80/a@b:c", "https://user@host/ https://host:80/a@b:c"),
            ("password=hunter2 next", "password=******** next"),
            ("DB_PASSWORD: hunter2", "DB_PASSWORD: ********"),
            ("my.passphrase = 'hunter 2' next", "my.passphrase = '********' next"),
            ("pwd=a&b=c", "pwd=********&b=c"),
            (r#"{"client_secret":"a\"b, c","b":1}"#, r#"{"client_secret":"********","b":1}"#),
            (r#""{\"token\":\"a\\\"b\",\"c\":1}""#, r#""{\"token\":\"********\",\"c\":1}""#),
            (r#"Config { password: Some("hunter2"), a: 1 }"#, "Config { password: ********, a: 1 }"),
            ("passwords: [a, b], c", "passwords: ********, c"),
            ("jwt=a.b.c", "jwt=********"),
            ("aws_secret_access_key = abc/def+g", "aws_secret_access_key = ********"),
            ("secretAccessKey: abc", "secretAccessKey: ********"),
            ("ssh-private-key: abc", "ssh-private-key: ********"),
            ("id AKIAIOSFODNN7EXAMPLE.", "id ********."),
            (
                "?X-Amz-Credential=ASIAIOSFODNN7EXAMPLE%2F2026&X-Amz-Signature=abcdef&z=1",
                "?X-Amz-Credential=********%2F2026&X-Amz-Signature=********&z=1",
            ),
            ("%2FASIAIOSFODNN7EXAMPLE%2F", "%2F********%2F"),
            ("X-Amz-Security-Token=abc%2Fdef&z", "X-Amz-Security-Token=********&z"),
            ("a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b", "a ******** b"),
            ("key: x-----BEGIN A-----\nMII", "key: x********"),
            ("secret=x-----BEGIN A-----\nM I I\n-----END A----- b", "secret=******** b"),
            ("password: \"never closed, and more", "password: \"********"),
            (
                "\u{1b}[3mpassword\u{1b}[0m\u{1b}[2m=\u{1b}[0mhunter2 \u{1b}[1mx",
                "\u{1b}[3mpassword\u{1b}[0m\u{1b}[2m=\u{1b}[0m******** \u{1b}[1mx",
            ),
            ("pässword=ä token=é!ö ü", "pässword=ä token=******** ü"),
        ] {
            assert_eq!(scrub(text), expected);
            assert_eq!(scrub(expected), expected);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "",
            "scan i-0123456789abcdef0 of 111122223333/eu-central-1 took 12 s",
            "api_key: ENC[arn:aws:secretsmanager:eu-central-1:111122223333:secret:key-AbCdEf]",
            "password: ENC[handle], secret=\"ENC[handle]\" Authorization: Bearer ENC[a] token='ENC[x]'",
            "0b8f0e6c-8f3a-4d0e-9a56-0123456789ab",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "the token has expired, and the secret is gone; a bearer",
            "AKIA and ASIAIOSFODNN7EXAMPLEX and akiaiosfodnn7example",
            "2026-11-22T08:00:00Z  INFO agentless_scanner::scan: read blocks=12 bytes=4096",
        ] {
            assert!(matches!(scrub(text), Cow::Borrowed(same) if same == text), "{text}: {}", scrub(text));
        }
    }

    #[test]
    fn long_lines_take_time_in_proportion() {
        let pieces = [
            "password=",
            "a",
            "\"",
            "\\",
            "ENC[",
            "://",
            "://a:b",
            "-----BEGIN ",
            "-",
            "[",
            "bearer ",
            "token: \\\"",
            " ",
            "\u{1b}[",
            "%",
            "a@",
            "pass",
            "://@",
            "token \\",
        ];
        for piece in pieces {
            for before in ["", "password=", "password: [", "x://", "-----BEGIN ", "ENC["] {
                // What grew with the square of the length would take hours.
                let text = format!("{before}{}", piece.repeat(400_000 / piece.len()));
                let clean = scrub(&text).into_owned();
                assert_eq!(scrub(&clean), clean);
            }
        }
    }

    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "password",
                "token",
                "secret",
                "x",
                "=",
                ":",
                ": ",
                " ",
                "\"",
                "'",
                "\\",
                "\\\"",
                "[",
                "]",
                "{",
                "}",
                "(",
                ")",
                ",",
                ";",
                "&",
                "ENC[",
                "ENC[a]",
                "://",
                "@",
                "/",
                "-----BEGIN ",
                "-----END ",
                "-----",
                "\n",
                "Bearer ",
                "basic ",
                "%2F",
                "%",
                "\u{1b}[3m",
                "\u{1b}",
                "********",
                "*",
                "AKIAIOSFODNN7EXAMPLE",
                API_KEY,
                APPLICATION_KEY,
                ".",
                "_",
                "-",
                "é",
                "0",
                ">",
            ])
            .prop_map(str::to_owned),
            "\\PC",
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn a_password_never_passes(before in pieces(), secret in "[a-z0-9]{8,20}", separator in "=|: ?|=\"|: '", after in pieces()) {
            let secret = format!("q{secret}z");
            // A quote that is open closes at the next, whatever that was meant to be.
            let before = before.replace(['"', '\''], "").replace("ENC[", "");
            let text = format!("{before} password{separator}{secret} {after}");
            prop_assert!(!scrub(&text).contains(&secret), "{:?}", text);
        }
    }
}

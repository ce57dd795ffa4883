//! What `if` asks for in GRUB's language: `[ … ]` and `test …`.

/// Whether a condition holds. What else than a test stands there asks for the machine, such as its keyboard, and does not.
pub(super) fn holds(words: &[&str], has_file: &mut dyn FnMut(&str) -> bool) -> bool {
    let test = match words {
        ["[", test @ .., "]"] | ["test", test @ ..] => test,
        ["true"] => return true,
        ["!", rest @ ..] => return !holds_simply(rest, has_file),
        _ => return false,
    };
    test.split(|word| *word == "-o")
        .any(|either| either.split(|word| *word == "-a").all(|one| term(one, has_file)))
}

/// A condition after `!`, of which there is only one.
fn holds_simply(words: &[&str], has_file: &mut dyn FnMut(&str) -> bool) -> bool {
    match words {
        ["[", test @ .., "]"] | ["test", test @ ..] => term(test, has_file),
        ["true"] => true,
        _ => false,
    }
}

fn term(words: &[&str], has_file: &mut dyn FnMut(&str) -> bool) -> bool {
    let number = |text: &str| text.trim().parse::<i64>().unwrap_or(0);
    match words {
        ["!", rest @ ..] if rest.first() != Some(&"!") => !term(rest, has_file),
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        [left, "<", right] => left < right,
        [left, ">", right] => left > right,
        [left, "-eq", right] => number(left) == number(right),
        [left, "-ne", right] => number(left) != number(right),
        [left, "-lt", right] => number(left) < number(right),
        [left, "-le", right] => number(left) <= number(right),
        [left, "-gt", right] => number(left) > number(right),
        [left, "-ge", right] => number(left) >= number(right),
        ["-z", text] => text.is_empty(),
        ["-e" | "-f" | "-s", path] => has_file(path),
        ["-n", text] | [text] => !text.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_decided() {
        for (words, expected) in [
            ("[ a ]", true),
            ("[ ]", false),
            ("[ xy = xy ]", true),
            ("[ xy = xn -o 1 -lt 2 ]", true),
            ("[ xy = xn -a 1 -lt 2 ]", false),
            ("[ ! -s there ]", false),
            ("[ -s missing ]", false),
            ("! test -f missing", true),
            ("test -z a", false),
            ("true", true),
            ("loadfont unicode", false),
            ("[ ! ! ! a ]", false),
            ("", false),
        ] {
            let words: Vec<_> = words.split_ascii_whitespace().collect();
            assert_eq!(holds(&words, &mut |path| path == "there"), expected, "{words:?}");
        }
    }
}

//! Words and statements of GRUB's language.

use std::collections::BTreeMap;

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// The value of the variable of this name.
    Variable(String),
}

/// A command with its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) words: Vec<Vec<Part>>,
    /// Whether a block follows, up to a statement that is `}`.
    pub(super) opens: bool,
}

impl Statement {
    /// A word in which there is no variable.
    pub(super) fn literal(&self, index: usize) -> Option<&str> {
        match self.words.get(index)?.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// Bytes of one word whose variables have been replaced. Longer than any path or title.
const WORD_BYTES: usize = 4096;

/// Statements of one file. Real ones have some hundred.
const STATEMENTS: usize = 100_000;

/// A word with the values of its variables.
pub(super) fn expand(word: &[Part], variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    for part in word {
        let text = match part {
            Part::Text(text) => Some(text),
            Part::Variable(name) => variables.get(name),
        };
        let text = text.map(String::as_str).unwrap_or_default();
        if expanded.len().saturating_add(text.len()) > WORD_BYTES {
            return String::new();
        }
        expanded.push_str(text);
    }
    expanded
}

/// The statements of a configuration, and whether these are all. Words that only introduce another statement, such as `then`,
/// are left out.
pub(super) fn statements(content: &[u8]) -> (Vec<Statement>, bool) {
    let content = String::from_utf8_lossy(content);
    let mut reader = Reader { statements: Vec::new(), statement: Statement::default(), word: None };
    let mut rest = content.chars().peekable();
    while let Some(character) = rest.next().filter(|_| reader.statements.len() < STATEMENTS) {
        match character {
            '\n' | ';' | '|' | '&' => reader.end_statement(),
            ' ' | '\t' | '\r' => reader.end_word(),
            '#' if reader.word.is_none() => {
                while rest.peek().is_some_and(|&next| next != '\n') {
                    rest.next();
                }
            }
            '{' if reader.word.is_none() => {
                reader.statement.opens = true;
                reader.end_statement();
            }
            '}' if reader.word.is_none() => {
                reader.end_statement();
                reader.push('}');
                reader.end_statement();
            }
            '\'' => {
                reader.start();
                for quoted in rest.by_ref().take_while(|&quoted| quoted != '\'') {
                    reader.push(quoted);
                }
            }
            '"' => {
                reader.start();
                while let Some(quoted) = rest.next().filter(|&quoted| quoted != '"') {
                    match quoted {
                        '\\' => reader.extend(rest.next()),
                        '$' => reader.variable(&mut rest),
                        other => reader.push(other),
                    }
                }
            }
            '\\' => match rest.next() {
                // The end of the line is not one.
                Some('\n') | None => {}
                Some(other) => reader.push(other),
            },
            '$' => reader.variable(&mut rest),
            other => reader.push(other),
        }
    }
    reader.end_statement();
    (reader.statements, rest.next().is_none())
}

#[derive(Debug)]
struct Reader {
    statements: Vec<Statement>,
    statement: Statement,
    word: Option<Vec<Part>>,
}

impl Reader {
    /// Begins a word, which may stay empty.
    fn start(&mut self) {
        self.word.get_or_insert_default();
    }

    fn push(&mut self, character: char) {
        let word = self.word.get_or_insert_default();
        match word.last_mut() {
            Some(Part::Text(text)) => text.push(character),
            _ => word.push(Part::Text(character.into())),
        }
    }

    fn extend(&mut self, character: Option<char>) {
        if let Some(character) = character {
            self.push(character);
        }
    }

    /// `$name` or `${name}`.
    fn variable(&mut self, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
        let mut name = String::new();
        if rest.next_if_eq(&'{').is_some() {
            name.extend(rest.by_ref().take_while(|&character| character != '}'));
        } else {
            while let Some(character) =
                rest.next_if(|&character| character.is_ascii_alphanumeric() || character == '_')
            {
                name.push(character);
            }
        }
        self.word.get_or_insert_default().push(Part::Variable(name));
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        self.statement.words.push(word);
        if self.statement.words.len() == 1 && matches!(self.statement.literal(0), Some("then" | "do")) {
            self.statement.words.clear();
        } else if self.statement.words.len() == 1 && self.statement.literal(0) == Some("else") {
            self.end_statement();
        }
    }

    fn end_statement(&mut self) {
        self.end_word();
        let statement = std::mem::take(&mut self.statement);
        if !statement.words.is_empty() || statement.opens {
            self.statements.push(statement);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_divided_as_a_shell_divides_them() {
        let content = br#"# a comment
if [ "${next_entry}" ] ; then set default="a $b\"c"; else x='y z'"$d" fi
menuentry 'it'\''s' --class a { linux /v#1 \
 quiet }"#;
        let variables = BTreeMap::from(
            [("b", "B"), ("d", "D"), ("next_entry", "")].map(|(a, b)| (a.to_owned(), b.to_owned())),
        );
        let found: Vec<(Vec<String>, bool)> = statements(content)
            .0
            .iter()
            .map(|statement| {
                (statement.words.iter().map(|word| expand(word, &variables)).collect(), statement.opens)
            })
            .collect();
        let expected: [(&[&str], bool); 8] = [
            (&["if", "[", "", "]"], false),
            (&["set", "default=a B\"c"], false),
            (&["else"], false),
            (&["x=y zD", "fi"], false),
            (&["menuentry", "it's", "--class", "a"], true),
            (&["linux", "/v#1", "quiet"], false),
            (&["}"], false),
            (&[], false),
        ];
        let found: Vec<_> = found
            .iter()
            .map(|(words, opens)| (words.iter().map(String::as_str).collect::<Vec<_>>(), *opens))
            .collect();
        let expected: Vec<_> = expected[..7].iter().map(|(words, opens)| (words.to_vec(), *opens)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn values_do_not_grow_without_end() {
        let mut variables = BTreeMap::from([("a".to_owned(), "x".repeat(3000))]);
        let word = [Part::Variable("a".to_owned()), Part::Variable("a".to_owned())];
        assert_eq!(expand(&word, &variables), "");
        variables.insert("a".to_owned(), "x".to_owned());
        assert_eq!(expand(&word, &variables), "xx");
    }
}

//! A command line inside an argument, split into words as a shell does.

/// The words of a text: blanks part them, single quotes keep everything, double quotes all but a backslash before
/// a double quote or backslash, and outside of quotes a backslash keeps the next character.
///
/// # Errors
/// A sentence, if a quote is not closed or nothing follows a backslash.
pub fn split_words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word): (Vec<String>, Option<String>) = (Vec::new(), None);
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            blank if blank.is_whitespace() => words.extend(word.take()),
            quote @ ('\'' | '"') => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        None => return Err(format!("a {quote} is not closed")),
                        Some(end) if end == quote => break,
                        Some('\\') if quote == '"' && matches!(rest.peek(), Some('"' | '\\')) => {
                            word.extend(rest.next())
                        }
                        Some(inside) => word.push(inside),
                    }
                }
            }
            '\\' => {
                let kept = rest.next().ok_or("nothing follows the last backslash")?;
                word.get_or_insert_default().push(kept);
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        let split = |text: &str| split_words(text).unwrap();
        assert_eq!(split(" --name='POST /pay'  --error "), ["--name=POST /pay", "--error"]);
        assert_eq!(split(r#"--tag "k=\"a b\"" c\ d '\'"#), ["--tag", "k=\"a b\"", "c d", "\\"]);
        assert_eq!(split("a '' b"), ["a", "", "b"]);
        assert_eq!(split(" "), [""; 0]);
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for text in ["'a", "\"a", "a\\"] {
            assert!(split_words(text).is_err(), "{text}");
        }
    }
}

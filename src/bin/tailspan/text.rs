//! Text from spans on its way to a terminal.
//!
//! Names and values come from anywhere: an escape sequence in a span name must not reach the terminal as
//! one. [`clean`] makes control characters visible; [`width`] and [`fit`] count characters, which is
//! close enough for names (wide characters of East Asian scripts push their line a little).

use std::borrow::Cow;

/// The text with every control character replaced by its sign (`␊` for a line end).
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(visible).collect())
}

/// Control characters, and the marks that turn the direction of writing.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn visible(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        c if is_unsafe(c) => '\u{fffd}',
        c => c,
    }
}

/// Columns the text takes.
pub fn width(text: &str) -> usize {
    text.chars().count()
}

/// The text in exactly `columns` columns: padded with blanks, or cut and ended with `…`.
pub fn fit(text: &str, columns: usize) -> String {
    let taken = width(text);
    if taken <= columns {
        return format!("{text}{}", " ".repeat(columns - taken));
    }
    let mut cut: String = text.chars().take(columns.saturating_sub(1)).collect();
    if columns > 0 {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_become_visible() {
        assert_eq!(clean("a\u{1b}[31mb\r\n"), "a␛[31mb␍␊");
        assert_eq!(clean("käse"), "käse");
    }

    #[test]
    fn a_fitted_text_has_the_width_asked_for() {
        assert_eq!(fit("abc", 5), "abc  ");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("abc", 0), "");
    }
}

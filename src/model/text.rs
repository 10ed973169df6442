//! Text on its way in: bytes that were found to be UTF-8.
//!
//! Most of the texts of a span are names and words that its chapter knows already, and are compared or
//! copied as bytes. So a reader checks them, and nobody makes a `&str` of them, which would check them again.

/// UTF-8 bytes, borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// The bytes as text; `None` if they are not UTF-8.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.is_ascii() || str::from_utf8(bytes).is_ok()).then_some(Self(bytes))
    }

    /// The bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text, checked once more.
    pub fn to_str(self) -> &'a str {
        str::from_utf8(self.0).unwrap_or_default()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

/// ASCII bytes: any stretch of them is text.
#[derive(Clone, Copy, Debug)]
pub struct Ascii<'a>(&'a [u8]);

impl<'a> Ascii<'a> {
    /// The bytes, if all of them are ASCII.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.is_ascii().then_some(Self(bytes))
    }

    /// The `len` bytes from `first` on; `None` if there are not so many.
    #[inline]
    pub fn text(self, first: usize, len: usize) -> Option<Text<'a>> {
        self.0.get(first..first + len).map(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf8_is_text_and_only_ascii_may_be_cut_anywhere() {
        let (word, cut) = ("é".as_bytes(), &"é".as_bytes()[..1]);
        assert_eq!(Text::new(word).map(Text::to_str), Some("é"));
        assert!(Text::new(cut).is_none() && Ascii::new(word).is_none());
        let ascii = Ascii::new(b"abc").unwrap();
        assert_eq!(ascii.text(1, 2), Some(Text::from("bc")));
        assert_eq!(ascii.text(1, 3), None);
    }
}

//! UTF-8 is checked a stretch at a time, not a text at a time.
//!
//! A span has some twenty-five short texts, and checking each alone costs more than all the rest of the
//! walk. But the bytes between them, tags and lengths, are mostly ASCII too, so that one check covers
//! many texts:
//!
//! ```text
//! 4a 1c 0a 13 http.request.method 12 05 0a 03 GET 4a 20 0a 19 http.response.status_code 12 03 18 c8 01
//! ^ the window begins at the first text asked for              and ends where ASCII ends ^
//! ```
//! A text that is not ASCII is checked alone. A text beyond the window opens a new one, which begins
//! with it; texts are asked for in ascending order, so no byte is looked at more than three times,
//! however the bytes were chosen.

use crate::bytes::le_u64;

/// Finds texts in one stretch of bytes, the area.
#[derive(Debug, Default)]
pub struct TextWindow<'a> {
    area: &'a [u8],
    valid: &'a str,
}

impl<'a> TextWindow<'a> {
    /// A window in `area`, to be asked for texts that lie in it.
    pub fn on(area: &'a [u8]) -> Self {
        Self { area, valid: "" }
    }

    /// The text that `bytes` are; `None` if and only if they are not UTF-8.
    #[inline]
    pub fn text(&mut self, bytes: &'a [u8]) -> Option<&'a str> {
        match self.inside(bytes) {
            Some(text) => Some(text),
            None => self.open(bytes),
        }
    }

    /// The slice of the window at the address of `bytes`: the same memory, so the same text.
    #[inline]
    fn inside(&self, bytes: &'a [u8]) -> Option<&'a str> {
        let start = offset_in(self.valid.as_bytes(), bytes);
        self.valid.get(start..start.wrapping_add(bytes.len()))
    }

    #[inline(never)]
    fn open(&mut self, bytes: &'a [u8]) -> Option<&'a str> {
        let rest = self.area.get(offset_in(self.area, bytes)..).unwrap_or_default();
        let ascii = rest.get(..ascii_len(rest)).unwrap_or_default();
        if bytes.is_empty() || ascii.len() < bytes.len() {
            return str::from_utf8(bytes).ok();
        }
        self.valid = str::from_utf8(ascii).unwrap_or_default();
        self.inside(bytes)
    }
}

/// Bytes before the first one that is not ASCII.
fn ascii_len(bytes: &[u8]) -> usize {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    let (words, tail) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let high = le_u64(*word) & HIGH_BITS;
        if high != 0 {
            return index * 8 + (high.trailing_zeros() / 8) as usize;
        }
    }
    words.len() * 8 + tail.iter().take_while(|byte| byte.is_ascii()).count()
}

fn offset_in(area: &[u8], bytes: &[u8]) -> usize {
    (bytes.as_ptr() as usize).wrapping_sub(area.as_ptr() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_agrees_with_a_check_of_each_text_alone() {
        let area = "ab\u{e9}\u{1f600}c".as_bytes().iter().chain(&[0xc8, 0x01, b'x', 0xc3, 0xa9, 0xff, b'y']).copied();
        let area: Vec<u8> = area.collect();
        for start in 0..=area.len() {
            let mut window = TextWindow::on(&area);
            for end in start..=area.len() {
                let bytes = &area[start..end];
                assert_eq!(window.text(bytes), str::from_utf8(bytes).ok(), "{start}..{end}");
            }
        }
    }

    #[test]
    fn bytes_outside_the_area_are_checked_alone() {
        let (area, other) = (*b"abc", *b"xyz\xff");
        let mut window = TextWindow::on(&area);
        assert_eq!(window.text(&area[1..]), Some("bc"));
        assert_eq!(window.text(&other[..3]), Some("xyz"));
        assert_eq!(window.text(&other), None);
    }
}

//! Byte strings end to end, by code.

/// An append-only list of byte strings in one buffer.
#[derive(Clone, Debug, Default)]
pub struct StringTable {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl StringTable {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all strings.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// The string of this code; empty if there is none.
    pub fn get(&self, code: u32) -> &[u8] {
        let Some(&end) = self.ends.get(code as usize) else { return &[] };
        let start = if code == 0 { 0 } else { self.ends[code as usize - 1] };
        &self.bytes[start as usize..end as usize]
    }

    /// The string of this code as text.
    pub fn text(&self, code: u32) -> &str {
        std::str::from_utf8(self.get(code)).unwrap_or_default()
    }

    /// Appends a string and returns its code.
    pub fn push(&mut self, string: &[u8]) -> u32 {
        self.bytes.extend_from_slice(string);
        self.ends.push(u32::try_from(self.bytes.len()).expect("a chapter holds less than 4 GiB of text"));
        (self.ends.len() - 1) as u32
    }

    /// The strings from code `first` on, and their bytes.
    pub fn since(&self, first: usize) -> impl Iterator<Item = &[u8]> {
        (first..self.ends.len()).map(|code| self.get(code as u32))
    }

    /// Takes back every string from code `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.bytes.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    /// Gives back the room that was kept for growth.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Heap bytes in use.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4
    }
}

//! Codes of resources and scopes by the bytes they arrived as.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

/// Wire bytes of the message and of its schema URL, and the code.
type Known = (Box<[u8]>, Box<[u8]>, u32);

/// Codes by wire bytes: those of the message and of its schema URL.
#[derive(Debug, Default)]
pub struct WireCodes {
    known: HashTable<Known>,
}

fn hash(head: &[u8], schema_url: &[u8]) -> u64 {
    FxBuildHasher.hash_one((head, schema_url))
}

impl WireCodes {
    /// The code noted for these bytes.
    pub fn get(&self, [head, schema_url]: [&[u8]; 2]) -> Option<u32> {
        if head.is_empty() {
            return None;
        }
        let same = |known: &Known| *known.0 == *head && *known.1 == *schema_url;
        self.known.find(hash(head, schema_url), same).map(|(_, _, code)| *code)
    }

    /// Notes the code of bytes that are not known yet; of no bytes nothing can be known.
    pub fn insert(&mut self, [head, schema_url]: [&[u8]; 2], code: u32) {
        if !head.is_empty() {
            let entry = (head.into(), schema_url.into(), code);
            self.known.insert_unique(hash(head, schema_url), entry, |(head, url, _)| hash(head, url));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_have_one_code_and_none_have_none() {
        let mut codes = WireCodes::default();
        codes.insert([b"ab", b"c"], 1);
        codes.insert([b"a", b"bc"], 2);
        codes.insert([b"", b"x"], 3);
        assert_eq!(codes.get([b"ab", b"c"]), Some(1));
        assert_eq!(codes.get([b"a", b"bc"]), Some(2));
        assert_eq!(codes.get([b"", b"x"]), None);
    }
}

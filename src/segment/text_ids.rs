//! The byte strings of a column as it is sealed: every distinct one of a chapter is looked at once.
//!
//! A gathered value names a string of a chapter. Its *id* is its place in the list of different names met,
//! so that hashing and comparing are paid by distinct value and a row costs two lookups in arrays.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::bytes::hash64;
use crate::column::NONE;
use crate::head::FrozenChapter;
use crate::index::TermIndexBuilder;

use super::dictionary::{DictionaryBuilder, may_have_dictionary};
use super::ranked::with_pages;

/// The byte string that a gathered value stands for: `chapter << 32 | string code`.
pub fn bytes_of(chapters: &[Arc<FrozenChapter>], value: u64) -> &[u8] {
    chapters[(value >> 32) as usize].strings.get(value as u32)
}

/// Hands out ids, a column at a time.
pub struct TextIds<'c> {
    chapters: &'c [Arc<FrozenChapter>],
    /// By chapter and string code; [`NONE`] between columns.
    known: Vec<Vec<u32>>,
}

impl<'c> TextIds<'c> {
    /// For values that name strings of these chapters.
    pub fn new(chapters: &'c [Arc<FrozenChapter>]) -> Self {
        Self { chapters, known: vec![Vec::new(); chapters.len()] }
    }

    /// The column of these values.
    pub fn column(&mut self, values: &[u64]) -> TextColumn<'c> {
        let mut names: Vec<u64> = Vec::new();
        let mut ids = Vec::with_capacity(values.len());
        for &value in values {
            let known = &mut self.known[(value >> 32) as usize];
            if known.is_empty() {
                known.resize(self.chapters[(value >> 32) as usize].strings.len(), NONE);
            }
            let id = &mut known[value as u32 as usize];
            if *id == NONE {
                *id = names.len() as u32;
                names.push(value);
            }
            ids.push(*id);
        }
        names.iter().for_each(|name| self.known[(name >> 32) as usize][*name as u32 as usize] = NONE);
        let texts: Vec<&[u8]> = names.iter().map(|name| bytes_of(self.chapters, *name)).collect();
        let hashes = texts.iter().map(|text| hash64(text)).collect();
        TextColumn { texts, hashes, ids }
    }
}

/// The values of a column of byte strings.
pub struct TextColumn<'c> {
    /// By id; strings of different chapters may be equal.
    texts: Vec<&'c [u8]>,
    hashes: Vec<u64>,
    /// By value.
    ids: Vec<u32>,
}

impl<'c> TextColumn<'c> {
    /// The values, in order.
    pub fn texts(&self) -> Vec<&'c [u8]> {
        self.ids.iter().map(|id| self.texts[*id as usize]).collect()
    }

    /// Adds every value with its page to a term index.
    pub fn add_terms(&self, ranks: &[u64], terms: &mut TermIndexBuilder) {
        let mut last_page = vec![NONE; self.texts.len()];
        for (id, page) in with_pages(&self.ids, ranks) {
            if std::mem::replace(&mut last_page[id as usize], page) != page {
                terms.add(self.hashes[id as usize], page);
            }
        }
    }

    /// A dictionary, unless there are too many different values for one.
    pub fn dictionary(&self) -> Option<DictionaryBuilder> {
        let mut table: HashTable<u32> = HashTable::new();
        let (mut texts, mut hashes, mut bytes_len) = (Vec::new(), Vec::new(), 0);
        let mut entries = Vec::with_capacity(self.texts.len());
        for (&text, &hash) in self.texts.iter().zip(&self.hashes) {
            let entry = match table.find(hash, |entry| texts[*entry as usize] == text) {
                Some(entry) => *entry,
                None => {
                    let entry = texts.len() as u32;
                    texts.push(text);
                    hashes.push(hash);
                    bytes_len += text.len();
                    if !may_have_dictionary(texts.len(), bytes_len, self.ids.len()) {
                        return None;
                    }
                    table.insert_unique(hash, entry, |entry| hashes[*entry as usize]);
                    entry
                }
            };
            entries.push(entry);
        }
        let mut counts = vec![0; texts.len()];
        let codes: Vec<u64> = self.ids.iter().map(|id| u64::from(entries[*id as usize])).collect();
        codes.iter().for_each(|entry| counts[*entry as usize] += 1);
        Some(DictionaryBuilder::by_frequency(texts, counts, codes))
    }
}

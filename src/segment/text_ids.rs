//! The byte strings of a column as it is sealed: every distinct one of a chapter is looked at once.
//!
//! A gathered value names a string by its place among the strings of all chapters. Its *id* is its place in the
//! list of different names met, so that hashing and comparing are paid by distinct value and a row costs two
//! lookups in arrays.

use std::sync::Arc;

use hashbrown::HashTable;
use rustc_hash::FxHashSet;

use crate::bytes::hash64;
use crate::column::NONE;
use crate::head::FrozenChapter;
use crate::index::TermIndexBuilder;

use super::dictionary::{DictionaryBuilder, may_have_dictionary};
use super::ranked::with_pages;

/// One hash in so many is looked at to tell whether values repeat.
const SAMPLE: u64 = 16;
/// Of fewer different strings a sample says too little.
const SAMPLED_MIN: usize = 8192;

/// Hands out ids, a column at a time.
pub struct TextIds<'c> {
    chapters: &'c [Arc<FrozenChapter>],
    /// The first name of each chapter, and one past the last of all.
    firsts: Vec<u32>,
    /// Ids by name; [`NONE`] between columns.
    known: Vec<u32>,
}

impl<'c> TextIds<'c> {
    /// For values that name strings of these chapters.
    pub fn new(chapters: &'c [Arc<FrozenChapter>]) -> Self {
        let mut firsts = vec![0u32];
        for chapter in chapters {
            let next = firsts[firsts.len() - 1] as usize + chapter.strings.len();
            firsts.push(u32::try_from(next).expect("a head has fewer than 2^32 strings"));
        }
        Self { chapters, firsts, known: Vec::new() }
    }

    /// The name of a string of a chapter.
    pub fn name(&self, chapter: usize, string: u32) -> u32 {
        self.firsts[chapter] + string
    }

    /// The byte string of a name.
    pub fn bytes_of(&self, name: u32) -> &'c [u8] {
        let chapter = self.firsts.partition_point(|first| *first <= name) - 1;
        self.chapters[chapter].strings.get(name - self.firsts[chapter])
    }

    /// The column of these values, and of such that classes tell, with their rows.
    pub fn column(&mut self, values: &[u32], told: &[(u32, u64)]) -> TextColumn<'c> {
        self.known.resize(self.firsts[self.chapters.len()] as usize, NONE);
        let mut names: Vec<u32> = Vec::new();
        let mut ids = Vec::with_capacity(values.len());
        for name in values.iter().copied().chain(told.iter().map(|(name, _)| *name)) {
            let id = &mut self.known[name as usize];
            if *id == NONE {
                *id = names.len() as u32;
                names.push(name);
            }
            ids.push(*id);
        }
        names.iter().for_each(|name| self.known[*name as usize] = NONE);
        let texts: Vec<&[u8]> = names.iter().map(|name| self.bytes_of(*name)).collect();
        let hashes = texts.iter().map(|text| hash64(text)).collect();
        let told_ids = ids.split_off(values.len());
        let told = told_ids.into_iter().zip(told).map(|(id, (_, rows))| (id, *rows)).collect();
        TextColumn { texts, hashes, ids, told }
    }
}

/// The values of a column of byte strings.
pub struct TextColumn<'c> {
    /// By id; strings of different chapters may be equal.
    texts: Vec<&'c [u8]>,
    hashes: Vec<u64>,
    /// By value.
    ids: Vec<u32>,
    /// What classes tell, with the rows of each.
    told: Vec<(u32, u64)>,
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

    /// True if one hash in sixteen shows that there are far too many different values for a dictionary.
    fn surely_too_many(&self) -> bool {
        if self.hashes.len() < SAMPLED_MIN {
            return false;
        }
        let sampled: FxHashSet<u64> = self.hashes.iter().copied().filter(|hash| hash % SAMPLE == 0).collect();
        // Twice the most there may be: an even spread is not so far off.
        !may_have_dictionary(sampled.len() * SAMPLE as usize / 2, 0, self.total())
    }

    /// Values of all rows.
    fn total(&self) -> usize {
        self.ids.len() + self.told.iter().map(|(_, rows)| *rows as usize).sum::<usize>()
    }

    /// A dictionary of what classes tell alone; `None` if they tell nothing.
    pub fn told_dictionary(mut self) -> Option<DictionaryBuilder> {
        self.ids.clear();
        let told = self.told.iter().map(|(id, _)| *id).collect::<FxHashSet<u32>>();
        let mut kept: Vec<u32> = told.into_iter().collect();
        kept.sort_unstable();
        let place = |id: u32| kept.binary_search(&id).unwrap_or(0) as u32;
        self.told.iter_mut().for_each(|(id, _)| *id = place(*id));
        self.texts = kept.iter().map(|id| self.texts[*id as usize]).collect();
        self.hashes = kept.iter().map(|id| self.hashes[*id as usize]).collect();
        if self.told.is_empty() { None } else { self.dictionary() }
    }

    /// A dictionary, unless there are too many different values for one. What is told alone has one however long.
    pub fn dictionary(&self) -> Option<DictionaryBuilder> {
        if !self.ids.is_empty() && self.surely_too_many() {
            return None;
        }
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
                    if !self.ids.is_empty() && !may_have_dictionary(texts.len(), bytes_len, self.total()) {
                        return None;
                    }
                    table.insert_unique(hash, entry, |entry| hashes[*entry as usize]);
                    entry
                }
            };
            entries.push(entry);
        }
        let mut counts = vec![0; texts.len()];
        let mut codes: Vec<u64> = self.ids.iter().map(|id| u64::from(entries[*id as usize])).collect();
        codes.iter().for_each(|entry| counts[*entry as usize] += 1);
        for (id, rows) in &self.told {
            let entry = entries[*id as usize];
            counts[entry as usize] += *rows as u32;
            codes.push(entry.into());
        }
        Some(DictionaryBuilder::by_frequency(texts, counts, codes, self.ids.len()))
    }
}

//! One set of codes for the rows of many chapters.
//!
//! Every chapter has its own dictionaries. A segment has one of each: codes are handed out in the order the
//! rows first use them, so that what no row uses is not there at all.

use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::column::{Class, Field, NONE, RowSource, Schema};
use crate::head::FrozenChapter;
use crate::model::{Resource, Scope};

/// Codes of one chapter to codes of the segment, [`NONE`] where not yet known.
struct ChapterMap {
    strings: FxHashMap<u32, u32>,
    fields: Vec<u32>,
    shapes: Vec<u32>,
    classes: Vec<u32>,
    resources: Vec<u32>,
    scopes: Vec<u32>,
}

/// Things by code, each once.
pub struct Distinct<T> {
    /// The things, by code.
    pub items: Vec<T>,
    codes: FxHashMap<T, u32>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self { items: Vec::new(), codes: FxHashMap::default() }
    }
}

impl<T: Clone + Eq + Hash> Distinct<T> {
    fn code(&mut self, item: T) -> u32 {
        if let Some(&code) = self.codes.get(&item) {
            return code;
        }
        let code = self.items.len() as u32;
        self.items.push(item.clone());
        self.codes.insert(item, code);
        code
    }
}

/// The united dictionaries.
pub struct United<'a> {
    chapters: &'a [Arc<FrozenChapter>],
    maps: Vec<ChapterMap>,
    /// Strings of the schema: keys, names, services, remote services.
    pub strings: Distinct<Arc<str>>,
    fields: Distinct<Field>,
    shapes: Distinct<Box<[u32]>>,
    classes: Distinct<Class>,
    /// Rows of every class.
    pub class_rows: Vec<u64>,
    /// Resources.
    pub resources: Distinct<Arc<Resource>>,
    /// Service of every resource, as a string code.
    pub services: Vec<u32>,
    /// Rows of every resource.
    pub resource_rows: Vec<u64>,
    /// Scopes.
    pub scopes: Distinct<Arc<Scope>>,
}

impl<'a> United<'a> {
    /// Nothing known yet of these chapters.
    pub fn new(chapters: &'a [Arc<FrozenChapter>]) -> Self {
        let maps = chapters.iter().map(|c| ChapterMap {
            strings: FxHashMap::default(),
            fields: vec![NONE; c.schema.fields.len()],
            shapes: vec![NONE; c.schema.shapes.len()],
            classes: vec![NONE; c.schema.classes.len()],
            resources: vec![NONE; c.resources.len()],
            scopes: vec![NONE; c.scopes.len()],
        });
        Self {
            chapters,
            maps: maps.collect(),
            strings: Distinct::default(),
            fields: Distinct::default(),
            shapes: Distinct::default(),
            classes: Distinct::default(),
            class_rows: Vec::new(),
            resources: Distinct::default(),
            services: Vec::new(),
            resource_rows: Vec::new(),
            scopes: Distinct::default(),
        }
    }

    fn string(&mut self, chapter: usize, code: u32) -> u32 {
        if code == NONE {
            return NONE;
        }
        if let Some(&known) = self.maps[chapter].strings.get(&code) {
            return known;
        }
        let united = self.strings.code(Arc::from(self.chapters[chapter].text(code)));
        self.maps[chapter].strings.insert(code, united);
        united
    }

    /// The segment's code of a chapter's field.
    pub fn field(&mut self, chapter: usize, code: u32) -> u32 {
        let known = self.maps[chapter].fields[code as usize];
        if known != NONE {
            return known;
        }
        let field = self.chapters[chapter].schema.fields[code as usize].clone();
        let key = self.string(chapter, field.key);
        let united = self.fields.code(Field { key, ..field });
        self.maps[chapter].fields[code as usize] = united;
        united
    }

    fn shape(&mut self, chapter: usize, code: u32) -> u32 {
        let known = self.maps[chapter].shapes[code as usize];
        if known != NONE {
            return known;
        }
        let chapters = self.chapters;
        let shape = &chapters[chapter].schema.shapes[code as usize];
        let shape: Box<[u32]> = shape.iter().map(|field| self.field(chapter, *field)).collect();
        let united = self.shapes.code(shape);
        self.maps[chapter].shapes[code as usize] = united;
        united
    }

    /// The segment's code of a chapter's class, for one more row.
    pub fn class(&mut self, chapter: usize, code: u32) -> u32 {
        let mut united = self.maps[chapter].classes[code as usize];
        if united == NONE {
            let class = self.chapters[chapter].schema.classes[code as usize];
            let class = Class {
                shape: self.shape(chapter, class.shape),
                name: self.string(chapter, class.name),
                service: self.string(chapter, class.service),
                remote: self.string(chapter, class.remote),
                scope: self.scope(chapter, class.scope),
                ..class
            };
            united = self.classes.code(class);
            self.maps[chapter].classes[code as usize] = united;
            self.class_rows.resize(self.classes.items.len(), 0);
        }
        self.class_rows[united as usize] += 1;
        united
    }

    fn scope(&mut self, chapter: usize, code: u32) -> u32 {
        if code == NONE {
            return NONE;
        }
        let known = self.maps[chapter].scopes[code as usize];
        if known != NONE {
            return known;
        }
        let united = self.scopes.code(self.chapters[chapter].scopes[code as usize].clone());
        self.maps[chapter].scopes[code as usize] = united;
        united
    }

    /// The segment's code of a chapter's resource, for one more row.
    pub fn resource(&mut self, chapter: usize, code: u32) -> u32 {
        let mut united = self.maps[chapter].resources[code as usize];
        if united == NONE {
            let resource = &self.chapters[chapter].resources[code as usize];
            united = self.resources.code(resource.resource.clone());
            let service = self.string(chapter, resource.service);
            self.services.resize(self.resources.items.len(), service);
            self.resource_rows.resize(self.resources.items.len(), 0);
            self.maps[chapter].resources[code as usize] = united;
        }
        self.resource_rows[united as usize] += 1;
        united
    }

    /// A field by code.
    pub fn field_at(&self, code: u32) -> &Field {
        &self.fields.items[code as usize]
    }

    /// A class by code.
    pub fn class_at(&self, code: u32) -> &Class {
        &self.classes.items[code as usize]
    }

    /// The schema, complete.
    pub fn schema(&self) -> Schema {
        Schema {
            fields: self.fields.items.clone(),
            shapes: self.shapes.items.clone(),
            classes: self.classes.items.clone(),
        }
    }
}

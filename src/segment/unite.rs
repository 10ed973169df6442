//! One set of codes for the rows of many chapters or segments.
//!
//! Every part has its own dictionaries. A segment has one of each: codes are handed out in the order the
//! rows first use them, so that what no row uses is not there at all.

use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::column::{Class, Field, NONE, RowSource, Schema};
use crate::head::Chapter;
use crate::model::{Resource, Scope};

use super::reader::SegmentSource;

/// A part with codes of its own: a chapter, or a segment that is merged. Codes given to it are known to it.
pub trait CodeSource: RowSource {
    /// How many resources and scopes it has.
    fn counts(&self) -> [usize; 2];

    /// A resource and its service as a string code.
    fn resource_at(&self, code: u32) -> (Arc<Resource>, u32);

    /// A scope.
    fn scope_at(&self, code: u32) -> Arc<Scope>;
}

impl CodeSource for Chapter {
    fn counts(&self) -> [usize; 2] {
        [self.resources.len(), self.scopes.len()]
    }

    fn resource_at(&self, code: u32) -> (Arc<Resource>, u32) {
        let resource = &self.resources[code as usize];
        (resource.resource.clone(), resource.service)
    }

    fn scope_at(&self, code: u32) -> Arc<Scope> {
        self.scopes[code as usize].clone()
    }
}

impl CodeSource for SegmentSource<'_> {
    fn counts(&self) -> [usize; 2] {
        [self.tables.resources.len(), self.tables.scopes.len()]
    }

    fn resource_at(&self, code: u32) -> (Arc<Resource>, u32) {
        (self.tables.resources[code as usize].clone(), self.tables.services[code as usize])
    }

    fn scope_at(&self, code: u32) -> Arc<Scope> {
        self.tables.scopes[code as usize].clone()
    }
}

/// Codes of one part to codes of the segment, [`NONE`] where not yet known.
struct PartMap {
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
    parts: Vec<&'a dyn CodeSource>,
    maps: Vec<PartMap>,
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
    /// Nothing known yet of these parts.
    pub fn new(parts: Vec<&'a dyn CodeSource>) -> Self {
        let maps = parts.iter().map(|part| {
            let (schema, [resources, scopes]) = (part.schema(), part.counts());
            PartMap {
                strings: FxHashMap::default(),
                fields: vec![NONE; schema.fields.len()],
                shapes: vec![NONE; schema.shapes.len()],
                classes: vec![NONE; schema.classes.len()],
                resources: vec![NONE; resources],
                scopes: vec![NONE; scopes],
            }
        });
        Self {
            maps: maps.collect(),
            parts,
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

    fn string(&mut self, part: usize, code: u32) -> u32 {
        if code == NONE {
            return NONE;
        }
        if let Some(&known) = self.maps[part].strings.get(&code) {
            return known;
        }
        let united = self.strings.code(Arc::from(self.parts[part].text(code)));
        self.maps[part].strings.insert(code, united);
        united
    }

    /// The segment's code of a part's field.
    pub fn field(&mut self, part: usize, code: u32) -> u32 {
        let known = self.maps[part].fields[code as usize];
        if known != NONE {
            return known;
        }
        let field = self.parts[part].schema().fields[code as usize].clone();
        let key = self.string(part, field.key);
        let united = self.fields.code(Field { key, ..field });
        self.maps[part].fields[code as usize] = united;
        united
    }

    fn shape(&mut self, part: usize, code: u32) -> u32 {
        let known = self.maps[part].shapes[code as usize];
        if known != NONE {
            return known;
        }
        let source = self.parts[part];
        let shape = &source.schema().shapes[code as usize];
        let shape: Box<[u32]> = shape.iter().map(|field| self.field(part, *field)).collect();
        let united = self.shapes.code(shape);
        self.maps[part].shapes[code as usize] = united;
        united
    }

    /// The segment's code of a part's class, for one more row.
    pub fn class(&mut self, part: usize, code: u32) -> u32 {
        let mut united = self.maps[part].classes[code as usize];
        if united == NONE {
            let class = self.parts[part].schema().classes[code as usize];
            let class = Class {
                shape: self.shape(part, class.shape),
                name: self.string(part, class.name),
                service: self.string(part, class.service),
                remote: self.string(part, class.remote),
                scope: self.scope(part, class.scope),
                ..class
            };
            united = self.classes.code(class);
            self.maps[part].classes[code as usize] = united;
            self.class_rows.resize(self.classes.items.len(), 0);
        }
        self.class_rows[united as usize] += 1;
        united
    }

    fn scope(&mut self, part: usize, code: u32) -> u32 {
        if code == NONE {
            return NONE;
        }
        let known = self.maps[part].scopes[code as usize];
        if known != NONE {
            return known;
        }
        let united = self.scopes.code(self.parts[part].scope_at(code));
        self.maps[part].scopes[code as usize] = united;
        united
    }

    /// The segment's code of a part's resource, for one more row.
    pub fn resource(&mut self, part: usize, code: u32) -> u32 {
        let mut united = self.maps[part].resources[code as usize];
        if united == NONE {
            let (resource, service) = self.parts[part].resource_at(code);
            united = self.resources.code(resource);
            let service = self.string(part, service);
            self.services.resize(self.resources.items.len(), service);
            self.resource_rows.resize(self.resources.items.len(), 0);
            self.maps[part].resources[code as usize] = united;
        }
        self.resource_rows[united as usize] += 1;
        united
    }

    /// The segment's code of a part's field, if it has one.
    pub fn known_field(&self, part: usize, code: u32) -> Option<u32> {
        Some(self.maps[part].fields[code as usize]).filter(|known| *known != NONE)
    }

    /// The segment's code of a part's class, if it has one.
    pub fn known_class(&self, part: usize, code: u32) -> Option<u32> {
        Some(self.maps[part].classes[code as usize]).filter(|known| *known != NONE)
    }

    /// Gives these fields, named by their codes, the first codes; the others keep their order. Only for when
    /// every code is handed out.
    pub fn put_first(&mut self, first: &[u32]) {
        let mut order = first.to_vec();
        let mut chosen = vec![false; self.fields.items.len()];
        first.iter().for_each(|code| chosen[*code as usize] = true);
        order.extend((0..).zip(&chosen).filter(|(_, chosen)| !**chosen).map(|(code, _)| code));
        let mut new = vec![NONE; order.len()];
        (0..).zip(&order).for_each(|(code, old)| new[*old as usize] = code);
        self.fields.items = order.iter().map(|old| self.fields.items[*old as usize].clone()).collect();
        self.fields.codes = self.fields.items.iter().cloned().zip(0..).collect();
        let renumber = |code: &mut u32| {
            if *code != NONE {
                *code = new[*code as usize];
            }
        };
        self.maps.iter_mut().for_each(|map| map.fields.iter_mut().for_each(renumber));
        self.shapes.items.iter_mut().for_each(|shape| shape.iter_mut().for_each(renumber));
        self.shapes.codes = self.shapes.items.iter().cloned().zip(0..).collect();
    }

    /// Every field, by code.
    pub fn fields(&self) -> &[Field] {
        &self.fields.items
    }

    /// The fields of the rows of this class, in order.
    pub fn shape_of(&self, class: u32) -> &[u32] {
        &self.shapes.items[self.classes.items[class as usize].shape as usize]
    }

    /// A field by code.
    pub fn field_at(&self, code: u32) -> &Field {
        &self.fields.items[code as usize]
    }

    /// A class by code.
    pub fn class_at(&self, code: u32) -> &Class {
        &self.classes.items[code as usize]
    }

    /// Every class, by code.
    pub fn classes(&self) -> &[Class] {
        &self.classes.items
    }

    /// The text of a string code; empty for [`NONE`].
    pub fn text(&self, code: u32) -> &str {
        self.strings.items.get(code as usize).map_or("", |text| text)
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

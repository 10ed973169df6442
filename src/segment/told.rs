//! Values that classes tell.
//!
//! Much of what a row says follows from its class: a route has one method, a client call one server. Where all
//! rows of a class have the same value of a field, the value stands once, beside the class, and the rows have
//! none in the field's column. A class *tells* the field then.
//!
//! ```text
//! class 7: GET /cart of frontend          http.request.method  server.address  user.id
//!                         told            "GET"                "cart-1"        (in the column)
//! ```
//! Classes of few rows tell nothing: what is equal in them is so by chance. Only fields of spans are told, and
//! only those that a class has once.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use crate::bytes::{Reader, Writer};
use crate::column::{Schema, Table};
use crate::encoding::{decode_integers, encode_integers_best};
use crate::error::{Result, ensure};

/// Rows a class has at least to tell a value.
pub const TOLD_ROWS_MIN: u64 = 8;

/// The values that classes tell of one field, by rising class. A number as it is; of byte strings the code in the
/// field's dictionary.
pub type ToldValues = Vec<(u32, u64)>;

/// What classes of a segment tell, by field and by class.
#[derive(Debug, Default)]
pub struct Told {
    fields: Vec<ToldField>,
    /// Where the places of each class begin in `places`; empty if nothing is told.
    firsts: Vec<u32>,
    /// For each place of the shape of each class one more than the index of its value, or 0.
    places: Vec<u32>,
    values: Vec<u64>,
    groups: Vec<ClassGroup>,
    group_of_class: Vec<u32>,
}

/// Classes whose rows have the same shape and the same of its fields in columns.
#[derive(Debug)]
pub struct ClassGroup {
    /// The shape.
    pub shape: u32,
    /// The fields whose values are in columns, as often as the shape has them.
    pub placed: Box<[u32]>,
}

#[derive(Debug, Default)]
struct ToldField {
    values: ToldValues,
    /// One more than the place in `values` by class, or 0; made when first asked for.
    by_class: OnceLock<Box<[u32]>>,
}

/// The section of what classes tell, by field. Fields of which nothing is told are left out.
pub fn encode_told(fields: &[ToldValues]) -> Vec<u8> {
    let mut out = Writer::new();
    out.varint(fields.iter().filter(|values| !values.is_empty()).count() as u64);
    let mut page = Vec::new();
    for (field, values) in fields.iter().enumerate().filter(|(_, values)| !values.is_empty()) {
        out.varint(field as u64);
        out.varint(values.len() as u64);
        let columns: [Vec<u64>; 2] =
            [values.iter().map(|(class, _)| u64::from(*class)).collect(), values.iter().map(|(_, v)| *v).collect()];
        for column in columns {
            page.clear();
            encode_integers_best(&column, &mut page);
            out.block(&page);
        }
    }
    out.into_vec()
}

impl Told {
    /// Reads the section; without one nothing is told.
    ///
    /// # Errors
    /// Corrupt if it names what the schema has not.
    pub fn read(section: Option<&[u8]>, schema: &Schema) -> Result<Self> {
        let mut out = Self::default();
        let Some(section) = section else {
            out.group(schema);
            return Ok(out);
        };
        out.fields.resize_with(schema.fields.len(), ToldField::default);
        out.find_places(schema);
        let mut reader = Reader::new(section);
        let mut next = 0;
        for _ in 0..reader.count(4, "told fields")? {
            let field = reader.varint("told field")?;
            let known = schema.fields.get(field as usize).filter(|known| known.table == Table::Span);
            ensure(known.is_some() && field >= next, || {
                format!("told field {field} is none of a span, or out of order")
            })?;
            next = field + 1;
            out.read_field(field as u32, &mut reader, schema)?;
        }
        reader.finish("told values")?;
        out.group(schema);
        Ok(out)
    }

    fn group(&mut self, schema: &Schema) {
        let mut known: FxHashMap<(u32, Box<[u32]>), u32> = FxHashMap::default();
        for (class, facts) in (0..).zip(&schema.classes) {
            let fields = schema.shape_of(class).iter().enumerate();
            let placed: Box<[u32]> =
                fields.filter(|(place, _)| self.at(class, *place).is_none()).map(|(_, field)| *field).collect();
            let next = self.groups.len() as u32;
            let group = *known.entry((facts.shape, placed.clone())).or_insert(next);
            if group == next {
                self.groups.push(ClassGroup { shape: facts.shape, placed });
            }
            self.group_of_class.push(group);
        }
    }

    /// Classes whose rows have their values in the same columns.
    pub fn groups(&self) -> &[ClassGroup] {
        &self.groups
    }

    /// The place of a class's group among all; `None` for a class that is not there.
    #[inline]
    pub fn group_of(&self, class: u32) -> Option<u32> {
        self.group_of_class.get(class as usize).copied()
    }

    fn find_places(&mut self, schema: &Schema) {
        let mut end = 0u32;
        for class in 0..schema.classes.len() as u32 {
            self.firsts.push(end);
            end += schema.shape_of(class).len() as u32;
        }
        self.places = vec![0; end as usize];
    }

    fn read_field(&mut self, field: u32, reader: &mut Reader<'_>, schema: &Schema) -> Result<()> {
        let count = reader.varint("told values")?;
        ensure(count <= schema.classes.len() as u64, || format!("{count} classes tell field {field}"))?;
        let (mut classes, mut values) = (Vec::new(), Vec::new());
        decode_integers(reader.block("classes that tell")?, count as usize, &mut classes)?;
        decode_integers(reader.block("told values")?, count as usize, &mut values)?;
        let mut next = 0;
        for (class, value) in classes.into_iter().zip(values) {
            ensure(class >= next && class < schema.classes.len() as u64, || format!("class {class} tells nothing"))?;
            next = class + 1;
            let class = class as u32;
            let mut places = (0..).zip(schema.shape_of(class)).filter(|(_, other)| **other == field);
            let place = places.next().filter(|_| places.next().is_none()).map(|(place, _): (usize, _)| place);
            ensure(place.is_some(), || format!("class {class} has field {field} not once, and tells it"))?;
            self.values.push(value);
            self.places[self.firsts[class as usize] as usize + place.unwrap_or(0)] = self.values.len() as u32;
            self.fields[field as usize].values.push((class, value));
        }
        Ok(())
    }

    /// The value that a class tells of the field at this place of its shape.
    #[inline]
    pub fn at(&self, class: u32, place: usize) -> Option<u64> {
        let first = *self.firsts.get(class as usize)?;
        let index = self.places.get(first as usize + place)?.checked_sub(1)?;
        self.values.get(index as usize).copied()
    }

    /// What classes tell of a field.
    pub fn of_field(&self, field: u32) -> &[(u32, u64)] {
        self.fields.get(field as usize).map_or(&[], |field| &field.values)
    }

    /// For each class one more than the place in [`Told::of_field`] of the value that it tells of the field, 0 if it
    /// tells none; `None` if no class tells the field.
    pub fn by_class(&self, field: u32) -> Option<&[u32]> {
        let field = self.fields.get(field as usize).filter(|field| !field.values.is_empty())?;
        Some(field.by_class.get_or_init(|| {
            let mut out = vec![0; self.firsts.len()];
            (1..).zip(&field.values).for_each(|(index, (class, _))| out[*class as usize] = index);
            out.into()
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::column::{Class, Field, ValueType};

    use super::*;

    /// Three fields of spans and one of events; class `c` has the fields of the bits of `c % 8`, field 0 twice if 8.
    fn schema() -> Schema {
        let field = |table, key| Field { table, internal: false, value_type: ValueType::Int, key };
        let fields = vec![field(Table::Span, 0), field(Table::Span, 1), field(Table::Span, 2), field(Table::Event, 0)];
        let mut schema = Schema { fields, ..Schema::default() };
        for code in 0..9u32 {
            let shape: Vec<u32> = if code == 8 { vec![0, 0] } else { (0..3).filter(|f| code >> f & 1 == 1).collect() };
            schema.shapes.push(shape.into());
            schema.classes.push(Class::plain(code, 0));
        }
        schema
    }

    proptest! {
        #[test]
        fn what_classes_tell_comes_back(values in prop::collection::btree_map((0..3u32, 0..8u32), any::<u64>(), 0..20)) {
            let schema = schema();
            let has = |field: u32, class: u32| class >> field & 1 == 1;
            let mut fields = vec![ToldValues::new(); 4];
            for ((field, class), value) in values.iter().filter(|((field, class), _)| has(*field, *class)) {
                fields[*field as usize].push((*class, *value));
            }
            let bytes = encode_told(&fields);
            let told = Told::read(Some(&bytes), &schema).unwrap();
            for field in 0..3u32 {
                prop_assert_eq!(told.of_field(field), &fields[field as usize][..]);
                for class in 0..9u32 {
                    let expected = values.get(&(field, class)).copied().filter(|_| has(field, class) && class < 8);
                    let place = schema.shape_of(class).iter().position(|other| *other == field);
                    prop_assert_eq!(place.and_then(|place| told.at(class, place)), expected);
                    let index = told.by_class(field).map_or(0, |indexes| indexes[class as usize]) as usize;
                    prop_assert_eq!(index.checked_sub(1).map(|i| told.of_field(field)[i].1), expected);
                }
            }
            for end in 0..bytes.len() {
                prop_assert!(Told::read(Some(&bytes[..end]), &schema).is_err());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(told) = Told::read(Some(&bytes), &schema()) {
                (0..12).for_each(|class| { told.at(class, 1); });
            }
        }
    }

    #[test]
    fn a_field_that_a_class_has_twice_or_not_or_of_events_is_not_told() {
        for (field, class) in [(0, 8), (1, 1), (3, 1), (0, 9)] {
            let mut fields = vec![ToldValues::new(); 4];
            fields[field].push((class, 5));
            assert!(Told::read(Some(&encode_told(&fields)), &schema()).is_err(), "{field} {class}");
        }
    }

    #[test]
    fn the_bytes_are_these() {
        let fields = [vec![(1, 5), (3, 5), (5, 6)], Vec::new(), vec![(4, 9)]];
        let hex = encode_told(&fields).iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex, "020003040601010204030105040201020104020109");
    }
}

//! What the classes of the output tell: what they tell in every input that has rows of them.

use crate::column::{RowSource, Table};
use crate::error::Result;

use super::super::told::ToldValues;
use super::super::unite::United;
use super::input::Input;

/// What is known of one place of the shape of a class.
#[derive(Clone, Copy)]
enum Place {
    Unknown,
    /// All rows so far have this value of this input.
    Same(u32, u64),
    Varied,
}

/// A value of an input that a class of the output tells.
#[derive(Clone, Copy, Debug)]
pub struct ToldOf {
    /// The class of the output.
    pub class: u32,
    /// An input whose class tells the value.
    pub input: usize,
    /// The value as it is there.
    pub value: u64,
}

/// What classes of the output tell, by field and rising class.
pub struct MergedTold {
    fields: Vec<Vec<ToldOf>>,
}

impl MergedTold {
    /// Of fields below `own_end`, those with a column of their own.
    ///
    /// # Errors
    /// Corrupt if an input tells a text it does not have.
    pub fn of(inputs: &[Input<'_>], united: &United<'_>, own_end: usize) -> Result<Self> {
        let mut classes: Vec<Vec<Place>> = vec![Vec::new(); united.classes().len()];
        for (at, input) in inputs.iter().enumerate() {
            for local in 0..input.source.schema().classes.len() as u32 {
                let Some(class) = united.known_class(at, local) else { continue };
                let shape = united.shape_of(class);
                let places = &mut classes[class as usize];
                places.resize(shape.len(), Place::Unknown);
                for (place, known) in places.iter_mut().enumerate() {
                    let value = input.source.tables.told.at(local, place);
                    *known = match (*known, value) {
                        (_, None) | (Place::Varied, _) => Place::Varied,
                        (Place::Unknown, Some(value)) => Place::Same(at as u32, value),
                        (Place::Same(first, one), Some(two)) => {
                            let field = input.source.schema().shape_of(local)[place];
                            let same = is_same(united, (inputs, first as usize, one), (at, field, two), shape[place])?;
                            if same { *known } else { Place::Varied }
                        }
                    };
                }
            }
        }
        let mut fields = vec![Vec::new(); own_end];
        for (class, places) in (0..).zip(&classes) {
            for (field, place) in united.shape_of(class).iter().zip(places) {
                let (Place::Same(input, value), Some(told)) = (place, fields.get_mut(*field as usize)) else {
                    continue;
                };
                if united.field_at(*field).table == Table::Span {
                    told.push(ToldOf { class, input: *input as usize, value: *value });
                }
            }
        }
        Ok(Self { fields })
    }

    /// What is told of a field, by rising class.
    pub fn of_field(&self, field: u32) -> &[ToldOf] {
        self.fields.get(field as usize).map_or(&[], Vec::as_slice)
    }

    /// True if a class tells the field.
    pub fn tells(&self, class: u32, field: u32) -> bool {
        self.of_field(field).binary_search_by_key(&class, |told| told.class).is_ok()
    }

    /// Numbers as the section of the output has them.
    pub fn numbers(&self, field: u32) -> ToldValues {
        self.of_field(field).iter().map(|told| (told.class, told.value)).collect()
    }
}

/// True if a value of one input, of the field that has this code in the output, is that of another.
fn is_same(
    united: &United<'_>,
    (inputs, first, one): (&[Input<'_>], usize, u64),
    (second, second_field, two): (usize, u32, u64),
    field: u32,
) -> Result<bool> {
    if !united.field_at(field).value_type.is_bytes() {
        return Ok(one == two);
    }
    let schema = inputs[first].source.schema();
    let local = (0..schema.fields.len() as u32).find(|local| united.known_field(first, *local) == Some(field));
    let Some(local) = local else { return Ok(false) };
    Ok(inputs[first].segment.told_text(local, one)? == inputs[second].segment.told_text(second_field, two)?)
}

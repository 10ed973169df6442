//! Fields, shapes and classes as bytes, in log records and segments alike.
//!
//! ```text
//! field  table u8, internal u8, type u8, key varint
//! shape  length varint, field codes (varints)
//! class  shape, name, service, remote, scope, kind, status, flags, bits: nine varints; string and scope
//!        codes one up with 0 for none, kind and status zigzag
//! ```

use crate::bytes::{Reader, Writer, zigzag_decode, zigzag_encode};
use crate::error::{Error, Result, ensure};
use crate::model::{SpanKind, StatusCode};

use super::schema::{Class, ClassBits, Field, NONE, Schema, Table, ValueType};

/// Appends the entries of a schema from these counts on: fields, shapes, classes.
pub fn encode_schema(schema: &Schema, from: [usize; 3], out: &mut Writer) {
    for field in &schema.fields[from[0]..] {
        out.u8(field.table as u8);
        out.u8(u8::from(field.internal));
        out.u8(field.value_type as u8);
        out.varint(field.key.into());
    }
    for shape in &schema.shapes[from[1]..] {
        out.varint(shape.len() as u64);
        shape.iter().for_each(|field| out.varint((*field).into()));
    }
    schema.classes[from[2]..].iter().for_each(|class| put_class(class, out));
}

/// Reads this many more fields, shapes and classes. What they point to is for [`Schema::validate`].
///
/// # Errors
/// Corrupt if the bytes are not what [`encode_schema`] writes.
pub fn decode_schema(schema: &mut Schema, gained: [usize; 3], reader: &mut Reader<'_>) -> Result<()> {
    let [fields, shapes, classes] = gained;
    for count in gained {
        ensure(count <= reader.remaining(), || format!("{count} schema entries exceed the bytes"))?;
    }
    for _ in 0..fields {
        schema.fields.push(Field {
            table: Table::from_code(reader.u8("field table")?)?,
            internal: reader.u8("field space")? != 0,
            value_type: ValueType::from_code(reader.u8("field type")?)?,
            key: read_u32(reader, "field key")?,
        });
    }
    for _ in 0..shapes {
        let len = reader.count(1, "shape")?;
        let shape = (0..len).map(|_| read_u32(reader, "shape field")).collect::<Result<Vec<_>>>()?;
        schema.shapes.push(shape.into_boxed_slice());
    }
    for _ in 0..classes {
        schema.classes.push(read_class(reader)?);
    }
    Ok(())
}

fn put_class(class: &Class, out: &mut Writer) {
    out.varint(class.shape.into());
    out.varint(optional(class.name));
    out.varint(optional(class.service));
    out.varint(optional(class.remote));
    out.varint(optional(class.scope));
    out.varint(zigzag_encode(class.kind.0.into()));
    out.varint(zigzag_encode(class.status.0.into()));
    out.varint(class.flags.into());
    out.varint(class.bits.0.into());
}

fn read_class(reader: &mut Reader<'_>) -> Result<Class> {
    Ok(Class {
        shape: read_u32(reader, "class shape")?,
        name: read_optional(reader, "class name")?,
        service: read_optional(reader, "class service")?,
        remote: read_optional(reader, "class remote service")?,
        scope: read_optional(reader, "class scope")?,
        kind: SpanKind(zigzag_decode(reader.varint("class kind")?) as i32),
        status: StatusCode(zigzag_decode(reader.varint("class status")?) as i32),
        flags: read_u32(reader, "class flags")?,
        bits: ClassBits(read_u32(reader, "class bits")?),
    })
}

/// [`NONE`] as 0, everything else one up.
pub fn optional(code: u32) -> u64 {
    if code == NONE { 0 } else { u64::from(code) + 1 }
}

/// Undoes [`optional`].
///
/// # Errors
/// Corrupt if the number does not fit.
pub fn read_optional(reader: &mut Reader<'_>, what: &str) -> Result<u32> {
    match reader.varint(what)? {
        0 => Ok(NONE),
        code => u32::try_from(code - 1).map_err(|_| Error::corrupt(format!("{what} {code} does not fit"))),
    }
}

fn read_u32(reader: &mut Reader<'_>, what: &str) -> Result<u32> {
    let value = reader.varint(what)?;
    u32::try_from(value).map_err(|_| Error::corrupt(format!("{what} {value} does not fit 32 bits")))
}

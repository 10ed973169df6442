//! What the rows of every part have in common: classes, shapes, fields, and the encoded form of values.
//!
//! A *field* is one (table, key, value type). A *shape* is the ordered list of fields a row has. A *class*
//! is what a row shares with its like: service, scope, name, kind, status, flags, remote service and
//! shape. A row is then a class code, a resource code, ids, times, and one value per field of its shape.
//! Head chapters and segments use the same three tables, so a predicate is compiled against either alike.

mod identity;
mod row;
mod schema;
mod schema_bytes;
mod value;

pub use identity::{decode_resource, decode_scope, encode_endpoint, encode_resource, encode_scope};
pub use row::{RowSource, RowTimes, RowValues, materialize, materialize_event, materialize_link, materialize_outline};
pub use schema::{Class, ClassBits, Field, NONE, Schema, Table, ValueType, internal};
pub use schema_bytes::{decode_schema, encode_schema, optional, read_optional};
pub use value::{composite_word, decode_value, encode_value};

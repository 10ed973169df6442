//! Fields, shapes and classes.

use crate::error::{Error, Result, ensure};
use crate::model::{SpanKind, StatusCode, ValueRef};

/// "No string" in a [`Class`].
pub const NONE: u32 = u32::MAX;

/// Which kind of row a field, shape or class belongs to. Codes are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// One row a span.
    Span = 1,
    /// One row an event.
    Event = 2,
    /// One row a link.
    Link = 3,
}

/// The type of the values of a field. Codes are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ValueType {
    /// UTF-8 text.
    String = 1,
    /// 0 or 1.
    Bool = 2,
    /// A signed integer, its 64 bits as they are.
    Int = 3,
    /// A double, its 64 bits as they are.
    Double = 4,
    /// Raw bytes.
    Bytes = 5,
    /// An array or nested list, as [`super::encode_value`] writes it.
    Composite = 6,
    /// No value.
    Empty = 7,
}

impl ValueType {
    /// The type of this value.
    pub fn of<T>(value: &ValueRef<'_, T>) -> Self {
        match value {
            ValueRef::String(_) => Self::String,
            ValueRef::Bool(_) => Self::Bool,
            ValueRef::Int(_) => Self::Int,
            ValueRef::Double(_) => Self::Double,
            ValueRef::Bytes(_) => Self::Bytes,
            ValueRef::Composite(_) => Self::Composite,
            ValueRef::Empty => Self::Empty,
        }
    }

    /// The type of this code.
    ///
    /// # Errors
    /// Corrupt, naming the code, if there is none.
    pub fn from_code(code: u8) -> Result<Self> {
        [Self::String, Self::Bool, Self::Int, Self::Double, Self::Bytes, Self::Composite, Self::Empty]
            .into_iter()
            .find(|t| *t as u8 == code)
            .ok_or_else(|| Error::corrupt(format!("value type {code} is unknown")))
    }

    /// True if values are byte strings, false if they are numbers.
    pub fn is_bytes(self) -> bool {
        matches!(self, Self::String | Self::Bytes | Self::Composite)
    }

    /// OpenTelemetry's word for the type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::Composite => "composite",
            Self::Empty => "empty",
        }
    }
}

impl Table {
    /// The table of this code.
    ///
    /// # Errors
    /// Corrupt, naming the code, if there is none.
    pub fn from_code(code: u8) -> Result<Self> {
        [Self::Span, Self::Event, Self::Link]
            .into_iter()
            .find(|t| *t as u8 == code)
            .ok_or_else(|| Error::corrupt(format!("table {code} is unknown")))
    }
}

/// Keys of internal fields: rare parts of a record that are stored like attributes. Part of the format.
pub mod internal {
    /// W3C trace state (string).
    pub const TRACE_STATE: &str = "trace_state";
    /// Message of the status (string).
    pub const STATUS_MESSAGE: &str = "status_message";
    /// Count of dropped attributes (int).
    pub const DROPPED_ATTRIBUTES: &str = "dropped_attributes_count";
    /// Count of dropped events (int).
    pub const DROPPED_EVENTS: &str = "dropped_events_count";
    /// Count of dropped links (int).
    pub const DROPPED_LINKS: &str = "dropped_links_count";
    /// Zipkin's remote endpoint (bytes, as [`super::super::encode_endpoint`] writes it).
    pub const REMOTE_ENDPOINT: &str = "remote_endpoint";
    /// Flags of a link (int).
    pub const FLAGS: &str = "flags";
}

/// One (table, key, value type), a column of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Which rows have it.
    pub table: Table,
    /// True for a part of the record itself (see [`internal`]), false for an attribute.
    pub internal: bool,
    /// Type of its values.
    pub value_type: ValueType,
    /// The key, as a string code.
    pub key: u32,
}

/// Yes-or-no facts of a class. Part of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClassBits(pub u32);

impl ClassBits {
    /// The message carried a status.
    pub const STATUS: u32 = 1;
    /// The span came in as Zipkin.
    pub const ZIPKIN: u32 = 1 << 1;
    /// Zipkin's debug flag.
    pub const DEBUG: u32 = 1 << 2;
    /// Zipkin's shared flag.
    pub const SHARED: u32 = 1 << 3;
    /// The span has events.
    pub const EVENTS: u32 = 1 << 4;
    /// The span has links.
    pub const LINKS: u32 = 1 << 5;
    /// The link has a trace id.
    pub const LINK_TRACE: u32 = 1 << 6;
    /// The link has a span id.
    pub const LINK_SPAN: u32 = 1 << 7;
    /// The span has no start.
    pub const NO_START: u32 = 1 << 8;
    /// The span has no duration.
    pub const NO_DURATION: u32 = 1 << 9;
    /// Every bit that has a meaning.
    pub const ALL: u32 = (1 << 10) - 1;

    /// True if the bit is set.
    pub fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }
}

/// What a row shares with its like. Strings are codes of the part's string table, or [`NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class {
    /// Index of the shape.
    pub shape: u32,
    /// Name of the span or event.
    pub name: u32,
    /// Service that recorded the span.
    pub service: u32,
    /// Remote service.
    pub remote: u32,
    /// Index of the scope.
    pub scope: u32,
    /// The span's kind.
    pub kind: SpanKind,
    /// The effective status (see [`crate::Span::status_code`]).
    pub status: StatusCode,
    /// Flags of the span.
    pub flags: u32,
    /// Yes-or-no facts.
    pub bits: ClassBits,
}

impl Class {
    /// The class of an event or link of this shape and name.
    pub fn plain(shape: u32, name: u32) -> Self {
        Self {
            shape,
            name,
            service: NONE,
            remote: NONE,
            scope: NONE,
            kind: SpanKind::UNSPECIFIED,
            status: StatusCode::UNSET,
            flags: 0,
            bits: ClassBits::default(),
        }
    }
}

/// The tables of a part that give its codes a meaning.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Columns by code.
    pub fields: Vec<Field>,
    /// Ordered field lists by code.
    pub shapes: Vec<Box<[u32]>>,
    /// Classes by code.
    pub classes: Vec<Class>,
}

impl Schema {
    /// The fields of the rows of this class, in order.
    pub fn shape_of(&self, class: u32) -> &[u32] {
        &self.shapes[self.classes[class as usize].shape as usize]
    }

    /// Checks the entries from these counts on against everything they point to.
    ///
    /// # Errors
    /// Corrupt, naming the entry, if a code points outside its table.
    pub fn validate(&self, from: [usize; 3], strings_count: usize, scopes_count: usize) -> Result<()> {
        let string = |code: u32| (code as usize) < strings_count;
        let optional = |code: u32| code == NONE || string(code);
        for (i, field) in self.fields.iter().enumerate().skip(from[0]) {
            ensure(string(field.key), || format!("field {i}: key {} is unknown", field.key))?;
        }
        for (i, shape) in self.shapes.iter().enumerate().skip(from[1]) {
            let first = shape.first().and_then(|f| self.fields.get(*f as usize)).map(|f| f.table);
            let same = shape.iter().all(|f| self.fields.get(*f as usize).map(|f| f.table) == first);
            ensure(shape.is_empty() || (same && first.is_some()), || format!("shape {i} mixes or misses fields"))?;
        }
        for (i, class) in self.classes.iter().enumerate().skip(from[2]) {
            let sound = (class.shape as usize) < self.shapes.len()
                && optional(class.name)
                && optional(class.service)
                && optional(class.remote)
                && (class.scope == NONE || (class.scope as usize) < scopes_count)
                && class.bits.0 & !ClassBits::ALL == 0;
            ensure(sound, || format!("class {i} points outside its tables"))?;
        }
        Ok(())
    }
}

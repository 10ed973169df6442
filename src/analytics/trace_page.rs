//! The rows of a page that say something of their traces, and what they say.

use crate::column::{ClassBits, NONE};
use crate::error::Result;
use crate::model::StatusCode;
use crate::query::{MatchPart, MatchedPage, TraceTable};

use super::grouper::Grouper;
use super::groups::Code;
use super::part_tables::UNKNOWN;
use super::trace_pieces::{OneTrace, Pieces};

/// What the classes of a part say.
pub struct ClassTables {
    /// Rows of these are looked at.
    pub wanted: Vec<bool>,
    errs: Vec<bool>,
    /// Rows of these have a duration.
    pub has_duration: Vec<bool>,
    /// The stage, or [`NONE`].
    stage: Vec<u32>,
    /// By class, the code of every key that it decides, or [`UNKNOWN`].
    codes: Vec<Code>,
    keys: usize,
    class_keys: usize,
}

impl ClassTables {
    /// What they say of errors, keys and these stages; without stages, of whole traces.
    pub fn new(index: usize, part: &MatchPart<'_>, stages: &[String], grouper: &mut Grouper) -> Self {
        let classes = part.classes();
        let errs: Vec<bool> = classes.iter().map(|class| class.status == StatusCode::ERROR).collect();
        let stage_of = |name: u32| stages.iter().position(|stage| part.tables().text(name) == stage);
        // Classes of events and links have no scope.
        let of_spans = classes.iter().map(|class| stage_of(class.name).filter(|_| class.scope != NONE));
        let stage: Vec<u32> = of_spans.map(|stage| stage.map_or(NONE, |stage| stage as u32)).collect();
        let mut wanted = grouper.classes_with_keys(index, part);
        for (class, wanted) in wanted.iter_mut().enumerate() {
            *wanted |= if stages.is_empty() { errs[class] } else { stage[class] != NONE };
        }
        let has_duration = classes.iter().map(|class| !class.bits.has(ClassBits::NO_DURATION)).collect();
        let (keys, class_keys) = grouper.keys_len();
        Self { wanted, errs, has_duration, stage, codes: vec![UNKNOWN; classes.len() * class_keys], keys, class_keys }
    }

    /// The code of a key that the class decides.
    fn code(&mut self, key: usize, class: u32, part: &MatchPart<'_>, grouper: &mut Grouper) -> Code {
        let known = &mut self.codes[class as usize * self.class_keys + key];
        if *known == UNKNOWN {
            *known = grouper.code_of_class(key, class, part);
        }
        *known
    }
}

/// Rows of a page that are looked at, and what is read of them.
#[derive(Default)]
pub struct PageRows {
    /// The rows, in the page.
    pub rows: Vec<u16>,
    /// Ordinal of the trace of each, where it has one.
    pub ordinals: Vec<u32>,
    /// Number of the trace of each, as it was given.
    pub traces: Vec<u32>,
    classes: Vec<u32>,
    /// Start and length of each, if it is of a stage.
    pub times: Vec<(u64, u64)>,
    /// By attribute and row of the page.
    codes: Vec<Vec<Code>>,
    staged: Vec<u16>,
    staged_ordinals: Vec<u32>,
    staged_times: Vec<(u64, u64)>,
}

impl PageRows {
    /// Forgets the rows for those of another page.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.ordinals.clear();
        self.traces.clear();
        self.times.clear();
    }

    /// Adds a row of the trace of this ordinal and number.
    pub fn push(&mut self, row: u16, ordinal: u32, trace: u32) {
        self.rows.push(row);
        self.ordinals.push(ordinal);
        self.traces.push(trace);
    }

    /// Chooses the rows of wanted classes in the traces to which `trace_of` gives a number.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged.
    pub fn choose<'p>(
        &mut self,
        number: u32,
        page: &MatchedPage<'_>,
        tables: &ClassTables,
        traces: &mut TraceTable<'p>,
        trace_of: impl Fn(&TraceTable<'p>, u32) -> Option<u32>,
    ) -> Result<()> {
        self.clear();
        let rows = page.classes().iter().enumerate().filter(|(_, class)| tables.wanted[**class as usize]);
        self.rows.extend(rows.map(|(row, _)| row as u16));
        traces.ordinals_of(number, self.rows.iter().map(|row| usize::from(*row)), &mut self.ordinals)?;
        let (mut kept, mut last) = (0, (None, None));
        for at in 0..self.rows.len() {
            let ordinal = self.ordinals[at];
            if last.0 != Some(ordinal) {
                last = (Some(ordinal), trace_of(traces, ordinal));
            }
            if let Some(trace) = last.1 {
                (self.rows[kept], self.ordinals[kept]) = (self.rows[at], ordinal);
                self.traces.push(trace);
                kept += 1;
            }
        }
        self.rows.truncate(kept);
        self.ordinals.truncate(kept);
        Ok(())
    }

    /// Reads what is needed of the chosen rows; times, if they are read here, from the trace table.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    #[expect(clippy::too_many_arguments, reason = "a page, where it lies, and what gives it a meaning")]
    pub fn read(
        &mut self,
        index: usize,
        number: u32,
        part: &MatchPart<'_>,
        page: &MatchedPage<'_>,
        tables: &ClassTables,
        traces: Option<&mut TraceTable<'_>>,
        grouper: &mut Grouper,
    ) -> Result<()> {
        let class_of = |row: &u16| page.classes()[usize::from(*row)];
        self.classes.clear();
        self.classes.extend(self.rows.iter().map(class_of));
        self.codes.clear();
        if self.rows.is_empty() {
            return Ok(());
        }
        if tables.keys > tables.class_keys {
            grouper.attribute_codes(index, part, page, &self.rows, &mut self.codes)?;
        }
        let Some(traces) = traces else { return Ok(()) };
        self.staged.clear();
        self.staged_ordinals.clear();
        for (at, class) in self.classes.iter().enumerate() {
            if tables.stage[*class as usize] != NONE {
                self.staged.push(self.rows[at]);
                self.staged_ordinals.push(self.ordinals[at]);
            }
        }
        self.times.clear();
        if self.staged.is_empty() {
            return Ok(());
        }
        traces.times(number, &self.staged, &self.staged_ordinals, &mut self.staged_times)?;
        let mut read = self.staged_times.iter().copied();
        let is_staged = |class: &u32| tables.stage[*class as usize] != NONE;
        let times = self.classes.iter().map(|class| if is_staged(class) { read.next() } else { None });
        self.times.extend(times.map(Option::unwrap_or_default));
        Ok(())
    }

    /// Stage, times and error of a row, if it is of a stage.
    fn stage(&self, at: usize, tables: &ClassTables) -> Option<(u32, (u64, u64))> {
        let class = self.classes[at] as usize;
        let stage = tables.stage[class];
        let (start, length) = if stage == NONE { return None } else { self.times.get(at).copied()? };
        Some((stage, (start, if tables.has_duration[class] { length } else { 0 })))
    }

    /// Calls `add` with every key and its code on a row.
    fn each_code(
        &self,
        at: usize,
        part: &MatchPart<'_>,
        tables: &mut ClassTables,
        grouper: &mut Grouper,
        mut add: impl FnMut(usize, Code),
    ) {
        for key in 0..tables.class_keys {
            add(key, tables.code(key, self.classes[at], part, grouper));
        }
        for (key, codes) in self.codes.iter().enumerate() {
            add(tables.class_keys + key, codes[usize::from(self.rows[at])]);
        }
    }

    /// Adds what a row says to its trace.
    pub fn add_to_one(
        &self,
        at: usize,
        part: &MatchPart<'_>,
        tables: &mut ClassTables,
        one: &mut OneTrace,
        grouper: &mut Grouper,
    ) {
        let error = tables.errs[self.classes[at] as usize];
        one.error |= error;
        if let Some((stage, (start, duration))) = self.stage(at, tables) {
            one.stages[stage as usize].add(start, duration, error);
        }
        self.each_code(at, part, tables, grouper, |key, code| one.add_code(key, code));
    }

    /// Adds what a row says to the trace of this number, of which it is a piece.
    pub fn add_to_piece(
        &self,
        at: usize,
        trace: u32,
        part: &MatchPart<'_>,
        tables: &mut ClassTables,
        pieces: &mut Pieces,
        grouper: &mut Grouper,
    ) {
        let error = tables.errs[self.classes[at] as usize];
        pieces.add(trace, 0, 0, error);
        if let Some((stage, times)) = self.stage(at, tables) {
            pieces.add_to_stage(trace, stage, times, error);
        }
        self.each_code(at, part, tables, grouper, |key, code| pieces.add_code(trace, key, code));
    }
}

//! Pieces of traces as the spans that are linked, from any part in any order.

use crate::catalog::Snapshot;
use crate::error::Result;
use crate::head::{FrozenChapter, trace_id_of};
use crate::index::links::{LinkCodes, LinkNames, LinkSpan, RowFacts};
use crate::limits::Limits;
use crate::part::ReadCounter;
use crate::segment::{LinkRows, LinkTarget, LinkTargets};

use super::loose::Piece;

/// What reads the rows of each part in any order, opened when it is first needed.
enum Reader<'s> {
    Closed,
    Sealed(Box<LinkRows<'s>>),
    Head(LinkCodes),
}

/// Reads pieces of traces from all parts.
pub struct Readers<'s> {
    /// The snapshot whose parts are read.
    pub snapshot: &'s Snapshot,
    /// How much of a trace may be held.
    pub limits: &'s Limits,
    /// What is read is counted here.
    pub counter: &'s ReadCounter,
    open: Vec<Reader<'s>>,
}

impl<'s> Readers<'s> {
    /// Readers of which none is open yet.
    pub fn new(snapshot: &'s Snapshot, limits: &'s Limits, counter: &'s ReadCounter) -> Self {
        let parts = snapshot.segments.len() + snapshot.chapters.len();
        Self { snapshot, limits, counter, open: (0..parts).map(|_| Reader::Closed).collect() }
    }

    fn chapter(&self, piece: Piece) -> Option<&'s FrozenChapter> {
        let at = (piece.part as usize).checked_sub(self.snapshot.segments.len())?;
        self.snapshot.chapters.get(at).map(|chapter| &**chapter)
    }

    /// True if records of the trace may be there twice.
    pub fn is_doubled(&self, pieces: &[Piece]) -> bool {
        let part = |piece: &Piece| self.snapshot.segments.get(piece.part as usize);
        pieces.iter().any(|piece| part(piece).is_some_and(|part| part.doubled.contains(piece.at)))
    }

    /// Adds the spans of a piece.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged, TooLarge if there are too many spans.
    pub fn add(&mut self, piece: Piece, names: &mut LinkNames, out: &mut Vec<LinkSpan>) -> Result<()> {
        let (snapshot, chapter) = (self.snapshot, self.chapter(piece));
        let reader = &mut self.open[piece.part as usize];
        if matches!(reader, Reader::Closed) {
            *reader = match chapter {
                Some(chapter) => {
                    Reader::Head(LinkCodes::new(&**chapter, chapter.resources.iter().map(|r| &*r.resource), names))
                }
                None => {
                    let segment = &*snapshot.segments[piece.part as usize].segment;
                    let rows = LinkRows::new(segment, names, false, self.counter)?;
                    Reader::Sealed(Box::new(rows.limited(self.limits.trace_bytes_max)))
                }
            };
        }
        match (reader, chapter) {
            (Reader::Sealed(rows), _) => rows.add_trace(piece.at, out),
            (Reader::Head(codes), Some(chapter)) => {
                let row = &chapter.rows[piece.at as usize];
                out.push(codes.span(&RowFacts {
                    class: row.class,
                    resource: row.resource,
                    trace_high: trace_id_of(row).high(),
                    span_id: row.span_id,
                    parent: row.parent,
                    start: row.start,
                    length: row.end.wrapping_sub(row.start),
                    place: piece.at,
                })?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Calls `visit` with every link that the spans of a piece carry.
    ///
    /// # Errors
    /// As [`Readers::add`].
    pub fn targets_of(
        &self,
        piece: Piece,
        spans: &[LinkSpan],
        mut visit: impl FnMut(&LinkSpan, LinkTarget),
    ) -> Result<()> {
        let Some(chapter) = self.chapter(piece) else {
            let segment = &*self.snapshot.segments[piece.part as usize].segment;
            let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Ok(()) };
            let mut targets = LinkTargets::from_row(segment, first.place, self.counter)?;
            return targets.until(last.place + 1, |row, target| visit(&spans[(row - first.place) as usize], target));
        };
        if let (false, Some(span)) = (chapter.links.is_empty(), spans.first()) {
            for link in chapter.links_of(piece.at) {
                let (trace, span_id) = (u128::from_be_bytes(link.trace_id), u64::from_be_bytes(link.span_id));
                visit(span, LinkTarget { trace_low: trace as u64, span_id, trace_high: (trace >> 64) as u64 });
            }
        }
        Ok(())
    }

    /// Adds all records of the traces whose ids have this lower half.
    ///
    /// # Errors
    /// As [`Readers::add`].
    pub fn add_all(&mut self, low: u64, names: &mut LinkNames, out: &mut Vec<LinkSpan>) -> Result<()> {
        let snapshot = self.snapshot;
        for (part, sealed) in (0u32..).zip(&snapshot.segments) {
            for at in sealed.segment.ordinals_of_low(low, self.counter)? {
                if !sealed.deleted.contains(at) {
                    self.add(Piece { low, part, at }, names, out)?;
                }
            }
        }
        for (part, chapter) in (snapshot.segments.len() as u32..).zip(&snapshot.chapters) {
            for at in chapter.rows_of_low(low) {
                self.add(Piece { low, part, at }, names, out)?;
            }
        }
        Ok(())
    }
}

//! Links along the rows of a segment, for traces whose tree is what their rows' depths say.
//!
//! ```text
//! row    0 1 2 3 4          depth 0 1 2 2 1          caller of row 3: the nearest remote row above it, kept a depth
//! ```
//! That holds for a trace with one topmost row, no span id twice and no shared span, whose topmost row is in no
//! cycle: nearly all. The others are *odd* and linked by [`super::Linker`]; the answer is the same. Rows are looked at once.

use crate::column::{Class, ClassBits, NONE};
use crate::model::{SpanKind, StatusCode};

use super::linker::LinkKind;

/// What the rows of a class say, in the string codes of its part.
#[derive(Clone, Copy, Debug)]
pub struct LinkClass {
    /// Service that recorded them, or [`NONE`].
    pub service: u32,
    /// Their remote service, or [`NONE`].
    pub remote: u32,
    role: Role,
    /// True if a client span above does not leave the call to them.
    is_internal: bool,
    /// True if they are shared, so that depths do not tell.
    pub is_shared: bool,
    /// True if they failed.
    pub error: bool,
    /// True if they have a duration.
    pub has_duration: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Client,
    /// A client in name: nobody's caller, and nobody speaks for it.
    Unsaid,
    Producer,
    Consumer,
    None,
}

impl LinkClass {
    /// Of a class.
    pub fn of(class: &Class) -> Self {
        let role = match class.kind {
            SpanKind::SERVER => Role::Server,
            SpanKind::CLIENT => Role::Client,
            SpanKind::PRODUCER => Role::Producer,
            SpanKind::CONSUMER => Role::Consumer,
            _ if class.service != NONE && class.remote != NONE => Role::Unsaid,
            _ => Role::None,
        };
        Self {
            service: class.service,
            remote: class.remote,
            role,
            is_internal: class.kind == SpanKind::INTERNAL,
            is_shared: class.bits.has(ClassBits::SHARED),
            error: class.status == StatusCode::ERROR,
            has_duration: !class.bits.has(ClassBits::NO_DURATION),
        }
    }

    fn is_remote(&self) -> bool {
        !matches!(self.role, Role::Unsaid | Role::None)
    }
}

/// A link that a row yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLink {
    /// String code of the parent's name.
    pub parent: u32,
    /// String code of the child's name.
    pub child: u32,
    /// Call or messaging.
    pub kind: LinkKind,
    /// True if it failed.
    pub error: bool,
    /// True if the row only gave rise to it.
    pub backfilled: bool,
}

/// The nearest remote row at a depth or above it.
#[derive(Clone, Copy, Debug)]
struct Caller {
    service: u32,
    depth: u32,
    /// True if it is a client that failed.
    failed: bool,
}

const NOBODY: Caller = Caller { service: NONE, depth: u32::MAX, failed: false };

/// Links trace after trace.
#[derive(Debug, Default)]
pub struct RowLinker {
    callers: Vec<Caller>,
}

impl RowLinker {
    /// Calls `found` with place and link of every link of a trace with rows of these classes and depths, which is
    /// not odd.
    #[inline]
    pub fn link<C: Copy + Into<u64>, D: Copy + Into<u64>>(
        &mut self,
        table: &[LinkClass],
        classes: &[C],
        depths: &[D],
        mut found: impl FnMut(usize, RowLink),
    ) {
        let rows = classes.len().min(depths.len());
        for at in 0..rows {
            let (depth, code) = (depths[at].into() as usize, classes[at].into() as usize);
            let Some(class) = table.get(code) else { continue };
            let above = match depth.checked_sub(1) {
                Some(above) => self.callers.get(above).copied().unwrap_or(NOBODY),
                None => NOBODY,
            };
            let own = if class.is_remote() {
                let failed = class.error && class.role == Role::Client;
                Caller { service: class.service, depth: depth as u32, failed }
            } else {
                above
            };
            if self.callers.len() <= depth {
                self.callers.resize(depth + 1, NOBODY);
            }
            self.callers[depth] = own;
            if class.role == Role::None {
                continue;
            }
            let (service, remote, mut error) = (class.service, class.remote, class.error);
            let is_client = matches!(class.role, Role::Client | Role::Unsaid);
            let (mut parent, child, kind) = match class.role {
                Role::Server => (remote, service, LinkKind::Call),
                Role::Producer => (service, remote, LinkKind::Messaging),
                Role::Consumer => (remote, service, LinkKind::Messaging),
                _ => {
                    let below = at + 1..rows;
                    if class.role == Role::Client && speaks_below(table, classes, depths, below, depth) {
                        continue;
                    }
                    (service, remote, LinkKind::Call)
                }
            };
            if kind == LinkKind::Call && above.service != NONE {
                if is_client && service != NONE && above.service != service {
                    let backfilled = (above.service, service);
                    let (parent, child) = backfilled;
                    found(at, RowLink { parent, child, kind, error: false, backfilled: true });
                }
                if !is_client || parent == NONE {
                    parent = above.service;
                }
                error |= above.failed && above.depth as usize + 1 == depth;
            }
            if parent != NONE && child != NONE {
                found(at, RowLink { parent, child, kind, error, backfilled: false });
            }
        }
    }
}

/// True if a row below one of this depth, which `below` follow, is not internal.
#[inline]
fn speaks_below<C: Copy + Into<u64>, D: Copy + Into<u64>>(
    table: &[LinkClass],
    classes: &[C],
    depths: &[D],
    below: std::ops::Range<usize>,
    depth: usize,
) -> bool {
    for at in below {
        if depths[at].into() as usize <= depth {
            return false;
        }
        if !table.get(classes[at].into() as usize).is_some_and(|class| class.is_internal) {
            return true;
        }
    }
    false
}

/// True if no id is there twice.
pub fn are_distinct(ids: &[u64], scratch: &mut Vec<u64>) -> bool {
    /// Ids up to which comparing all with all is fastest.
    const FEW: usize = 24;
    if ids.len() <= FEW {
        return ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id));
    }
    scratch.clear();
    scratch.extend_from_slice(ids);
    scratch.sort_unstable();
    scratch.windows(2).all(|pair| pair[0] != pair[1])
}

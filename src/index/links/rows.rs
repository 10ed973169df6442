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
    children: Children,
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
        self.children.known = false;
        for at in 0..classes.len().min(depths.len()) {
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
                    if class.role == Role::Client && self.children.speak(table, classes, depths, at) {
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

/// Whether rows have a child that is not internal, found from the back once the first row whose next one does not tell
/// asks.
#[derive(Debug, Default)]
struct Children {
    known: bool,
    speak: Vec<bool>,
    /// By depth, whether a row of it that is not internal waits for the row it belongs to.
    waiting: Vec<bool>,
}

impl Children {
    #[inline]
    fn speak<C: Copy + Into<u64>, D: Copy + Into<u64>>(
        &mut self,
        table: &[LinkClass],
        classes: &[C],
        depths: &[D],
        at: usize,
    ) -> bool {
        let is_internal = |class: C| table.get(class.into() as usize).is_some_and(|class| class.is_internal);
        match (depths.get(at + 1), classes.get(at + 1)) {
            (Some(next), Some(class)) if (*next).into() > depths[at].into() => {
                if !is_internal(*class) {
                    return true;
                }
            }
            _ => return false,
        }
        if !self.known {
            self.known = true;
            self.waiting.clear();
            self.speak.clear();
            self.speak.resize(classes.len().min(depths.len()), false);
            for row in (0..self.speak.len()).rev() {
                let depth = depths[row].into() as usize;
                if self.waiting.len() < depth + 2 {
                    self.waiting.resize(depth + 2, false);
                }
                self.speak[row] = std::mem::take(&mut self.waiting[depth + 1]);
                self.waiting[depth] |= !is_internal(classes[row]);
            }
        }
        self.speak[at]
    }
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

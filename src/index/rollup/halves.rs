//! The two halves of each service: its spans that are errors, and the others.
//!
//! Whoever asks for the errors of services needs no group: a step of time has a few cells by half where it has hundreds
//! by group. Halves are numbered in the order in which the groups of the rollup first name them.

use rustc_hash::FxHashMap;

use super::group::GroupCodes;
use crate::model::StatusCode;

/// Which half each group of a rollup belongs to.
#[derive(Clone, Debug, Default)]
pub struct ServiceHalves {
    /// By group.
    pub of_group: Vec<u32>,
    /// The first group of each half.
    pub firsts: Vec<GroupCodes>,
}

impl ServiceHalves {
    /// The halves of these groups, in their order.
    pub fn of(groups: impl Iterator<Item = GroupCodes>) -> Self {
        let (mut out, mut known) = (Self::default(), FxHashMap::default());
        for group in groups {
            let half = (group.service, group.status == StatusCode::ERROR);
            out.of_group.push(*known.entry(half).or_insert_with(|| {
                out.firsts.push(group);
                out.firsts.len() as u32 - 1
            }));
        }
        out
    }
}

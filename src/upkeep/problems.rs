//! Damage met on the way to an answer, which goes on without what it hides.

use crate::error::{ErrorKind, Result};

/// Problems that are told; of more it is said that there are.
const PROBLEMS_MAX: usize = 100;

/// What is missing from an answer and why, each problem once.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// The value, or a problem if damage hides it.
    ///
    /// # Errors
    /// Every other one.
    pub fn take<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.push(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Notes a problem.
    pub fn push(&mut self, problem: String) {
        if self.0.len() < PROBLEMS_MAX && !self.0.contains(&problem) {
            self.0.push(problem);
        } else if self.0.len() == PROBLEMS_MAX {
            self.0.push("and more".to_owned());
        }
    }

    /// All of them, in the order they were met.
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

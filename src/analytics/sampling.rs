//! With which probability a span was kept, as its trace state says.
//!
//! OpenTelemetry's consistent probability sampling gives every trace a random number R of 56 bits and keeps a span
//! if R is not below its *rejection threshold* T. The span carries T in the entry `ot` of its W3C trace state:
//!
//! ```text
//! rojo=00f0, ot=th:c;rv:9b8233f7e3a151     th:c = 0xc0000000000000 = 3/4 of 2^56 are rejected
//!                                          p = 1 - T / 2^56 = 1/4, and the span stands for 1/p = 4
//! ```
//! Source: OpenTelemetry specification, "TraceState Handling", sub-key `th`. A span without a threshold that can be
//! read stands for itself.

/// Digits of a whole threshold; a shorter one continues with zeros.
const DIGITS: usize = 14;
/// All values of R.
const RANGE: u64 = 1 << 56;

/// A rejection threshold: of 2^56 random numbers, so many lead to no span. The smaller, the surer a span was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Threshold(u64);

impl Threshold {
    /// The threshold that a trace state carries, if it carries one.
    pub fn in_trace_state(state: &[u8]) -> Option<Self> {
        let ot = state.split(|byte| *byte == b',').find_map(|member| trim(member).strip_prefix(b"ot="))?;
        let digits = ot.split(|byte| *byte == b';').find_map(|pair| pair.strip_prefix(b"th:"))?;
        Self::of_digits(digits)
    }

    fn of_digits(digits: &[u8]) -> Option<Self> {
        if digits.is_empty() || digits.len() > DIGITS {
            return None;
        }
        let value = digits.iter().try_fold(0, |value: u64, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(value << 4 | u64::from(digit))
        })?;
        Some(Self(value << (4 * (DIGITS - digits.len()))))
    }

    /// True if every span is kept.
    pub fn keeps_all(self) -> bool {
        self.0 == 0
    }

    /// How many spans a kept one stands for beside itself: 1/p - 1.
    pub fn unseen(self) -> f64 {
        self.0 as f64 / (RANGE - self.0) as f64
    }
}

/// Without the spaces and tabs that a list in a header may have around its members.
fn trim(member: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let first = member.iter().position(|byte| !blank(byte)).unwrap_or(member.len());
    let end = member.iter().rposition(|byte| !blank(byte)).map_or(first, |last| last + 1);
    &member[first..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unseen(state: &str) -> Option<f64> {
        Threshold::in_trace_state(state.as_bytes()).map(Threshold::unseen)
    }

    #[test]
    fn a_threshold_continues_with_zeros() {
        assert_eq!(unseen("ot=th:0"), Some(0.0));
        assert_eq!(unseen("ot=th:8"), Some(1.0));
        assert_eq!(unseen("ot=th:c"), Some(3.0));
        assert_eq!(unseen("ot=th:C0000000000000"), Some(3.0));
        assert!((unseen("ot=th:fd70a3d70a3d7").unwrap() - 99.0).abs() < 1e-9, "one of a hundred");
        assert_eq!(unseen("ot=th:ffffffffffffff"), Some((RANGE - 1) as f64));
    }

    #[test]
    fn the_entry_is_found_among_others() {
        for state in ["a=b,ot=th:8", "ot=rv:9b8233f7e3a151;th:8,a=b", "a=ot=th:0 ,\t ot=p:1;th:8 ,ot=th:c"] {
            assert_eq!(unseen(state), Some(1.0), "{state}");
        }
    }

    #[test]
    fn what_is_no_threshold_says_nothing() {
        let long = "ot=th:000000000000000";
        let states =
            ["", "th:8", "ot=", "ot=th", "ot=th:", "ot=th:g", "ot=th:0x8", "ot=th:+8", "ot=xth:8", "t@ot=th:8"];
        for state in states.into_iter().chain([long, "ot=th:8 ;rv:0", "OT=th:8", "ot=TH:8", "ot =th:8", "ot=th:é"]) {
            assert_eq!(unseen(state), None, "{state}");
        }
    }
}

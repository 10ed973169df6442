//! Sizes in words of the command line, and the limit they raise.

use clap::Args;
use tailspan::{Limits, Snapshot};

/// How much one trace may take.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct TraceBound {
    /// Memory one trace may take, as in 4GiB; 1GiB unless given
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES")]
    pub max_trace_bytes: Option<usize>,
}

impl TraceBound {
    /// The view under this bound.
    pub fn on(self, snapshot: Snapshot) -> Snapshot {
        let Some(bytes) = self.max_trace_bytes else { return snapshot };
        let mut limits = Limits::default();
        limits.trace_bytes_max = bytes;
        snapshot.with_limits(limits)
    }
}

/// Reads a size in bytes: a whole number and `KiB`, `MiB`, `GiB` (or `KB`, `MB`, `GB`, or nothing).
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let unit: usize = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(format!("'{text}' needs a unit of KiB MiB GiB, as in 256MiB")),
    };
    let number: usize = number.parse().map_err(|_| format!("'{text}' is not a size, as in 256MiB"))?;
    number.checked_mul(unit).ok_or_else(|| format!("'{text}' is more than this machine can address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(parse_bytes("256MiB"), Ok(256 << 20));
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("1GB"), Ok(1_000_000_000));
        for text in ["", "MiB", "1.5GiB", "1TiBx", "99999999999GiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}

//! Durations and times as people write them.
//!
//! A duration is a decimal and a unit, `250ms` or `1.5s`; it must be a whole number of nanoseconds, so
//! `0.5ns` is refused instead of rounded. A time is RFC 3339, an integer whose size tells its unit
//! (10 digits seconds, 13 milliseconds, 16 microseconds, 19 nanoseconds), `now`, or `-1h`: that long
//! before now.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Nanoseconds of each unit.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Reads a duration in nanoseconds.
///
/// # Errors
/// What is wrong, in a sentence: no unit, no number, finer than a nanosecond, too long for 64 bits.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let unit = if unit == "μs" { "us" } else { unit };
    let Some((_, unit_nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("'{text}' needs a number and a unit of ns us ms s m h d, as in 250ms or 1.5s"));
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(format!("'{text}' is not a decimal number and a unit, as in 250ms or 1.5s"));
    }
    let too_long = || format!("'{text}' is longer than 64 bits of nanoseconds hold (about 584 years)");
    let whole: u64 = whole.parse().map_err(|_| too_long())?;
    let whole = whole.checked_mul(*unit_nanos).ok_or_else(too_long)?;
    let fraction =
        fraction_nanos(fraction, *unit_nanos).ok_or_else(|| format!("'{text}' is finer than a nanosecond"))?;
    whole.checked_add(fraction).ok_or_else(too_long)
}

/// Reads the length of a step of time in nanoseconds, which is more than 0.
///
/// # Errors
/// As [`parse_duration`].
pub fn parse_step(text: &str) -> Result<u64, String> {
    match parse_duration(text)? {
        0 => Err("a step is longer than 0".to_owned()),
        step => Ok(step),
    }
}

/// `0.fraction` of a unit in whole nanoseconds, exactly; none if it is not whole.
fn fraction_nanos(fraction: &str, unit_nanos: u64) -> Option<u64> {
    let digits = fraction.trim_end_matches('0');
    // A day is 2^16 * 5^11 * 27 ns: a longer decimal fraction of it, or of a smaller unit, is never whole.
    if digits.len() > 16 {
        return None;
    }
    let scale = 10u128.pow(u32::try_from(digits.len()).ok()?);
    let scaled = digits.bytes().fold(0u128, |n, b| n * 10 + u128::from(b - b'0')) * u128::from(unit_nanos);
    (scaled % scale == 0).then(|| u64::try_from(scaled / scale).ok()).flatten()
}

/// Reads a time as nanoseconds since the epoch; `-1h` counts from the present.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn parse_time(text: &str) -> Result<u64, String> {
    parse_time_from(text, now_nanos())
}

fn parse_time_from(text: &str, now: u64) -> Result<u64, String> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(ago) = text.strip_prefix('-') {
        let ago = parse_duration(ago)?;
        return now.checked_sub(ago).ok_or_else(|| format!("'{text}' is before 1970"));
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return integer_time(text);
    }
    let time: Timestamp = text.parse().map_err(|_| {
        format!(
            "'{text}' is no time: use RFC 3339 (2026-01-31T12:00:00Z), an integer of 10, 13, 16 or 19 digits, or -1h"
        )
    })?;
    u64::try_from(time.as_nanosecond()).map_err(|_| format!("'{text}' is outside the years 1970 to 2554"))
}

/// Seconds, milliseconds, microseconds or nanoseconds, whichever puts the number near the present.
fn integer_time(text: &str) -> Result<u64, String> {
    let too_late = || format!("'{text}' is after the year 2554");
    let number: u64 = text.parse().map_err(|_| too_late())?;
    let unit = match text.trim_start_matches('0').len() {
        ..=11 => 1_000_000_000,
        12..=14 => 1_000_000,
        15..=17 => 1_000,
        _ => 1,
    };
    number.checked_mul(unit).ok_or_else(too_late)
}

/// The wall clock, in nanoseconds since the epoch.
pub fn now_nanos() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration for people: three significant digits and the unit that fits.
pub fn human_duration(nanos: u64) -> String {
    let (unit, unit_nanos) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => ("µs", 1e3),
        1_000_000..1_000_000_000 => ("ms", 1e6),
        1_000_000_000..60_000_000_000 => ("s", 1e9),
        _ => return human_long(nanos / 1_000_000_000),
    };
    let value = nanos as f64 / unit_nanos;
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

/// A minute or more, in its two largest units.
fn human_long(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, seconds / 3_600) {
        (0, 0) => format!("{minutes} min {:02} s", seconds % 60),
        (0, _) => format!("{hours} h {minutes:02} min"),
        _ => format!("{days} d {hours:02} h"),
    }
}

/// A time for people: UTC to the millisecond, as `2026-01-31 12:00:00.123`.
pub fn human_time(unix_nanos: u64) -> String {
    match Timestamp::from_nanosecond(i128::from(unix_nanos)) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
        Err(_) => unix_nanos.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_exact_to_the_nanosecond() {
        assert_eq!(parse_duration("250ms"), Ok(250_000_000));
        assert_eq!(parse_duration("1.5s"), Ok(1_500_000_000));
        assert_eq!(parse_duration("0.1us"), Ok(100));
        assert_eq!(parse_duration("1.000000001s"), Ok(1_000_000_001));
        assert_eq!(parse_duration("2µs"), Ok(2_000));
        assert_eq!(
            parse_duration("0.00000000000003125d"),
            Err("'0.00000000000003125d' is finer than a nanosecond".into())
        );
        assert_eq!(parse_duration("7d"), Ok(604_800_000_000_000));
        assert_eq!(parse_duration("0s"), Ok(0));
    }

    #[test]
    fn a_duration_without_unit_or_number_is_refused() {
        for text in ["", "5", "s", ".5s", "1.s", "1..2s", "-1s", "1e3ms", "1 s", "5sec", "0.5ns", "600000000d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_size_of_an_integer_tells_its_unit() {
        let expected = 1_767_225_600_000_000_000;
        for text in ["1767225600", "1767225600000", "1767225600000000", "1767225600000000000", "2026-01-01T00:00:00Z"] {
            assert_eq!(parse_time(text), Ok(expected), "{text}");
        }
        assert_eq!(parse_time("2026-01-01T02:00:00+02:00"), Ok(expected));
    }

    #[test]
    fn a_time_may_count_back_from_now() {
        assert_eq!(parse_time_from("-1h", 3_600_000_000_001), Ok(1));
        assert!(parse_time_from("-1h", 5).is_err());
        assert!(parse_time_from("-1", 5).is_err());
    }

    #[test]
    fn times_outside_64_bits_are_refused() {
        for text in ["", "1969-12-31T23:59:59Z", "2600-01-01T00:00:00Z", "99999999999999999999", "yesterday"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn people_read_three_digits_and_a_unit() {
        assert_eq!(human_duration(999), "999 ns");
        assert_eq!(human_duration(1_234_000), "1.23 ms");
        assert_eq!(human_duration(56_780_000), "56.8 ms");
        assert_eq!(human_duration(567_800_000), "568 ms");
        assert_eq!(human_duration(83_000_000_000), "1 min 23 s");
        assert_eq!(human_duration(86_400_000_000_000), "1 d 00 h");
        assert_eq!(human_time(1_767_225_600_123_000_000), "2026-01-01 00:00:00.123");
    }
}

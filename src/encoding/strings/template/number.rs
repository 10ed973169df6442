//! Numbers as text, both ways.

/// The number of at most 19 decimal digits.
pub fn parse_decimal(text: &[u8]) -> u64 {
    text.iter().fold(0, |number, digit| number * 10 + u64::from(digit & 15))
}

/// The number of at most 16 lower-case hexadecimal digits.
pub fn parse_hex(text: &[u8]) -> u64 {
    // A letter has bit 6 and in its low four bits 1 for `a`, so that nine are missing to ten.
    text.iter().fold(0, |number, digit| number << 4 | u64::from((digit & 15) + 9 * (digit >> 6)))
}

const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

/// Appends the number as usually written.
pub fn push_decimal(number: u64, out: &mut Vec<u8>) {
    if number < 10 {
        return out.push(b'0' + number as u8);
    }
    push_digits(number, number.ilog10() as usize + 1, out);
}

/// Appends the last `len` decimal digits of the number, 20 at most, with leading zeros.
pub fn push_digits(mut number: u64, len: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; 20];
    for pair in text.rchunks_exact_mut(2).take(len.div_ceil(2)) {
        pair.copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    out.extend_from_slice(&text[20 - len..]);
}

/// Appends the last `len` hexadecimal digits of the number, 16 at most, with leading zeros.
pub fn push_hex(mut number: u64, len: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; 16];
    for digit in text.iter_mut().rev().take(len) {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
    out.extend_from_slice(&text[16 - len..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_the_standard_library_does(number in any::<u64>(), shift in 0u32..64) {
            let number = number >> shift;
            let mut out = Vec::new();
            push_decimal(number, &mut out);
            prop_assert_eq!(&out, &number.to_string().into_bytes());
            out.clear();
            push_digits(number, 20, &mut out);
            prop_assert_eq!(&out, &format!("{number:020}").into_bytes());
            out.clear();
            push_hex(number, 16, &mut out);
            prop_assert_eq!(&out, &format!("{number:016x}").into_bytes());
            prop_assert_eq!(parse_hex(&out), number);
            let short = number >> 1;
            prop_assert_eq!(parse_decimal(short.to_string().as_bytes()), short);
        }
    }
}

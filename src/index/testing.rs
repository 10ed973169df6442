//! What the tests of several indexes share.

/// Every shorter prefix of `bytes`, and `bytes` with each byte changed in several ways.
pub(super) fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let cut = (0..bytes.len()).map(|len| bytes[..len].to_vec());
    let grown = std::iter::once([bytes, &[0]].concat());
    let changed = (0..bytes.len()).flat_map(move |at| {
        let other = [0x00, 0x01, 0x7f, 0x80, 0xff].into_iter().chain((0..8).map(move |bit| bytes[at] ^ (1 << bit)));
        other.filter(move |byte| *byte != bytes[at]).map(move |byte| {
            let mut copy = bytes.to_vec();
            copy[at] = byte;
            copy
        })
    });
    cut.chain(grown).chain(changed)
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

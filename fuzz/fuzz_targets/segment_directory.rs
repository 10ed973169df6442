#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tailspan_fuzz::run("segment_directory", input));

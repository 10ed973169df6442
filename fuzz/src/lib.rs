//! What fuzzing runs: one function a target, which takes any bytes and panics if a promise is broken.
//!
//! The same targets run under `cargo fuzz run TARGET`, and in plain `cargo test` over the seeds (tests/fuzz_seeds.rs).
//! Files of a store are changed behind right checksums ([`files`]): what a checksum refuses is tested elsewhere.

mod files;
mod fixture;
#[path = "../../tests/common/numbered.rs"]
mod numbered;
mod operations;

/// A name, and what it runs.
type Target = (&'static str, fn(&[u8]));

/// Every target by its name.
pub const TARGETS: [Target; 11] = [
    ("log", fixture::log),
    ("manifest", fixture::manifest),
    ("segment_pages", fixture::segment_pages),
    ("segment_tables", fixture::segment_tables),
    ("segment_indexes", fixture::segment_indexes),
    ("segment_directory", fixture::segment_directory),
    ("otlp", fixture::otlp),
    ("otlp_json", fixture::otlp_json),
    ("zipkin_json", fixture::zipkin_json),
    ("query", fixture::query),
    ("operations", operations::run),
];

/// Runs the target of this name.
///
/// # Panics
/// If there is no such target, or it breaks a promise.
pub fn run(target: &str, input: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    found.unwrap_or_else(|| panic!("no target {target}")).1(input);
}

//! A small store with every kind of file, and every question that can be asked of it.

use std::sync::{Arc, OnceLock};

use tailspan::{
    CrashChoice, Input, LatencyQuery, LinksQuery, Query, SeriesQuery, SimulatedDisk, Span, Storage, Store, TailCursor,
};

use super::files::{Part, patch_log, patch_manifest, patch_segment};
use super::numbered::{self, SERVICE};

/// Spans that are sealed; the others are in the log.
const SEALED: u64 = 300;
const ALL: u64 = 360;
const STEP_NANOS: u64 = 60_000_000_000;

fn open(disk: &SimulatedDisk) -> tailspan::Result<Store> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    Store::builder("unused").storage(storage).seal_automatically(false).block_rows(1024).open()
}

fn fixture() -> SimulatedDisk {
    static DISK: OnceLock<SimulatedDisk> = OnceLock::new();
    let disk = DISK.get_or_init(|| {
        let disk = SimulatedDisk::new(1);
        let store = open(&disk).expect("an empty disk");
        let spans: Vec<Span> = (0..ALL).map(numbered::span).collect();
        let (sealed, logged) = spans.split_at(SEALED as usize);
        store.append(sealed).map(drop).expect("spans are taken");
        store.seal().expect("it seals");
        for batch in logged.chunks(20) {
            store.append(batch).map(drop).expect("spans are taken");
        }
        store.delete(&[spans[0].trace_id, spans[SEALED as usize].trace_id]).expect("traces are deleted");
        store.close().expect("it closes");
        disk
    });
    disk.crash_image(CrashChoice::KeepAll)
}

/// Changes the last file of this beginning and asks the store everything.
fn with_patched(prefix: &str, patch: impl FnOnce(&mut [u8])) {
    let disk = fixture();
    let is_large = |name: &String| disk.read_file(name).is_some_and(|bytes| bytes.len() > 200);
    let mut names = disk.file_names().into_iter().filter(|name| name.starts_with(prefix) && !name.ends_with(".old"));
    let name = names.rfind(is_large).expect("a file of the fixture");
    let mut bytes = disk.read_file(&name).expect("a file of the fixture");
    patch(&mut bytes);
    disk.write_file(&name, &bytes);
    // A version that is not known is refused; nothing else may keep a store from opening.
    match open(&disk) {
        Ok(store) => {
            ask_everything(&store);
            drop(store);
            ask_everything(&open(&disk).expect("it opens a second time"));
        }
        Err(error) => assert_eq!(error.kind(), tailspan::ErrorKind::Unsupported, "{error}"),
    }
}

/// Asks every question there is; what damage hides may fail, but nothing panics.
fn ask_everything(store: &Store) {
    let mut ids: Vec<_> =
        store.spans().filter_map(Result::ok).filter_map(|spans| Some(spans.first()?.trace_id)).collect();
    ids.truncate(3);
    for id in ids {
        drop(store.trace(id));
    }
    let queries = [
        Query::new(),
        Query::new().service(SERVICE).error(),
        Query::new().name("operation 3").min_duration(std::time::Duration::from_nanos(1)),
        Query::new().annotation_query("note and instance=1"),
    ];
    for query in queries {
        drop(store.find(&query.limit(0)));
    }
    for text in ["{ name = \"operation 3\" } >> { }", "{ } !< { status = error }"] {
        drop(Query::new().structure_text(text).and_then(|query| store.find(&query)));
    }
    drop((store.services(), store.operations(None), store.remote_services(None), store.attribute_keys()));
    drop((store.attribute_values("note"), store.attribute_values("number")));
    drop(store.latency(&LatencyQuery::new(Query::new())));
    drop(store.latency(&LatencyQuery::new(Query::new().service(SERVICE))));
    drop((store.links(&LinksQuery::new()), store.series(&SeriesQuery::new(Query::new(), STEP_NANOS))));
    drop((store.heat_map(&Query::new(), STEP_NANOS), store.slowest_spans(&Query::new(), 10)));
    drop((store.slowest_traces(&Query::new(), 10), store.stats()));
    drop(store.tail(TailCursor::OLDEST).map(Iterator::count));
    store.verify().expect("damage is no error");
    drop(store.merge_all());
}

pub fn log(input: &[u8]) {
    with_patched("log/", |bytes| patch_log(bytes, input));
}

pub fn manifest(input: &[u8]) {
    with_patched("MANIFEST", |bytes| patch_manifest(bytes, input));
}

pub fn segment_pages(input: &[u8]) {
    with_patched("seg/", |bytes| patch_segment(bytes, input, Part::Pages));
}

pub fn segment_tables(input: &[u8]) {
    with_patched("seg/", |bytes| patch_segment(bytes, input, Part::Tables));
}

pub fn segment_indexes(input: &[u8]) {
    with_patched("seg/", |bytes| patch_segment(bytes, input, Part::Indexes));
}

pub fn segment_directory(input: &[u8]) {
    with_patched("seg/", |bytes| patch_segment(bytes, input, Part::Directory));
}

/// What was taken is there, before and after sealing and opening again.
fn takes(input: Input<'_, '_>) {
    let disk = SimulatedDisk::new(1);
    let store = open(&disk).expect("an empty disk");
    let Ok(taken) = store.append_with(input, tailspan::AppendOptions::default()) else { return };
    let count = |store: &Store| store.spans().map(|spans| spans.expect("nothing is damaged").len() as u64).sum::<u64>();
    assert_eq!(count(&store), taken.accepted);
    store.seal().expect("it seals");
    assert_eq!(count(&store), taken.accepted);
    assert_eq!(store.tail(TailCursor::OLDEST).expect("its own cursor").count() as u64, taken.accepted);
    ask_everything(&store);
    drop(store);
    assert_eq!(count(&open(&disk).expect("it opens again")), taken.accepted);
}

pub fn otlp(input: &[u8]) {
    takes(Input::Otlp(input));
}

pub fn otlp_json(input: &[u8]) {
    takes(Input::OtlpJson(input));
}

pub fn zipkin_json(input: &[u8]) {
    takes(Input::ZipkinJson(input));
}

/// A text as each kind of question; each that is one is asked.
pub fn query(input: &[u8]) {
    static STORE: OnceLock<Store> = OnceLock::new();
    let store = STORE.get_or_init(|| open(&fixture()).expect("a sound store"));
    let text = String::from_utf8_lossy(input);
    let asked = [
        Query::new().tag_text(&text),
        Query::new().structure_text(&text),
        Ok(Query::new().annotation_query(&text)),
        Ok(Query::new().page_token(text.clone())),
    ];
    for query in asked.into_iter().flatten() {
        drop(store.find(&query));
    }
    drop(store.attribute_values(&text));
}

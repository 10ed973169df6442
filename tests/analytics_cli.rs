//! The commands with figures as a contract: the shape of every JSON line, and figures that follow from the spans.
//!
//! Each question is asked of a store whose spans lie in the log and of one whose spans are sealed. That figures are
//! right everywhere is the matter of `analytics.rs`; here it is what the command line makes of them.

#[path = "common/command.rs"]
mod command;
#[path = "common/numbered.rs"]
mod numbered;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};
use tailspan::Span;

use command::{Ran, tailspan, tailspan_reading};

const SPANS: u64 = 300;

struct Ground {
    folder: tempfile::TempDir,
    spans: Vec<Span>,
}

impl Ground {
    /// A store in the log, and the same sealed.
    fn each_way() -> [Self; 2] {
        let grounds = [(); 2].map(|()| {
            let folder = tempfile::tempdir().expect("a folder for temporary files");
            let spans: Vec<Span> = (0..SPANS).map(numbered::span).collect();
            let ground = Self { folder, spans };
            assert!(ground.spans.iter().all(|span| numbered::number_of(span).is_ok()));
            tailspan_reading(["import".as_ref(), ground.store().as_os_str(), "-".as_ref()], &lines(&ground.spans))
                .expect(0);
            ground
        });
        grounds[1].run("seal", &[]).expect(0);
        grounds
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn run(&self, command: &str, flags: &[&str]) -> Ran {
        let store = self.store();
        let words = [command.as_ref(), store.as_os_str()];
        tailspan(words.into_iter().chain(flags.iter().map(AsRef::as_ref)))
    }

    #[track_caller]
    fn json(&self, command: &str, flags: &[&str]) -> Vec<Value> {
        self.run(command, &[&["--json"], flags].concat()).expect(0).json()
    }
}

fn lines(spans: &[Span]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in spans.chunks(7) {
        tailspan::write_otlp_json(chunk, &mut out).expect("memory takes everything");
        out.push(b'\n');
    }
    out
}

fn nanos(span: &Span) -> u64 {
    span.end_unix_nano - span.start_unix_nano
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn latency_tells_counts_and_quantiles_of_groups() {
    for ground in Ground::each_way() {
        let got = ground.json("latency", &["--by=service,attr:even", "--by", "kind", "--quantiles=0.5,1"]);
        let mut groups: BTreeMap<(String, Option<String>, &str), Vec<&Span>> = BTreeMap::new();
        for span in &ground.spans {
            let even =
                span.attributes.iter().find(|a| a.key == "even").map(|a| tailspan::text_of(&a.value).into_owned());
            groups.entry((numbered_service(span), even, span.kind.as_str())).or_default().push(span);
        }
        assert_eq!(got.len(), groups.len());
        for line in &got {
            let names = ["count", "durationCount", "errors", "group", "maxNano", "meanNano", "minNano", "quantiles"];
            assert_eq!(keys(line), BTreeSet::from(names));
            let group = &line["group"];
            assert_eq!(keys(group), BTreeSet::from(["attr:even", "kind", "service"]));
            let key = (
                group["service"].as_str().unwrap().to_owned(),
                group["attr:even"].as_str().map(str::to_owned),
                group["kind"].as_str().unwrap(),
            );
            let mut spans = groups[&key].clone();
            spans.sort_by_key(|span| (nanos(span), span.trace_id, span.span_id));
            let (n, sum) = (spans.len(), spans.iter().map(|span| nanos(span)).sum::<u64>());
            assert_eq!((&line["count"], &line["durationCount"]), (&json!(n), &json!(n)));
            assert_eq!((&line["minNano"], &line["maxNano"]), (&json!(nanos(spans[0])), &json!(nanos(spans[n - 1]))));
            assert_eq!(line["meanNano"], json!(sum as f64 / n as f64));
            let errors = spans.iter().filter(|span| span.status.is_some()).count();
            assert_eq!(line["errors"], json!(errors));
            let median = spans[n.div_ceil(2) - 1];
            assert_eq!(
                line["quantiles"][0],
                json!({
                    "q": 0.5, "valueNano": nanos(median),
                    "traceId": median.trace_id.to_string(), "spanId": median.span_id.to_string(),
                })
            );
            assert_eq!(line["quantiles"][1]["q"].as_f64(), Some(1.0));
            assert_eq!(line["quantiles"].as_array().unwrap().len(), 2);
        }
        let counts: Vec<u64> = got.iter().map(|line| line["count"].as_u64().unwrap()).collect();
        assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
    }
}

fn numbered_service(span: &Span) -> String {
    span.service().expect("every numbered span has a service").to_owned()
}

#[test]
fn latency_of_traces_and_stages_counts_a_trace_once_a_value() {
    for ground in Ground::each_way() {
        let traces = SPANS / numbered::TRACE_SPANS;
        let all = ground.json("latency", &["--of=trace"]);
        assert_eq!((all[0]["count"].as_u64(), &all[0]["quantiles"][0]["spanId"]), (Some(traces), &Value::Null));
        let by = ground.json("latency", &["--of", "trace", "--by=service", "--service=numbered-1"]);
        // Five successive spans have all three services, so every trace is in each of them.
        let counts: Vec<_> =
            by.iter().map(|line| (line["group"]["service"].as_str(), line["count"].as_u64())).collect();
        let each = Some(traces);
        assert_eq!(counts, [(Some("numbered-0"), each), (Some("numbered-1"), each), (Some("numbered-2"), each)]);
        let stages = ground.json("latency", &["--of=stage:operation 1", "--of=stage:operation 2", "--quantiles=0.5"]);
        for line in &stages {
            let stage = line["group"]["stage"].as_str().unwrap();
            let traces: BTreeSet<_> =
                ground.spans.iter().filter(|span| span.name == stage).map(|span| span.trace_id).collect();
            assert_eq!(line["count"], json!(traces.len()), "{stage}");
        }
        assert_eq!(stages.len(), 2);
    }
}

#[test]
fn groups_are_sorted_and_cut_as_asked() {
    for ground in Ground::each_way() {
        let top = ground.json("latency", &["--by=name", "--sort=max", "--top=3"]);
        let longest: Vec<u64> = top.iter().map(|line| line["maxNano"].as_u64().unwrap()).collect();
        assert!(top.len() == 3 && longest.is_sorted_by(|a, b| a >= b), "{longest:?}");
        assert_eq!(longest[0], ground.spans.iter().map(nanos).max().unwrap());
        let sorted = ground.json("latency", &["--by=name", "--sort=0.9", "--quantiles=0.5,0.9"]);
        let tails: Vec<u64> = sorted.iter().map(|line| line["quantiles"][1]["valueNano"].as_u64().unwrap()).collect();
        assert!(tails.is_sorted_by(|a, b| a >= b), "{tails:?}");
        let errors = ground.json("latency", &["--by=name", "--sort=errors"]);
        let errors: Vec<u64> = errors.iter().map(|line| line["errors"].as_u64().unwrap()).collect();
        assert!(errors.is_sorted_by(|a, b| a >= b), "{errors:?}");
    }
}

#[test]
fn slowest_lists_spans_or_traces_and_ends_with_a_summary() {
    for ground in Ground::each_way() {
        let mut got = ground.json("slowest", &["--limit=7", "--kind=client"]);
        let summary = got.pop().unwrap();
        assert_eq!(summary, json!({ "summary": { "complete": true, "reason": null, "nextPageToken": null } }));
        let mut spans: Vec<&Span> = ground.spans.iter().filter(|span| span.kind.as_str() == "client").collect();
        spans.sort_by_key(|span| std::cmp::Reverse((nanos(span), span.start_unix_nano)));
        let wanted: Vec<Value> = spans
            .iter()
            .take(7)
            .map(|span| {
                json!({
                    "traceId": span.trace_id.to_string(), "spanId": span.span_id.to_string(), "service": span.service(),
                    "name": span.name, "startUnixNano": span.start_unix_nano, "durationNano": nanos(span),
                    "error": span.status.is_some(),
                })
            })
            .collect();
        assert_eq!(got, wanted);
        let traces = ground.json("slowest", &["--of=trace", "--limit=3"]);
        let found = ground.json("find", &["--order=slowest", "--limit=3"]);
        let of = |lines: &[Value]| -> Vec<(Value, Value)> {
            lines.iter().take(3).map(|line| (line["traceId"].clone(), line["durationNano"].clone())).collect()
        };
        assert_eq!((of(&traces), traces.len()), (of(&found), 4));
        assert!(traces[0]["spanId"].is_string() && traces[0]["error"].is_boolean());
    }
}

#[test]
fn heatmap_and_series_share_steps_that_begin_at_multiples() {
    for ground in Ground::each_way() {
        let step = 7_000_000;
        let cells = ground.json("heatmap", &["--step=7ms"]);
        let mut by_step: BTreeMap<u64, u64> = BTreeMap::new();
        for cell in &cells {
            assert_eq!(keys(cell), BTreeSet::from(["count", "endUnixNano", "maxNano", "minNano", "startUnixNano"]));
            let start = cell["startUnixNano"].as_u64().unwrap();
            assert_eq!((start % step, cell["endUnixNano"].as_u64()), (0, Some(start + step)));
            assert!(cell["minNano"].as_u64() < cell["maxNano"].as_u64());
            *by_step.entry(start).or_default() += cell["count"].as_u64().unwrap();
        }
        let mut wanted: BTreeMap<u64, u64> = BTreeMap::new();
        ground.spans.iter().for_each(|span| *wanted.entry(span.start_unix_nano / step * step).or_default() += 1);
        assert_eq!(by_step, wanted);
        let points = ground.json("series", &["--step=7ms", "--quantiles=0.5"]);
        assert_eq!(points.len(), wanted.len());
        for (point, (start, count)) in points.iter().zip(wanted) {
            assert_eq!((&point["startUnixNano"], &point["count"]), (&json!(start), &json!(count)));
            assert_eq!(point["ratePerSecond"].as_f64(), Some(count as f64 / 0.007));
            assert_eq!(point["quantiles"].as_array().unwrap().len(), 1);
        }
        let picture = String::from_utf8(ground.run("heatmap", &["--step=1ms"]).expect(0).out).unwrap();
        assert!(picture.contains('█') && picture.contains("a column is"), "{picture}");
    }
}

/// Spans of which a fifth of the traces was kept with 1/4, the rest with unknown probability.
fn sampled() -> Vec<Span> {
    let mut spans: Vec<Span> = (0..SPANS).map(numbered::span).collect();
    for (number, span) in (0..).zip(&mut spans) {
        if (number / numbered::TRACE_SPANS).is_multiple_of(5) {
            "a=b,ot=th:c;rv:9b8233f7e3a151".clone_into(&mut span.trace_state);
        }
    }
    spans
}

#[test]
fn adjusted_counts_say_how_many_there_were_before_sampling() {
    for sealed in [false, true] {
        let ground = Ground { folder: tempfile::tempdir().expect("a folder for temporary files"), spans: sampled() };
        let (store, lines) = (ground.store(), lines(&ground.spans));
        tailspan_reading(["import".as_ref(), store.as_os_str(), "-".as_ref()], &lines).expect(0);
        if sealed {
            ground.run("seal", &[]).expect(0);
        }
        let (kept, traces) = (SPANS / 5, SPANS / numbered::TRACE_SPANS / 5);
        let got = ground.json("latency", &["--adjusted", "--quantiles=0.5"]);
        let line = &got[0];
        assert_eq!(
            (line["count"].as_u64(), line["adjustedCount"].as_f64()),
            (Some(SPANS), Some((SPANS + 3 * kept) as f64))
        );
        assert_eq!(line["sampledShare"].as_f64(), Some(0.2));
        // Five spans of each sampled trace: n^2 (1 - p) / p^2 = 25 * 0.75 * 16.
        let error = 1.96 * (traces as f64 * 300.0).sqrt();
        assert!((line["adjustedCountError"].as_f64().unwrap() - error).abs() < 1e-9, "{line}");
        let errors = ground.spans.iter().filter(|span| span.status.is_some());
        let wanted: u64 = errors.map(|span| if span.trace_state.is_empty() { 1 } else { 4 }).sum();
        assert_eq!(line["adjustedErrors"].as_f64(), Some(wanted as f64));
        let traces_line = &ground.json("latency", &["--adjusted", "--of=trace"])[0];
        assert_eq!(traces_line["adjustedCount"].as_f64(), Some((SPANS / numbered::TRACE_SPANS + 3 * traces) as f64));
        for point in ground.json("series", &["--adjusted", "--step=7ms"]) {
            let (rate, count) = (point["adjustedRatePerSecond"].as_f64().unwrap(), point["adjustedCount"].as_f64());
            assert_eq!((Some(rate), point["ratePerSecond"].as_f64() <= Some(rate)), (count.map(|c| c / 0.007), true));
        }
        let table = String::from_utf8(ground.run("latency", &["--adjusted"]).expect(0).out).unwrap();
        assert!(table.contains("before sampling") && table.contains("480 ±"), "{table}");
        assert!(ground.json("latency", &[])[0].get("adjustedCount").is_none());
    }
}

#[test]
fn compare_names_what_the_selection_has_more_often() {
    for ground in Ground::each_way() {
        let got = ground.json("compare", &["--name=operation 3", "--against=--kind 'client' --tag=number"]);
        let (last, values) = got.split_last().unwrap();
        let quantiles = last["quantiles"].as_array().unwrap();
        assert_eq!((got.len() > 1, quantiles.len()), (true, 4));
        assert_eq!(keys(&quantiles[0]), BTreeSet::from(["baselineNano", "q", "selectionNano"]));
        let has = |span: &Span, key: &str, value: &str| {
            let mut all = span.attributes.iter().chain(&span.resource.attributes);
            let own = all.any(|a| a.key == key && tailspan::text_of(&a.value) == value);
            own || (key == "otel.scope.name" && span.scope.name == value)
        };
        let selection: Vec<&Span> = ground.spans.iter().filter(|span| span.name == "operation 3").collect();
        let baseline: Vec<&Span> = ground.spans.iter().filter(|span| span.kind.as_str() == "client").collect();
        for line in values {
            let names = ["baselineTotal", "inBaseline", "inSelection", "key", "score", "selectionTotal", "value"];
            assert_eq!(keys(line), BTreeSet::from(names));
            let (key, value) = (line["key"].as_str().unwrap(), line["value"].as_str().unwrap());
            let count = |spans: &[&Span]| spans.iter().filter(|span| has(span, key, value)).count();
            let (inside, outside) = (count(&selection), count(&baseline));
            assert_eq!((&line["inSelection"], &line["inBaseline"]), (&json!(inside), &json!(outside)), "{key}={value}");
            let score = inside as f64 / selection.len() as f64 - outside as f64 / baseline.len() as f64;
            assert_eq!(line["score"].as_f64(), Some(score), "{key}={value}");
            assert_eq!(line["selectionTotal"], json!(selection.len()));
            assert_eq!(line["baselineTotal"], json!(baseline.len()));
        }
        let scores: Vec<f64> = values.iter().map(|line| line["score"].as_f64().unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|score| *score > 0.0), "{scores:?}");
        assert_eq!(ground.json("compare", &["--error", "--against=", "--top=1"]).len(), 2);
    }
}

#[test]
fn nothing_found_is_no_line_and_no_failure() {
    for ground in Ground::each_way() {
        for command in ["latency", "heatmap", "series"] {
            assert!(ground.json(command, &["--service=nobody"]).is_empty(), "{command}");
            assert_eq!(ground.run(command, &["--service=nobody"]).expect(0).out, b"no span matches\n", "{command}");
        }
        assert_eq!(ground.json("slowest", &["--service=nobody"]).len(), 1);
        let compared = ground.json("compare", &["--service=nobody", "--against=--service=nobody"]);
        assert_eq!(compared[0]["quantiles"][0], json!({ "q": 0.5, "selectionNano": null, "baselineNano": null }));
    }
}

#[test]
fn each_command_explains_what_it_read() {
    for ground in Ground::each_way() {
        let commands: [(&str, &[&str]); 5] = [
            ("latency", &["--by=service"]),
            ("slowest", &[]),
            ("heatmap", &[]),
            ("series", &[]),
            ("compare", &["--error", "--against="]),
        ];
        for (command, flags) in commands {
            let got = ground.json(command, &[flags, &["--explain"]].concat());
            let explain = got.iter().find_map(|line| line.get("explain")).unwrap_or_else(|| panic!("{command}"));
            for part in ["parts", "blocks", "pages", "bytes", "by"] {
                assert!(explain[part].is_object(), "{command}: {explain}");
            }
        }
    }
}

#[test]
fn wrong_words_are_a_matter_of_usage() {
    let [ground, _] = Ground::each_way();
    let wrong: [(&str, &[&str]); 9] = [
        ("latency", &["--by=host"]),
        ("latency", &["--quantiles=1.5"]),
        ("latency", &["--of=process"]),
        ("latency", &["--of=span", "--of=trace"]),
        ("latency", &["--sort=name"]),
        ("series", &["--step=0s"]),
        ("heatmap", &["--step=5"]),
        ("compare", &["--error"]),
        ("compare", &["--against=--service='x"]),
    ];
    for (command, flags) in wrong {
        ground.run(command, flags).expect(2);
    }
}

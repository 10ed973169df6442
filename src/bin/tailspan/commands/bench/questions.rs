//! The fixed list of questions, as command lines anyone can repeat, and how long each takes.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tailspan::Store;

use super::super::batch::{cpu_nanos, parse};
use super::super::run_on;
use super::sample::{Dice, Sample};
use crate::outcome::Outcome;
use crate::output::Report;

/// Variants of a question with other parameters, asked in turn.
const VARIANTS_MAX: usize = 200;
/// A question is asked no more often than this.
const REPETITIONS_MAX: usize = 1_000;
/// And no less often, however long it takes.
const REPETITIONS_MIN: usize = 3;

/// A question: command lines without the store, alike but for their parameters.
pub struct Question {
    pub name: &'static str,
    pub variants: Vec<Vec<String>>,
    /// What each answer must be, if it is known beforehand.
    pub expected: Option<Outcome>,
}

/// How long a question took.
pub struct Answered {
    pub repetitions: u64,
    /// Result lines of all repetitions.
    pub rows: u64,
    /// Repetitions that did not end as expected.
    pub unexpected: u64,
    pub median_micros: f64,
    pub p99_micros: f64,
    /// Processor time of all threads, the mean.
    pub cpu_micros: f64,
}

impl Question {
    fn new<const N: usize>(name: &'static str, variants: impl IntoIterator<Item = [String; N]>) -> Self {
        let json = |words: [String; N]| words.into_iter().chain(["--json".to_owned()]).collect();
        Self { name, variants: variants.into_iter().take(VARIANTS_MAX).map(json).collect(), expected: None }
    }

    fn expecting(mut self, outcome: Outcome) -> Self {
        self.expected = Some(outcome);
        self
    }

    /// Asks all variants in turn until the time is up.
    ///
    /// # Errors
    /// The first error of a question: with parameters from the store itself there should be none.
    pub fn ask(&self, store: &Store, path: &Path, time: Duration) -> anyhow::Result<Answered> {
        let commands = self.variants.iter().map(|words| parse(path, words)).collect::<anyhow::Result<Vec<_>>>()?;
        let (mut micros, mut cpu, mut rows, mut unexpected) = (Vec::new(), 0, 0, 0);
        let mut answers = commands.iter().cycle().map(|command| {
            let mut nowhere = io::sink();
            let mut report = Report::of_many(&mut nowhere, true);
            let (began, cpu_began) = (Instant::now(), cpu_nanos());
            let outcome = run_on(store, command, &mut report)?;
            let took = (began.elapsed(), cpu_nanos().saturating_sub(cpu_began));
            anyhow::Ok((took, outcome, report.rows()))
        });
        // The first reads pages from the disk; what is measured is warm.
        answers.next().transpose()?;
        let began = Instant::now();
        while micros.len() < REPETITIONS_MIN || (began.elapsed() < time && micros.len() < REPETITIONS_MAX) {
            let Some(answer) = answers.next() else { break };
            let ((elapsed, cpu_nanos), outcome, answer_rows) = answer?;
            micros.push(elapsed.as_secs_f64() * 1e6);
            cpu += cpu_nanos;
            rows += answer_rows;
            unexpected += u64::from(self.expected.is_some_and(|expected| expected != outcome));
        }
        micros.sort_by(f64::total_cmp);
        Ok(Answered {
            repetitions: micros.len() as u64,
            rows,
            unexpected,
            median_micros: quantile(&micros, 0.5),
            p99_micros: quantile(&micros, 0.99),
            cpu_micros: cpu as f64 / 1e3 / micros.len().max(1) as f64,
        })
    }
}

/// The value of rank ceil(q * n) of sorted values; 0 if there is none.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

/// The questions, with parameters from the sample; those for which it has none are left out.
pub fn questions(sample: &Sample, dice: &mut Dice) -> Vec<Question> {
    let ids: Vec<String> = sample.traces.iter().filter_map(|trace| Some(trace.first()?.trace_id.to_string())).collect();
    let services: Vec<&str> = (0..16).filter_map(|_| dice.pick(&sample.services()).copied()).collect();
    let find = |service: &&str| {
        let shortest = sample.long_duration(service);
        ["find".to_owned(), format!("--service={service}"), format!("--min-duration={shortest}ns")]
    };
    let missing =
        (0..VARIANTS_MAX).map(|_| ["trace".to_owned(), format!("{:016x}{:016x}", dice.roll() | 1, dice.roll())]);
    let step = format!("--step={}m", sample.minutes.div_ceil(240));
    let by = "--by=service,name";
    let mut out = vec![
        Question::new("trace by id", ids.into_iter().map(|id| words(["trace", &id, "--format=otlp-json"])))
            .expecting(Outcome::Done),
        Question::new("trace id that is not there", missing).expecting(Outcome::NotFound),
        Question::new("newest of a service, the longest tenth", services.iter().map(find)),
    ];
    if let Some((key, values)) = sample.most_selective() {
        let tag = |value: &&str| words(["find", &format!("--tag={key}={value}")]);
        out.push(Question::new("spans with one value of an id", values.iter().map(tag)));
    }
    out.extend([
        Question::new("p99, p99.9 of every operation", [words(["latency", by, "--quantiles=0.99,0.999"])]),
        Question::new("p50, p99, p99.9 of every operation", [words(["latency", by, "--quantiles=0.5,0.99,0.999"])]),
    ]);
    if let Some((key, median)) = sample.common_number() {
        let filter = format!("--tag={key}>={median}");
        let latency = words(["latency", by, "--quantiles=0.5,0.99,0.999", &filter]);
        out.push(Question::new("the same, filtered by an attribute", [latency]));
    }
    let slowest = services.iter().map(|service| words(["slowest", &format!("--service={service}")]));
    out.extend([
        Question::new("slowest of a service", slowest),
        Question::new("links with p99", [words(["links", "--quantiles=0.99"])]),
        Question::new("links with p50, p99", [words(["links", "--quantiles=0.5,0.99"])]),
        Question::new(
            "rate and errors over time by service",
            [words(["series", &step, "--by=service", "--no-quantiles"])],
        ),
        Question::new("quantiles over time by service", [words(["series", &step, "--by=service"])]),
        Question::new("heat map", [words(["heatmap", &step])]),
    ]);
    let calls = sample.calls();
    let structural = (0..8).filter_map(|_| dice.pick(&calls)).map(|(caller, called)| {
        let condition = format!(
            "{{ resource.service.name = \"{caller}\" }} >> {{ resource.service.name = \"{called}\" && status = error }}"
        );
        words(["find", &format!("--where={condition}")])
    });
    out.push(Question::new("a service with an error of another below it", structural));
    out.retain(|question| !question.variants.is_empty());
    out
}

fn words<const N: usize>(words: [&str; N]) -> [String; N] {
    words.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_rank() {
        let times: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!((quantile(&times, 0.5), quantile(&times, 0.99)), (100.0, 198.0));
        assert_eq!((quantile(&times[..1], 0.99), quantile(&[], 0.5)), (1.0, 0.0));
    }

    #[test]
    fn an_empty_store_is_asked_what_needs_no_parameter() {
        let questions = questions(&Sample { traces: Vec::new(), minutes: 1 }, &mut Dice(1));
        assert!(questions.iter().all(|question| !question.variants.is_empty()));
        assert!(questions.iter().any(|question| question.name == "heat map"));
    }
}

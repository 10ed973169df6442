//! Asks the stores in turn, measures each answer, and compares it with tailspan's.

use anyhow::{Context, Result};

use crate::measure::{cpu_seconds, median};
use crate::questions::{Answer, Asked, Question};
use crate::report::QuestionFigures;
use crate::stores::Reader;

type Readers = [(&'static str, Box<dyn Reader>)];

/// Figures of every question, and what differs.
pub fn compare(readers: &Readers, asked: &[Asked], rounds: usize) -> Result<(Vec<QuestionFigures>, Vec<String>)> {
    let (mut figures, mut differences) = (Vec::new(), Vec::new());
    for question in asked.iter().filter(|question| !question.variants.is_empty()) {
        eprintln!("{}", question.name);
        let mut lines = 0;
        for variant in &question.variants {
            lines += compare_answers(readers, question.name, variant, &mut differences)?;
        }
        // Each answer was given once before: what is measured is warm.
        let mut milliseconds = vec![Vec::new(); readers.len()];
        for round in 0..rounds {
            for (turn, variant) in question.variants.iter().enumerate() {
                for at in in_turn(readers.len(), round + turn) {
                    let (name, reader) = &readers[at];
                    let begin = cpu_seconds();
                    let answer = reader.ask(variant).with_context(|| format!("{name}: {}", question.name))?;
                    let seconds = cpu_seconds() - begin;
                    if answer.is_some() {
                        milliseconds[at].push(seconds * 1e3);
                    }
                }
            }
        }
        let milliseconds = milliseconds.into_iter().map(|times| (!times.is_empty()).then(|| median(times))).collect();
        figures.push(QuestionFigures { name: question.name, variants: question.variants.len(), lines, milliseconds });
    }
    Ok((figures, differences))
}

/// All stores, another one first each time: who comes after whom through the caches of the processor is shared out.
fn in_turn(stores: usize, turn: usize) -> impl Iterator<Item = usize> {
    (0..stores).map(move |step| (turn + step) % stores)
}

/// Puts the question to all stores once; tells how many lines tailspan's answer has.
fn compare_answers(readers: &Readers, name: &str, variant: &Question, differences: &mut Vec<String>) -> Result<usize> {
    let mut first: Option<(&str, Answer)> = None;
    for (store, reader) in readers {
        let answer = reader.ask(variant).with_context(|| format!("{store}: {name}"))?;
        let Some(answer) = answer.map(|answer| variant.in_order(answer)) else { continue };
        match &first {
            None => first = Some((store, answer)),
            Some((_, expected)) if *expected == answer => {}
            Some((with, expected)) => {
                let at =
                    expected.iter().zip(&answer).position(|(a, b)| a != b).unwrap_or(expected.len().min(answer.len()));
                differences.push(format!(
                    "{name}, {variant:?}: {store} has {} lines, {with} {}; line {at}: {:?}, {:?}",
                    answer.len(),
                    expected.len(),
                    answer.get(at),
                    expected.get(at),
                ));
            }
        }
    }
    Ok(first.map_or(0, |(_, answer)| answer.len()))
}

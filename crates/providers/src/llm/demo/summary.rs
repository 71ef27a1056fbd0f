//! `summarizer`: the sentences that carry most of a text, in their own order.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::text::{clip, sentences, words};
use super::text_of;

/// Words that say nothing about what a text is about.
const STOP_WORDS: &str = "the a an and or but of to in on at for from by with as is are was were be been it its this that these those they them their he she his her we our you your i not no so if than then there here which who whom what when where will would can could may might shall should must have has had do does did about into over after before also more most such only one two which der die das den dem des ein eine einer eines einem einen und oder aber von zu zum zur im in am an auf für mit bei als ist sind war waren wird werden wurde es er sie wir ihr ich nicht kein keine so wenn dann dass auch nach vor über aus um noch nur sich haben hat hatte kann können soll";
const SENTENCES_MAX: usize = 2_000;

/// The answer of `summarizer/summarize`.
pub(super) fn summarize(input: &Value) -> Value {
    let text = text_of(input, "text");
    let count = sentences(text).len();
    // A third of the text, at most five sentences.
    let summary = extract(text, count.div_ceil(3).clamp(1, 5)).join(" ");
    let points: Vec<String> =
        extract(text, count.div_ceil(2).clamp(1, 7)).iter().map(|point| point_of(point)).collect();
    json!({ "summary": clip(&summary, 4_900), "keyPoints": points })
}

fn point_of(sentence: &str) -> String {
    let bare = sentence.trim_start_matches(['-', '*', '•', ' ']).trim_end_matches('.');
    clip(bare, 900)
}

/// The `wanted` weightiest sentences in the order of the text.
pub(super) fn extract(text: &str, wanted: usize) -> Vec<String> {
    let sentences: Vec<String> = sentences(text).into_iter().take(SENTENCES_MAX).collect();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for word in sentences.iter().flat_map(|sentence| telling(sentence)) {
        *counts.entry(word).or_default() += 1;
    }
    let mut ranked: Vec<(u64, usize)> = sentences
        .iter()
        .enumerate()
        .map(|(at, sentence)| {
            let words = telling(sentence);
            let sum: u64 = words.iter().filter_map(|word| counts.get(word)).sum();
            // The mean weight of a word, with short sentences held back and the first one put forward.
            let length = u64::try_from(words.len()).unwrap_or(u64::MAX).max(6);
            let numbers = if sentence.contains(|c: char| c.is_ascii_digit()) { 200 } else { 0 };
            let opening = if at == 0 { 1_000 } else { 0 };
            (sum.saturating_mul(1_000) / length + numbers + opening, at)
        })
        .collect();
    ranked.sort_by_key(|(weight, at)| (std::cmp::Reverse(*weight), *at));
    let mut chosen: Vec<usize> = ranked.into_iter().take(wanted).map(|(_, at)| at).collect();
    chosen.sort_unstable();
    chosen.into_iter().filter_map(|at| sentences.get(at).cloned()).collect()
}

/// The words of a sentence that say what it is about.
pub(super) fn telling(sentence: &str) -> Vec<String> {
    let mut words = words(sentence);
    words.retain(|word| word.chars().count() > 2 && !STOP_WORDS.split(' ').any(|stop| stop == word));
    words
}

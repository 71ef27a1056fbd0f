//! `writing_assistant`: a frame for the kind of text that is asked for, filled with the words of the order.

use serde_json::Value;

use super::text::{clip, fold, has_phrase, squeeze};
use super::text_of;

/// Kinds of texts with the words that ask for them.
const KINDS: [(Kind, &[&str]); 5] = [
    (Kind::Mail, &["email", "e-mail", "mail", "letter", "reply", "brief", "antwort"]),
    (Kind::Social, &["tweet", "post", "linkedin", "instagram", "caption", "social media"]),
    (Kind::Product, &["product description", "produktbeschreibung", "listing", "ad", "advertisement", "anzeige"]),
    (Kind::List, &["list", "ideas", "bullet points", "checklist", "liste", "ideen"]),
    (Kind::Article, &["blog", "article", "essay", "story", "text", "artikel"]),
];

#[derive(Clone, Copy)]
enum Kind {
    Mail,
    Social,
    Product,
    List,
    Article,
}

/// The answer of `writing_assistant/write`.
pub(super) fn write(input: &Value) -> Value {
    let prompt = squeeze(text_of(input, "prompt"));
    let folded = fold(&prompt);
    let asked = |words: &[&str]| words.iter().any(|word| has_phrase(&folded, word));
    let kind = KINDS.iter().find(|(_, words)| asked(words)).map_or(Kind::Article, |(kind, _)| *kind);
    let topic = topic(&prompt);
    let title = capitalized(&topic);
    let text = match kind {
        Kind::Mail => format!(
            "Subject: {title}\n\nHello [name],\n\nI am writing to you about {topic}.\n\n\
             Here is what matters to you:\n- what it is: [one sentence]\n- what changes for you: [one sentence]\n- from when on: [date]\n\n\
             If you have a question, just answer this e-mail.\n\nBest regards,\n[your name]"
        ),
        Kind::Social => format!(
            "{title}: it is here.\n\n[One sentence on why it matters to your readers.]\n\nWhat do you think? Tell us in the comments.\n\n#[topic] #[place]"
        ),
        Kind::Product => format!(
            "{title}\n\n[One sentence on what it does for its owner.]\n\n- Made for: [who]\n- Good to know: [size, material, weight]\n- In the box: [parts]\n\nOrder today and have it by [date]."
        ),
        Kind::List => format!(
            "{title}\n\n1. Begin with what is there already: [example].\n2. Ask three people who know {topic}.\n3. Try the smallest version first.\n4. Note what it costs and what it brings.\n5. Decide by [date] whether to go on."
        ),
        Kind::Article => format!(
            "{title}\n\nThis text is about {topic}. It says what it is, why it matters, and what to do next.\n\n\
             What it is. [Two sentences with the facts.]\n\nWhy it matters. [Two sentences on what it changes for the reader.]\n\nWhat to do next. [One step that the reader can take today.]"
        ),
    };
    format!("{text}\n\n[Demo text, made by rules without a model. Set an Anthropic key to have it written.]").into()
}

/// What the order is about: what follows "about" or "on", else the order without its opening verb.
fn topic(prompt: &str) -> String {
    let folded = fold(prompt);
    let after = [" about ", " on the topic of ", " regarding ", " über ", " zum thema ", " on ", " for "]
        .iter()
        .find_map(|word| folded.find(word).and_then(|at| prompt.get(at.saturating_add(word.len())..)));
    let opening = [
        "please ",
        "write me ",
        "write ",
        "create ",
        "draft ",
        "compose ",
        "schreibe ",
        "schreib ",
        "a ",
        "an ",
        "the ",
        "short ",
        "eine ",
        "einen ",
        "ein ",
    ];
    let mut topic = after.unwrap_or(prompt);
    if after.is_none() {
        while let Some(rest) =
            opening.iter().find_map(|word| fold(topic).starts_with(word).then(|| topic.get(word.len()..)).flatten())
        {
            topic = rest;
        }
    }
    let end = topic.find(['\n', '!', '?']).or_else(|| topic.find(". ")).unwrap_or(topic.len());
    let topic = topic.get(..end).unwrap_or(topic).trim().trim_end_matches('.');
    if topic.is_empty() { "your topic".to_owned() } else { clip(topic, 160) }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

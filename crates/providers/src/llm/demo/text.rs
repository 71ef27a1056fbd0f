//! Plain looks at text: folding, words, sentences, cells of a line.

/// Lower case with every character at its old byte position, so that finds in it fit the original.
pub(super) fn fold(text: &str) -> String {
    let lower = |c: char| {
        let mut lower = c.to_lowercase();
        match (lower.next(), lower.next()) {
            (Some(small), None) if small.len_utf8() == c.len_utf8() => small,
            _ => c,
        }
    };
    text.chars().map(lower).collect()
}

/// Cut to so many characters, with an ellipsis where something is missing.
pub(super) fn clip(text: &str, chars_max: usize) -> String {
    let text = text.trim();
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// One line, with every run of white space as one space.
pub(super) fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words of letters and digits in lower case.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(fold).collect()
}

/// Whether `phrase` (lower case) stands in `folded` with word boundaries around it; a phrase ending in `*` may go on.
pub(super) fn has_phrase(folded: &str, phrase: &str) -> bool {
    let (phrase, open) = phrase.strip_suffix('*').map_or((phrase, false), |stem| (stem, true));
    folded.match_indices(phrase).any(|(at, found)| {
        let before = folded.get(..at).and_then(|text| text.chars().next_back());
        let after = folded.get(at.saturating_add(found.len())..).and_then(|text| text.chars().next());
        !before.is_some_and(char::is_alphanumeric) && (open || !after.is_some_and(char::is_alphanumeric))
    })
}

/// Sentences, each on one line. A full stop ends one only before white space and a capital, digit or quote, so that
/// amounts and most abbreviations stay whole; an empty line and a line that begins a list entry end one too.
pub(super) fn sentences(text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut current = String::new();
    let mut end = |current: &mut String| {
        let sentence = squeeze(current);
        current.clear();
        if sentence.chars().any(char::is_alphanumeric) {
            sentences.push(sentence);
        }
    };
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || starts_entry(trimmed) {
            end(&mut current);
        }
        let mut chars = trimmed.chars().peekable();
        while let Some(c) = chars.next() {
            current.push(c);
            if matches!(c, '.' | '!' | '?') && chars.peek().is_none_or(|next| next.is_whitespace()) {
                let mut rest = chars.clone().skip_while(|next| next.is_whitespace());
                let begins = rest
                    .next()
                    .is_none_or(|next| next.is_uppercase() || next.is_ascii_digit() || "\"“„'(".contains(next));
                if begins && !ends_in_abbreviation(&current) {
                    end(&mut current);
                }
            }
        }
        current.push(' ');
    }
    end(&mut current);
    sentences
}

fn starts_entry(line: &str) -> bool {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = rest.len() < line.len() && (rest.starts_with(". ") || rest.starts_with(") "));
    numbered || line.starts_with("- ") || line.starts_with("* ") || line.starts_with("• ") || line.starts_with('§')
}

fn ends_in_abbreviation(text: &str) -> bool {
    let last = text.split_whitespace().next_back().unwrap_or_default();
    let word = last.trim_end_matches('.').trim_start_matches(['(', '"']);
    let short =
        ["no", "nr", "mr", "mrs", "ms", "dr", "st", "vs", "e.g", "i.e", "z.b", "inc", "ltd", "co", "art", "abs"];
    let number = !word.is_empty() && word.len() <= 2 && word.chars().all(|c| c.is_ascii_digit());
    short.contains(&fold(word).as_str()) || number || (word.chars().count() == 1 && word != "I")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_keeps_byte_positions() {
        let text = "RECHNUNG für Ärzte İ";
        assert_eq!(fold(text).len(), text.len());
        assert!(fold(text).starts_with("rechnung für ärzte"));
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        let text = "Costs rose by 1.5 percent. Mr. Smith agreed! Why?\n\n- first entry\n- second entry";
        assert_eq!(
            sentences(text),
            ["Costs rose by 1.5 percent.", "Mr. Smith agreed!", "Why?", "- first entry", "- second entry"]
        );
        assert_eq!(sentences("one\ntwo"), ["one two"]);
        assert_eq!(sentences(" \n "), Vec::<String>::new());
    }

    #[test]
    fn phrases_have_word_boundaries_unless_they_are_stems() {
        assert!(has_phrase("a late payment", "late"));
        assert!(!has_phrase("chocolate", "late"));
        assert!(has_phrase("three lawsuits", "lawsuit*"));
        assert!(!has_phrase("three lawsuits", "lawsuit"));
    }

    #[test]
    fn clipping_counts_characters() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöüß", 3), "äö…");
    }
}

//! `contract_review`: clauses by their words, with what is risky in them for the client.

use serde_json::{Value, json};

use super::super::Call;
use super::dates::{self, Order};
use super::files::Material;
use super::text::{clip, fold, has_phrase, sentences, squeeze};
use super::text_of;

const CLAUSES_MAX: usize = 60;

/// A kind of clause: the words that show it and what it is for.
struct Clause {
    name: &'static str,
    words: &'static [&'static str],
    comment: &'static str,
}

const CLAUSES: [Clause; 15] = [
    Clause {
        name: "governing_law",
        words: &["governing law", "governed by", "jurisdiction", "gerichtsstand", "laws of"],
        comment: "Says which law holds and where a dispute is heard.",
    },
    Clause {
        name: "renewal",
        words: &["renew*", "automatic extension", "verlängert sich", "automatically extended"],
        comment: "Says whether the contract goes on by itself.",
    },
    Clause {
        name: "termination",
        words: &["terminat*", "kündig*", "notice period"],
        comment: "Says who can end the contract, how and when.",
    },
    Clause {
        name: "indemnity",
        words: &["indemnif*", "indemnity", "hold harmless", "freistell*"],
        comment: "One side pays for claims of others against the other side.",
    },
    Clause {
        name: "liability",
        words: &["liabilit*", "liable", "damages", "haft*"],
        comment: "Says who pays for damage and up to what amount.",
    },
    Clause {
        name: "penalty",
        words: &["penalt*", "liquidated damages", "vertragsstrafe", "late payment*", "interest of"],
        comment: "Sets what a breach costs.",
    },
    Clause {
        name: "confidentiality",
        words: &["confidential*", "non-disclosure", "vertraulich*", "geheimhaltung"],
        comment: "Keeps information between the parties.",
    },
    Clause {
        name: "data_protection",
        words: &["personal data", "data protection", "gdpr", "dsgvo", "datenschutz*", "data processing"],
        comment: "Says how personal data is handled.",
    },
    Clause {
        name: "intellectual_property",
        words: &["intellectual property", "copyright*", "work product", "license*", "urheber*", "nutzungsrecht*"],
        comment: "Says who owns what is made.",
    },
    Clause {
        name: "warranty",
        words: &["warrant*", "as is", "gewährleist*", "fitness for a particular purpose"],
        comment: "Says what is promised about the service.",
    },
    Clause {
        name: "exclusivity",
        words: &["exclusiv*", "non-compete", "wettbewerbsverbot", "sole provider"],
        comment: "Keeps a party from working with others.",
    },
    Clause {
        name: "assignment",
        words: &["assign", "assigned", "assignment", "abtret*", "transfer this agreement"],
        comment: "Says whether the contract can be handed on.",
    },
    Clause {
        name: "force_majeure",
        words: &["force majeure", "höhere gewalt", "acts of god"],
        comment: "Says what holds when nobody is to blame.",
    },
    Clause {
        name: "change",
        words: &["change the fees", "modify", "amend*", "may change", "price increase*", "änder*", "adjust the fees"],
        comment: "Says who may change the contract or its price.",
    },
    Clause {
        name: "payment",
        words: &["fee", "fees", "pay", "payment*", "invoice*", "vergütung", "zahlung*", "price*"],
        comment: "Says what is paid and when.",
    },
];

/// Wordings that are risky wherever they stand, with what to ask for instead.
const DANGERS: [(&str, &[&str], &str); 8] = [
    (
        "high",
        &["unlimited", "without limitation", "unbeschränkt*"],
        "Ask for a cap, for example the fees of twelve months, for both sides alike.",
    ),
    (
        "high",
        &["sole discretion", "at any time without", "without notice", "nach eigenem ermessen"],
        "Ask that changes need consent, or give a right to leave within 60 days.",
    ),
    (
        "high",
        &["limited to the fees of one month", "excludes all liability", "no liability", "not be liable"],
        "Ask that the other side's cap is not lower than yours.",
    ),
    (
        "high",
        &["renews automatically", "automatically renew*", "automatic renewal"],
        "Ask for renewal by one year at most with 30 days' notice, or by agreement only.",
    ),
    (
        "medium",
        &["six months", "180 days", "36 months", "60 months", "five years' term"],
        "Ask for a shorter term or a right to leave after the first year.",
    ),
    (
        "medium",
        &["liquidated damages", "penalt*", "vertragsstrafe", "per month"],
        "Check the amount, and ask that it counts against damages.",
    ),
    ("medium", &["as is", "no warrant*"], "Ask for a service level with credits."),
    ("medium", &["exclusiv*", "non-compete", "irrevocabl*", "perpetual*"], "Ask for an end date and a narrow scope."),
];

/// Clauses that a contract usually has.
const USUAL: [(&str, &str); 8] = [
    ("payment", "Payment"),
    ("termination", "Termination"),
    ("liability", "Limit of liability"),
    ("confidentiality", "Confidentiality"),
    ("data_protection", "Data protection"),
    ("intellectual_property", "Intellectual property"),
    ("force_majeure", "Force majeure"),
    ("governing_law", "Governing law"),
];

/// The answer of `contract_review/review`.
pub(super) fn review(call: &Call) -> Value {
    let material = Material::of(call, "contractText");
    let sentences = sentences(&material.text);
    let party = text_of(&call.input, "party");
    let found: Vec<Value> = sentences.iter().filter_map(|sentence| clause(sentence)).take(CLAUSES_MAX).collect();
    let has = |name: &str| found.iter().any(|clause| text_of(clause, "type") == name);
    let missing: Vec<&str> = USUAL.iter().filter(|(name, _)| !has(name)).map(|(_, title)| *title).collect();
    let count = |risk: &str| found.iter().filter(|clause| text_of(clause, "risk") == risk).count();
    let (high, medium) = (count("high"), count("medium"));
    let overall = if high > 0 {
        "high"
    } else if medium > 0 || missing.len() > 3 {
        "medium"
    } else {
        "low"
    };
    let parties = parties(&material.text);
    let mut warnings = material.warnings;
    if !party.is_empty() && !fold(&material.text).contains(&fold(party)) {
        warnings.push("The party that you named does not stand in the contract by this name.".to_owned());
    }
    if ["[●]", "[•]", "____", "tbd", "[date]", "[name]"].iter().any(|blank| fold(&material.text).contains(blank)) {
        warnings.push("The contract has blanks that are not filled in.".to_owned());
    }
    json!({
        "parties": parties,
        "effectiveDate": effective_date(&sentences),
        "term": first(&sentences, &["initial term", "term is", "term of", "laufzeit", "for a period of"]),
        "governingLaw": first(&sentences, &["governed by", "laws of", "recht der", "gerichtsstand"]).map(|text| clip(&text, 290)),
        "clauses": found,
        "missingClauses": missing,
        "overallRisk": overall,
        "warnings": warnings,
        "summary": format!(
            "{} clauses were recognized; {high} of them are of high risk and {medium} of medium. {} usual clauses are missing.",
            found.len(),
            missing.len()
        ),
    })
}

fn clause(sentence: &str) -> Option<Value> {
    let folded = fold(sentence);
    let says = |words: &[&str]| words.iter().any(|word| has_phrase(&folded, word));
    let clause = CLAUSES.iter().find(|clause| says(clause.words))?;
    let danger = DANGERS.iter().find(|(_, words, _)| says(words));
    Some(json!({
        "type": clause.name,
        "excerpt": clip(sentence, 900),
        "risk": danger.map_or("low", |(risk, _, _)| risk),
        "comment": clause.comment,
        "suggestion": danger.map(|(_, _, suggestion)| suggestion),
    }))
}

/// What stands after "between" and after the "and" behind it.
fn parties(text: &str) -> Vec<String> {
    let text = squeeze(text);
    let folded = fold(&text);
    let start =
        ["between ", "zwischen "].iter().find_map(|word| folded.find(word).map(|at| at.saturating_add(word.len())));
    let Some(rest) = start.and_then(|start| text.get(start..)) else { return Vec::new() };
    let folded = fold(rest);
    let Some((at, word)) = [" and ", " und "].iter().find_map(|word| folded.find(word).map(|at| (at, word))) else {
        return Vec::new();
    };
    let (one, other) =
        (rest.get(..at).unwrap_or_default(), rest.get(at.saturating_add(word.len())..).unwrap_or_default());
    let name = |text: &str| {
        let end = text.find(['(', '"', ',', ';', '\n', '„', '“']).unwrap_or(text.len());
        let name = text.get(..end).unwrap_or_default();
        let name = name.split(". ").next().unwrap_or_default().trim().trim_end_matches('.');
        clip(name, 200)
    };
    [name(one), name(other)].into_iter().filter(|name| !name.is_empty()).collect()
}

fn effective_date(sentences: &[String]) -> Option<String> {
    let starts = |sentence: &&String| {
        let folded = fold(sentence);
        ["effective", "dated", "commenc*", "starts on", "beginnt am", "tritt am", "as of"]
            .iter()
            .any(|word| has_phrase(&folded, word))
    };
    sentences.iter().filter(starts).find_map(|sentence| match dates::find(sentence, Order::Unknown)? {
        dates::Found::Sure(date) => Some(date.to_string()),
        dates::Found::Ambiguous => None,
    })
}

fn first(sentences: &[String], words: &[&str]) -> Option<String> {
    let says = |sentence: &&String| words.iter().any(|word| has_phrase(&fold(sentence), word));
    sentences.iter().find(says).map(|sentence| clip(sentence, 450))
}

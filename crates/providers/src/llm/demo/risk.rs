//! `risk_assessment`: known signs of risk, each with the sentence that it was found in.

use serde_json::{Value, json};

use super::decimal::Decimal;
use super::text::{clip, fold, has_phrase, sentences};
use super::text_of;

const FACTORS_MAX: usize = 30;

/// A sign of risk: its name, its weight in points, the phrases that show it, and what would lessen it.
struct Sign {
    name: &'static str,
    points: u8,
    phrases: &'static [&'static str],
    mitigation: &'static str,
}

const SIGNS: [Sign; 14] = [
    Sign {
        name: "Insolvency",
        points: 45,
        phrases: &["bankrupt*", "insolven*", "chapter 11", "receivership", "liquidation"],
        mitigation: "Stop deliveries on credit and register the open claims with the administrator.",
    },
    Sign {
        name: "Sanctions or crime",
        points: 45,
        phrases: &[
            "sanction*",
            "fraud*",
            "money laundering",
            "bribe*",
            "corruption",
            "embargo",
            "geldwäsche",
            "betrug*",
        ],
        mitigation: "Have compliance screen the partner before anything is signed or paid.",
    },
    Sign {
        name: "Late payment",
        points: 18,
        phrases: &[
            "paid late",
            "late payment*",
            "overdue",
            "reminder*",
            "arrears",
            "default*",
            "past due",
            "mahnung*",
            "überfällig*",
            "verspätet*",
        ],
        mitigation: "Ask for prepayment or a guarantee until three invoices in a row were paid in time.",
    },
    Sign {
        name: "Dispute",
        points: 16,
        phrases: &["lawsuit*", "litigation", "sued", "dispute*", "claim*", "klage*", "rechtsstreit*", "arbitration"],
        mitigation: "Ask counsel for the amount in dispute and set it off against the exposure.",
    },
    Sign {
        name: "Dependence on one party",
        points: 14,
        phrases: &[
            "single supplier",
            "sole supplier",
            "only supplier",
            "largest customer",
            "single customer",
            "main customer",
            "key person",
            "einziger lieferant",
        ],
        mitigation: "Name a second source or customer, and what it would take to switch.",
    },
    Sign {
        name: "Weak finances",
        points: 16,
        phrases: &[
            "loss",
            "losses",
            "lost",
            "negative equity",
            "liquidity",
            "cash shortage",
            "high debt",
            "over-indebted",
            "verlust*",
            "downgrade*",
            "declin*",
        ],
        mitigation: "Ask for the latest annual accounts and a liquidity plan for the next six months.",
    },
    Sign {
        name: "Long payment terms",
        points: 10,
        phrases: &["60 days", "90 days", "120 days", "180 days", "90 tage", "60 tage"],
        mitigation: "Offer a discount for payment within 14 days, or sell the claim.",
    },
    Sign {
        name: "Changed control",
        points: 8,
        phrases: &[
            "auditor changed",
            "new auditor",
            "management change",
            "new ceo",
            "resigned",
            "change of control",
            "acquired by",
            "restructur*",
        ],
        mitigation: "Talk to the new people in charge and have them confirm open agreements.",
    },
    Sign {
        name: "Data or security",
        points: 16,
        phrases: &["data breach*", "breach*", "cyber*", "hacked", "ransomware", "leak*", "datenleck*"],
        mitigation: "Ask for the incident report and for proof that the gap is closed.",
    },
    Sign {
        name: "Compliance",
        points: 14,
        phrases: &[
            "violation*",
            "non-complian*",
            "fine",
            "fined",
            "penalt*",
            "regulator*",
            "investigation*",
            "verstoß*",
            "bußgeld*",
        ],
        mitigation: "Get the authority's letter and a dated plan to put it right.",
    },
    Sign {
        name: "No history",
        points: 8,
        phrases: &[
            "new customer",
            "new supplier",
            "newly founded",
            "start-up",
            "startup",
            "no track record",
            "no references",
            "founded last year",
        ],
        mitigation: "Begin with a small order and collect two references.",
    },
    Sign {
        name: "Missing agreement",
        points: 12,
        phrases: &[
            "no contract",
            "without contract",
            "verbal",
            "oral agreement",
            "unsigned",
            "no written",
            "mündlich*",
        ],
        mitigation: "Put the agreement in writing before the first delivery.",
    },
    Sign {
        name: "Delay or overrun",
        points: 10,
        phrases: &[
            "behind schedule",
            "delay*",
            "over budget",
            "overrun*",
            "postponed",
            "missed deadline*",
            "verzögerung*",
        ],
        mitigation: "Agree on a new plan with dates, and on what happens when one is missed.",
    },
    Sign {
        name: "Currency or country",
        points: 8,
        phrases: &[
            "foreign currency",
            "exchange rate*",
            "political*",
            "war",
            "tariff*",
            "export control*",
            "wechselkurs*",
        ],
        mitigation: "Fix the rate or the price for the length of the deal.",
    },
];

/// What speaks against risk takes points away.
const RELIEFS: [&str; 14] = [
    "insured",
    "insurance",
    "guarantee*",
    "secured",
    "collateral",
    "prepaid",
    "prepayment",
    "since 19*",
    "since 20*",
    "long-standing",
    "audited",
    "certified",
    "always paid",
    "versichert",
];

/// The answer of `risk_assessment/assess`.
pub(super) fn assess(input: &Value) -> Value {
    let sentences = sentences(text_of(input, "description"));
    let mut found: Vec<(&Sign, &String)> = Vec::new();
    for sign in &SIGNS {
        let hit = sentences.iter().find(|sentence| {
            let folded = fold(sentence);
            sign.phrases.iter().any(|phrase| has_phrase(&folded, phrase) && !denied(&folded, phrase))
        });
        found.extend(hit.map(|sentence| (sign, sentence)));
    }
    let reliefs =
        sentences.iter().filter(|sentence| RELIEFS.iter().any(|phrase| has_phrase(&fold(sentence), phrase))).count();
    let large = input.get("amount").and_then(Decimal::from_json).is_some_and(|amount| amount >= Decimal::whole(50_000));
    let points: u32 = found.iter().map(|(sign, _)| u32::from(sign.points)).sum();
    let raised = points.saturating_add(if large && !found.is_empty() { 8 } else { 0 });
    let relief = u32::try_from(reliefs.min(3)).unwrap_or(3).saturating_mul(6);
    let critical = found.iter().any(|(sign, _)| sign.points >= 40);
    let score = raised.saturating_sub(relief).clamp(if critical { 50 } else { 0 }, 100);
    found.sort_by_key(|(sign, _)| std::cmp::Reverse(sign.points));
    let factors: Vec<Value> = found
        .iter()
        .take(FACTORS_MAX)
        .map(|(sign, sentence)| {
            json!({
                "name": sign.name,
                "severity": severity(sign.points),
                "evidence": clip(sentence, 900),
                "mitigation": sign.mitigation,
            })
        })
        .collect();
    let level = level(score);
    json!({
        "level": level,
        "score": score,
        "summary": summary(level, score, &found, reliefs),
        "factors": factors,
        "recommendation": recommendation(level),
        "missingInformation": missing(input, &sentences),
    })
}

/// "No lawsuits are known" is no lawsuit.
fn denied(folded: &str, phrase: &str) -> bool {
    let stem = phrase.trim_end_matches('*');
    let before = folded.split(stem).next().unwrap_or_default();
    let last: Vec<&str> = before.split_whitespace().rev().take(2).collect();
    let own = ["no ", "without "].iter().any(|word| phrase.starts_with(word));
    !own && last
        .iter()
        .any(|word| matches!(*word, "no" | "never" | "not" | "without" | "keine" | "kein" | "nie" | "ohne"))
}

fn severity(points: u8) -> &'static str {
    match points {
        0..=9 => "low",
        10..=15 => "medium",
        16..=39 => "high",
        _ => "critical",
    }
}

fn level(score: u32) -> &'static str {
    match score {
        0..=24 => "low",
        25..=49 => "medium",
        50..=74 => "high",
        _ => "critical",
    }
}

fn summary(level: &str, score: u32, found: &[(&Sign, &String)], reliefs: usize) -> String {
    let names: Vec<String> = found.iter().take(3).map(|(sign, _)| sign.name.to_lowercase()).collect();
    if names.is_empty() {
        return format!("No known sign of risk was found in the case; the risk is {level} ({score} of 100).");
    }
    let relief = if reliefs > 0 { " Securities and history speak for it and were counted." } else { "" };
    format!("The risk is {level} ({score} of 100), mainly because of {}.{relief}", names.join(", "))
}

fn recommendation(level: &str) -> &'static str {
    match level {
        "low" => "Proceed, and look again when something changes.",
        "medium" => "Proceed with the mitigations named, and review in three months.",
        "high" => "Do not proceed before the severe factors are lessened and someone with authority has agreed.",
        _ => "Do not proceed.",
    }
}

fn missing(input: &Value, sentences: &[String]) -> Vec<&'static str> {
    let folded = fold(&sentences.join(" "));
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| has_phrase(&folded, phrase));
    let questions = [
        (input.get("amount").is_none(), "How much money is at stake, and for how long?"),
        (
            !says(&["since", "years", "seit", "history", "new customer", "new supplier"]),
            "How long has the relation lasted, and how did it go?",
        ),
        (
            !says(&["insur*", "guarantee*", "collateral", "secured", "prepa*", "versicher*"]),
            "Is any of it insured, secured or paid in advance?",
        ),
        (
            !says(&["contract*", "agreement*", "vertrag*", "terms"]),
            "Is there a written contract, and who can end it when?",
        ),
    ];
    questions.into_iter().filter(|(open, _)| *open).map(|(_, question)| question).collect()
}

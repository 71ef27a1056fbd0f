//! Style as a test: what neither the compiler nor clippy says. No dependencies, so that `make test` can compile and
//! run it before anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;
const ARCHITECTURE_LINES_MAX: usize = 300;

/// Who may depend on what. A line here is a decision: say why in the commit that changes it.
const DEPENDENCIES: [(&str, &str, &str); 4] = [
    ("domain", "croner jiff serde thiserror", "proptest"),
    (
        "store",
        "domain ring rusqlite rustls serde serde_json sqlx thiserror tokio tokio-postgres tokio-postgres-rustls tracing url \
         uuid webpki-roots",
        "proptest tempfile",
    ),
    (
        "providers",
        "async-trait base64 bytes domain futures-util jiff lettre lopdf object_store reqwest rustls serde serde_json thiserror tokio tracing zeroize",
        "jsonschema serde-saphyr",
    ),
    (
        "server",
        "argon2 async-trait axum base64 bytes clap crc32fast domain fastrand futures-util http-body-util hyper hyper-util jiff \
         jsonschema jsonwebtoken metrics metrics-exporter-prometheus mimalloc minijinja providers quick_cache ring rust-embed serde \
         serde-saphyr serde_json serde_path_to_error store tempfile thiserror tokio tokio-util tower tower-http tracing \
         tracing-subscriber utoipa utoipa-axum uuid zeroize",
        "reqwest rusqlite rustls tokio-postgres tokio-tungstenite",
    ),
];

/// What may name a database driver; everything else goes through `db.rs`. The tests make and drop databases.
const NAME_DRIVERS: [&str; 4] =
    ["crates/store/src/db.rs", "crates/store/src/error.rs", "crates/store/src/gate/", "crates/store/src/tests/"];
const DRIVERS: [&str; 3] = ["sqlx::", "rusqlite::", "tokio_postgres::"];

/// Marks of work that is not done, and of tests that do not run. Written in pieces, since this file is read as well.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[", "ignore"),
];
const NARROWED: [&str; 3] = [concat!(".on", "ly("), concat!(".sk", "ip("), concat!(".fix", "me(")];

/// What only one machine knows: its folders, and the package registries that it happens to use.
const LOCAL: [&str; 7] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("registry.", "npmjs"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("files.", "pythonhosted"),
    concat!("deb.", "debian.org"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/server lies two folders down").to_owned()
}

/// Every text file that is committed or would be, with its path from the root.
fn files() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "-co", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let read = |name: &str| Some((name.to_owned(), std::fs::read_to_string(root().join(name)).ok()?));
    names.lines().filter_map(read).collect()
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    Path::new(path).extension().and_then(|e| e.to_str()).is_some_and(|found| extensions.contains(&found))
}

fn is_script(path: &str) -> bool {
    has_extension(path, &["ts", "tsx", "js", "mjs"])
}

/// The lines of a file that contain one of the words, as `path:line: text`.
fn lines_with<'a>(path: &'a str, text: &'a str, words: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    let hits = text.lines().zip(1..).filter(|(line, _)| words.iter().any(|word| line.contains(word)));
    hits.map(move |(line, number)| format!("{path}:{number}: {}", line.trim()))
}

fn none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}\n  {}\n", found.join("\n  "));
}

/// Rust without what is inside comments, strings and characters; line breaks stay, so that lines can be counted.
fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = skipped_len(rest, code.chars().next_back());
        let taken = if skipped == 0 { first.len_utf8() } else { skipped };
        let (piece, after) = rest.split_at(taken);
        if skipped == 0 {
            code.push(first);
        } else {
            code.extend(piece.chars().filter(|c| *c == '\n'));
            code.push(' ');
        }
        rest = after;
    }
    code
}

/// How much of the start of `text` is a comment, a string or a character; 0 when it is code.
fn skipped_len(text: &str, before: Option<char>) -> usize {
    let until = |from: usize, end: &str| {
        let found = text.get(from..).and_then(|rest| rest.find(end));
        found.map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return until(2, "*/");
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if let Some(tail) = text.strip_prefix('r').filter(|_| !in_word) {
        let opening = tail.trim_start_matches('#');
        let hashes = tail.len() - opening.len();
        if opening.starts_with('"') {
            return until(2 + hashes, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if text.starts_with('"') {
        return quoted_len(text, '"');
    }
    let (second, third) = (text.chars().nth(1), text.chars().nth(2));
    let is_character = text.starts_with('\'') && (second == Some('\\') || third == Some('\''));
    if is_character { quoted_len(text, '\'') } else { 0 }
}

fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Name and number of lines of each function with a body, from `fn` to its closing brace.
fn functions(source: &str) -> Vec<(String, usize)> {
    let code = code_only(source);
    let measure = |(at, keyword): (usize, &str)| {
        let (before, from) = code.split_at(at);
        let in_word = before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let name = from.strip_prefix(keyword)?.chars().take_while(|c| c.is_alphanumeric() || *c == '_');
        let name: String = Some(name.collect()).filter(|name: &String| !in_word && !name.is_empty())?;
        let (body, _) = from.split_at(body_end(from)?);
        Some((name, body.matches('\n').count() + 1))
    };
    code.match_indices("fn ").filter_map(measure).collect()
}

/// Where the body of the function at the start of `code` ends; nothing for a declaration without one.
fn body_end(code: &str) -> Option<usize> {
    let (mut depth, mut in_body) = (0_usize, false);
    for (at, c) in code.char_indices() {
        match c {
            ';' if depth == 0 => return None,
            '{' if depth == 0 => (depth, in_body) = (1, true),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if in_body && depth == 0 {
            return Some(at);
        }
    }
    None
}

#[test]
fn functions_stay_below_their_limit() {
    let rust = files().into_iter().filter(|(path, _)| has_extension(path, &["rs"]));
    let long: Vec<_> = rust
        .flat_map(|(path, text)| functions(&text).into_iter().map(move |(name, lines)| (path.clone(), name, lines)))
        .filter(|(_, _, lines)| *lines > FUNCTION_LINES_MAX)
        .map(|(path, name, lines)| format!("{path}: {name} has {lines} lines"))
        .collect();
    none(&long, "a function has at most 70 lines: let the parent decide and helpers compute");
}

#[test]
fn files_stay_below_their_limit() {
    let source = |path: &str| has_extension(path, &["rs", "ts", "tsx", "mjs", "sh"]) && !path.contains("generated");
    let long: Vec<_> = files()
        .into_iter()
        .filter(|(path, text)| source(path) && text.lines().count() > FILE_LINES_MAX)
        .map(|(path, text)| format!("{path}: {} lines", text.lines().count()))
        .collect();
    none(&long, "a source file has at most 500 lines: make a folder of its noun");
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    assert!(architecture.lines().count() <= ARCHITECTURE_LINES_MAX, "ARCHITECTURE.md has at most 300 lines");
}

#[test]
fn each_crate_depends_on_what_the_table_says() {
    for (name, normal, dev) in DEPENDENCIES {
        let manifest =
            std::fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).expect("a manifest");
        let sections = dependencies(&manifest);
        for (section, wanted) in [("dependencies", normal), ("dev-dependencies", dev)] {
            let wanted: BTreeSet<_> = wanted.split_whitespace().map(str::to_owned).collect();
            let found = sections.get(section).cloned().unwrap_or_default();
            let (extra, gone): (Vec<_>, Vec<_>) =
                (found.difference(&wanted).collect(), wanted.difference(&found).collect());
            let agree = extra.is_empty() && gone.is_empty();
            assert!(agree, "crates/{name} [{section}]: {extra:?} is not in the table of tidy.rs, {gone:?} only there");
        }
        let others: Vec<_> =
            sections.keys().filter(|s| !["dependencies", "dev-dependencies"].contains(&s.as_str())).collect();
        assert!(others.iter().all(|s| !s.contains("dependencies")), "crates/{name}: {others:?} is not in the table");
    }
    let folders = std::fs::read_dir(root().join("crates")).expect("crates/").count();
    assert_eq!(folders, DEPENDENCIES.len(), "a new crate needs a dependency to fence, and a line in the table");
}

/// The keys of each section of a manifest.
fn dependencies(manifest: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in manifest.lines() {
        if let Some(head) = line.strip_prefix('[') {
            head.trim_matches(['[', ']']).clone_into(&mut section);
            sections.entry(section.clone()).or_default();
        } else if let Some(key) = line.split(['.', '=', ' ']).next().filter(|key| !key.is_empty() && *key != "#") {
            sections.entry(section.clone()).or_default().insert(key.to_owned());
        }
    }
    sections
}

#[test]
fn only_the_store_s_edge_names_a_driver() {
    let guarded = |path: &str| {
        path.starts_with("crates/") && path.contains("/src/") && !NAME_DRIVERS.iter().any(|p| path.starts_with(p))
    };
    let found: Vec<_> = files()
        .iter()
        .filter(|(path, _)| has_extension(path, &["rs"]) && guarded(path))
        .flat_map(|(path, text)| lines_with(path, text, &DRIVERS).collect::<Vec<_>>())
        // The derive of a row's struct names no database.
        .filter(|line| !line.ends_with(" use sqlx::FromRow;"))
        .collect();
    none(&found, "drivers are named in store/src/db.rs and store/src/gate/ alone (DESIGN §2)");
}

#[test]
fn rings_of_the_server_point_inwards() {
    let ring = |folder: &str, words: &[&str]| {
        let inside = files().into_iter().filter(|(path, _)| path.starts_with(folder) && has_extension(path, &["rs"]));
        inside.flat_map(|(path, text)| lines_with(&path, &text, words).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let http = ["axum::", "crate::http::", "hyper::"];
    none(&ring("crates/server/src/app/", &http), "use cases know nothing of HTTP");
    none(&ring("crates/server/src/http/", &["store::db::"]), "handlers open no transaction: call a use case");
    let impure = ["async fn", "SystemTime", "Timestamp::now", "Instant::now", "std::fs", "std::net", "std::env"];
    none(&ring("crates/domain/src/", &impure), "the domain has no clock, no I/O and nothing asynchronous");
}

#[test]
fn every_problem_is_documented() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("the file is there");
    let (errors, page) = (read("crates/server/src/error.rs"), read("docs/problems.md"));
    // `Self::Taken => (409, "taken", "It exists already"),`
    let rows = errors.lines().filter_map(|line| {
        let (status, names) = line.split_once("=> (")?.1.split_once(", \"")?;
        let (code, title) = names.split_once("\", \"")?;
        Some(format!("| `{code}` | {status} | {} |", title.strip_suffix("\"),")?))
    });
    let rows: Vec<_> = rows.collect();
    assert!(!rows.is_empty(), "the table in error.rs is written otherwise: read it here as it is now");
    let missing: Vec<_> = rows.into_iter().filter(|row| !page.contains(row)).collect();
    none(&missing, "docs/problems.md has a line for every code of error.rs, beginning with");
}

#[test]
fn nothing_is_left_unfinished() {
    let found: Vec<_> = files()
        .iter()
        .filter(|(path, _)| has_extension(path, &["rs", "sh", "sql", "yaml", "toml", "css", "html"]) || is_script(path))
        .flat_map(|(path, text)| {
            let narrowed = if is_script(path) { &NARROWED[..] } else { &[] };
            lines_with(path, text, &UNFINISHED).chain(lines_with(path, text, narrowed)).collect::<Vec<_>>()
        })
        .collect();
    none(&found, "finish it, or write an issue and leave no mark; every test runs");
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let found: Vec<_> =
        files().iter().flat_map(|(path, text)| lines_with(path, text, &LOCAL).collect::<Vec<_>>()).collect();
    none(&found, "no folder of one machine and no registry's host belongs into the repository");
}

#[test]
fn the_counting_sees_through_strings_comments_and_lifetimes() {
    let source = "fn a<'x>(s: &'x str) -> [u8; 2] {\n  let q = '\"'; let b = '{'; // }\n  let r = r#\"fn no() {\"#;\n  s\n}\n\
                  trait T { fn declared(&self) -> [u8; 3]; }\nconst F: fn(u8) = drop;\nfn b() {}\n";
    assert_eq!(functions(source), [("a".to_owned(), 5), ("b".to_owned(), 1)]);
}

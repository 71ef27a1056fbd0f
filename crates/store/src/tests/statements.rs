//! Every statement of the crate prepares on both databases, and each that names a tenant's table names the tenant.

use std::path::{Path, PathBuf};

use tokio_postgres::NoTls;

use super::fresh::{on_postgres, on_sqlite};
use crate::db::{Db, Location, POSTGRES_WORDS, SQLITE_WORDS};

/// Statements about all tenants: file, beginning, and why it may be.
const ABOUT_ALL_TENANTS: &[(&str, &str, &str)] = &[
    ("tenant.rs", "SELECT tenant_id, slug, name", "a tenant is found by its slug, and the operator lists all"),
    ("key.rs", "SELECT tenant_id, key_id, name", "a key's secret says which tenant it is of"),
    ("sandbox.rs", "SELECT tenant_id, sandbox_subscription_id", "its token says which tenant an approval is of"),
    ("mail.rs", "SELECT DISTINCT tenant_id FROM email", "one runner sends for all"),
    ("mail.rs", "DELETE FROM email WHERE created_at", "what is old is dropped for all"),
    ("account_token.rs", "SELECT tenant_id, request_id", "one runner answers for all"),
    ("account_token.rs", "DELETE FROM password_request WHERE at", "what is old is dropped for all"),
    ("account_token.rs", "DELETE FROM account_token WHERE expires_at", "what is over is dropped for all"),
    ("notice.rs", "SELECT DISTINCT tenant_id FROM crossing", "one teller works for all"),
    ("notice.rs", "DELETE FROM notification_read WHERE at", "what is old is dropped for all"),
    ("notice.rs", "DELETE FROM notification WHERE at", "what is old is dropped for all"),
    ("notice.rs", "DELETE FROM notice WHERE at", "what is old is dropped for all"),
    ("clock.rs", "SELECT t.tenant_id FROM tenant t", "one runner works for all"),
    ("job.rs", "SELECT tenant_id, job_id, kind", "one runner works for all"),
    ("job.rs", "SELECT MIN(CASE WHEN leased_until", "one runner works for all"),
    (
        "job.rs",
        "UPDATE job SET leased_until = NULL WHERE state",
        "a process that is alone ends all leases of the last one",
    ),
    ("usage.rs", "DELETE FROM ai_result WHERE expires_at", "what is over is dropped for all"),
    ("usage.rs", "DELETE FROM creation WHERE at", "what is over is dropped for all"),
    ("usage.rs", "DELETE FROM idempotency WHERE at", "what is over is dropped for all"),
    ("audit.rs", "SELECT t.tenant_id FROM tenant t", "one sealer begins the chains of all"),
    ("audit.rs", "SELECT DISTINCT tenant_id", "one sealer works for all"),
    ("doctor/", "SELECT", "the operator's check is of the whole database"),
    ("doctor/", "DELETE FROM counter", "all counters are made anew from their events"),
];

struct Statement {
    place: String,
    text: String,
}

/// All texts of `sql!` under `src`.
fn statements() -> Vec<Statement> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for file in files(&root, "rs") {
        let source = std::fs::read_to_string(&file).expect("a source file reads");
        let name = file.strip_prefix(&root).expect("inside").display().to_string();
        if name == "tests/statements.rs" {
            continue;
        }
        let mut line = 1;
        let mut parts = source.split("sql!(");
        line += parts.next().map_or(0, |before| before.matches('\n').count());
        for part in parts {
            if let Some(literal) = part.trim_start().strip_prefix('"') {
                found.push(Statement { place: format!("{name}:{line}"), text: unescape(literal) });
            }
            line += part.matches('\n').count();
        }
    }
    found
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder reads") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found
}

/// The text of a string literal up to its closing quote.
fn unescape(literal: &str) -> String {
    let mut text = String::new();
    let mut characters = literal.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('"', _) => return text,
            ('\\', Some('\n')) => while characters.next_if(|next| next.is_whitespace()).is_some() {},
            ('\\', _) => text.extend(characters.next()),
            _ => text.push(character),
        }
    }
    panic!("a literal without an end: {literal}");
}

/// A statement in the words of one database.
fn in_words(text: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[test]
fn the_statements_are_found() {
    let all = statements();
    assert!(all.len() > 80, "only {} statements", all.len());
    assert!(all.iter().any(|statement| statement.text.starts_with("SELECT MIN(CASE WHEN leased_until")));
    assert_eq!(
        unescape(
            r#"a \"b\" \
        c" rest"#
        ),
        "a \"b\" c"
    );
}

#[test]
fn every_statement_prepares_on_sqlite() {
    on_sqlite(|location| async move {
        let Location::Sqlite(path) = &location else { panic!("this is about SQLite") };
        let _db = Db::open(&location).await.expect("it opens");
        let connection = rusqlite::Connection::open(path).expect("it opens");
        let dialect = |statement: &Statement| in_words(&statement.text, &SQLITE_WORDS);
        // What is about the server itself is asked of PostgreSQL alone.
        let all = statements().into_iter().filter(|statement| !statement.text.contains("pg_"));
        let failed: Vec<_> = all
            .filter_map(|statement| {
                let error = connection.prepare(&dialect(&statement)).err()?;
                Some(format!("{}: {error}", statement.place))
            })
            .collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    });
}

#[test]
fn every_statement_prepares_on_postgres() {
    on_postgres(|location| async move {
        let Location::Postgres(url) = &location else { panic!("this is about PostgreSQL") };
        let _db = Db::open(&location).await.expect("it opens");
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("it connects");
        let driving = tokio::runtime::Handle::current().spawn(connection);
        let mut failed = Vec::new();
        for statement in statements() {
            if let Err(error) = client.prepare(&in_words(&statement.text, &POSTGRES_WORDS)).await {
                let why = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
                failed.push(format!("{}: {why}", statement.place));
            }
        }
        drop(client);
        driving.await.expect("the connection ends").expect("it ends well");
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    });
}

/// The tables whose rows belong to a tenant.
fn tenant_tables() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let migrations = files(&folder, "sql").into_iter().map(|file| std::fs::read_to_string(file).expect("it reads"));
    let text = migrations.collect::<Vec<_>>().join("\n");
    let tables = text.split("CREATE TABLE ").skip(1).filter(|text| {
        text.split(";\n").next().is_some_and(|definition| definition.contains("tenant_id TEXT NOT NULL"))
    });
    tables.filter_map(|text| text.split_whitespace().next()).map(str::to_owned).collect()
}

/// Whether a statement reads or writes a table: its name follows one of these words.
fn names(text: &str, table: &str) -> bool {
    let words: Vec<_> =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    words.windows(2).any(|pair| ["FROM", "JOIN", "INTO", "UPDATE"].contains(&pair[0]) && pair[1] == table)
}

fn is_scoped(text: &str) -> bool {
    if text.starts_with("INSERT INTO ") {
        return text.split(')').next().is_some_and(|columns| columns.contains("(tenant_id"));
    }
    text.split_once(" WHERE ").is_some_and(|(_, condition)| condition.contains("tenant_id = $"))
}

#[test]
fn every_statement_about_a_tenants_table_names_the_tenant() {
    let tables = tenant_tables();
    assert!(tables.len() > 20 && tables.contains(&"counter".to_owned()), "{tables:?}");
    let mut unused: Vec<_> = ABOUT_ALL_TENANTS.iter().collect();
    let mut failed = Vec::new();
    for statement in statements().into_iter().filter(|statement| !statement.place.starts_with("tests/")) {
        if !tables.iter().any(|table| names(&statement.text, table)) || is_scoped(&statement.text) {
            continue;
        }
        let lawful = |(file, beginning, _): &&(&str, &str, &str)| {
            statement.place.starts_with(file) && statement.text.starts_with(beginning)
        };
        match ABOUT_ALL_TENANTS.iter().find(lawful) {
            Some(exception) => unused.retain(|other| *other != exception),
            None => failed.push(format!("{}: {}", statement.place, statement.text)),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(unused.is_empty(), "these exceptions are needed no more: {unused:?}");
}

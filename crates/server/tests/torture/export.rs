//! An export of a long list needs no more memory than one of a short one.

use crate::support::{Database, Server, on_sqlite};

const USERS: i64 = 20_000;
/// What the allocator and SQLite's caches may take; the list itself is several times that.
const GROWTH_KB_MAX: i64 = 24_000;

/// The most memory that a process ever had, in KiB.
fn peak_kb(server: &Server) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number")
}

/// Plants users, each with a customer on Starter.
fn plant(data: &std::path::Path) {
    let connection = rusqlite::Connection::open(data.join("tollgate.db")).expect("it opens");
    let numbers = format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {USERS})");
    let tenant = "(SELECT tenant_id FROM tenant WHERE slug = 'halisoft')";
    let plan = "(SELECT plan_id FROM plan WHERE slug = 'starter')";
    connection
        .execute_batch(&format!(
            "BEGIN;
             {numbers} INSERT INTO customer (tenant_id, customer_id, external_id, email, name, anchor, suspended, entitlement_version, created_at)
               SELECT {tenant}, printf('cus_%026d', i), 'e' || i, NULL, 'Customer ' || i, 0, false, 1, 0 FROM n;
             {numbers} INSERT INTO customer_summary (tenant_id, customer_id, worst, near, valid_until, catalog, version)
               SELECT {tenant}, printf('cus_%026d', i), 0, 0, 0, 0, 0 FROM n;
             {numbers} INSERT INTO subscription (tenant_id, subscription_id, customer_id, plan_id, price_id, status, period_start, created_at)
               SELECT {tenant}, printf('sub_%026d', i), printf('cus_%026d', i), {plan}, NULL, 'active', 0, 0 FROM n;
             {numbers} INSERT INTO user_account (tenant_id, user_id, email, name, password_hash, role, customer_id, verified, created_at)
               SELECT {tenant}, printf('usr_%026d', i), 'u' || i || '@long.example', 'User ' || i, 'x', 'user', printf('cus_%026d', i), true, 0 FROM n;
             COMMIT"
        ))
        .expect("the rows are planted");
}

/// Reads an export to its end; answers its bytes and lines, and how many were promised.
async fn read(server: &Server, token: &str, path: &str) -> (usize, usize, i64) {
    let mut answer =
        server.http.get(format!("{}{path}", server.url)).bearer_auth(token).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let total = answer.headers()["x-total-count"].to_str().ok().and_then(|text| text.parse().ok()).expect("a number");
    let (mut bytes, mut lines) = (0, 0);
    while let Some(piece) = answer.chunk().await.expect("it comes whole") {
        bytes += piece.len();
        lines += piece.split(|byte| *byte == b'\n').count() - 1;
    }
    (bytes, lines, total)
}

#[test]
fn an_export_of_twenty_thousand_users_keeps_memory_flat() {
    on_sqlite(|| async {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Server::start(&Database::Sqlite, folder.path(), &["--demo"], &[]).stop().success());
        plant(folder.path());
        let server = Server::start(&Database::Sqlite, folder.path(), &["--demo"], &[]);
        let token = server.sign_in("admin@halisoft.example").await;
        let warm = read(&server, &token, "/api/admin/users?format=csv&q=u1").await;
        assert!(warm.1 > 1_000, "{warm:?}");
        let before = peak_kb(&server);
        for path in ["/api/admin/users?format=csv", "/api/admin/users?format=json", "/api/admin/customers?format=csv"] {
            let (bytes, lines, total) = read(&server, &token, path).await;
            assert!(
                total >= USERS && lines > 20_000 && bytes > 4_000_000,
                "{path}: {bytes} bytes, {lines} lines, {total}"
            );
        }
        let grown = peak_kb(&server) - before;
        assert!(grown < GROWTH_KB_MAX, "{grown} KiB more");
        assert!(server.stop().success());
    });
}

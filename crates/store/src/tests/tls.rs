//! The pool and the gate reach PostgreSQL over TLS as the URL says. The server of the tests offers it with a certificate
//! of its own (`scripts/postgres.sh`).

use tokio_postgres::NoTls;

use super::bench::*;
use super::fresh::on_postgres;
use crate::db::{Db, Location};
use crate::gate::{Answer, Command, Gate};

/// What a query of one text column answers.
async fn ask(url: &str, query: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the server answers");
    let driving = tokio::runtime::Handle::current().spawn(connection);
    let answer = client.query_one(query, &[]).await.expect("a row").get(0);
    drop(client);
    driving.await.expect("the connection ends").expect("it ends well");
    answer
}

fn with_tls(url: &str, query: &str) -> Location {
    let (base, _) = url.split_once('?').unwrap_or((url, ""));
    Location::Postgres(format!("{base}?{query}"))
}

#[test]
fn pool_and_gate_encrypt_what_the_url_asks_them_to() {
    on_postgres(|location| async move {
        let Location::Postgres(plain) = &location else { panic!("this is about PostgreSQL") };
        let certificate = ask(plain, "SELECT current_setting('ssl_cert_file')").await;
        for query in ["sslmode=require".to_owned(), format!("sslmode=verify-full&sslrootcert={certificate}")] {
            let bench = Bench::open(with_tls(plain, &query)).await;
            if query == "sslmode=require" {
                insert_tenant(&bench.db, "ten_1").await;
            }
            let used = bench.run(Command::Consume(vec![item(&hard("calls", 9), 1)])).await;
            assert!(matches!(used, Answer::Done(_)), "{used:?}");
            let open = "SELECT string_agg(DISTINCT application_name || ' ' || ssl::text, ', ') FROM pg_stat_ssl \
                JOIN pg_stat_activity USING (pid) WHERE datname = current_database() AND application_name LIKE 'tollgate%'";
            assert_eq!(ask(plain, open).await, "tollgate gate true, tollgate true", "{query}");
            bench.close().await;
        }
    });
}

#[test]
fn a_server_that_nobody_vouches_for_is_refused_when_the_url_asks_for_proof() {
    on_postgres(|location| async move {
        let Location::Postgres(plain) = &location else { panic!("this is about PostgreSQL") };
        let db = Db::open(&location).await.expect("it opens");
        for mode in ["verify-ca", "verify-full"] {
            let strict = with_tls(plain, &format!("sslmode={mode}"));
            let why = Db::open(&strict).await.map(|_| ()).expect_err("the pool asks for proof").to_string();
            assert!(why.contains("sslrootcert"), "{why}");
            let Location::Postgres(url) = strict else { panic!("it was PostgreSQL") };
            let gate = Gate::start(&db.elsewhere(&url), clock).await;
            let why = gate.map(|_| ()).expect_err("the gate asks for proof").to_string();
            assert!(why.contains("sslrootcert"), "{why}");
        }
    });
}

//! What the API does not show, read or planted in the database itself. On SQLite the server must be stopped.

use std::path::Path;

use super::support::{Database, admin};

/// Runs statements.
pub async fn execute(database: &Database, data: &Path, statements: &str) {
    match database {
        Database::Sqlite => {
            let connection = rusqlite::Connection::open(data.join("tollgate.db")).expect("the file opens");
            connection.execute_batch(statements).expect("the statements run");
        }
        Database::Postgres(url) => admin(url, statements).await,
    }
}

/// The first column, a text, of every row.
pub async fn texts(database: &Database, data: &Path, query: &str) -> Vec<String> {
    match database {
        Database::Sqlite => {
            let connection = rusqlite::Connection::open(data.join("tollgate.db")).expect("the file opens");
            let mut statement = connection.prepare(query).expect("the query is right");
            let rows = statement.query_map([], |row| row.get(0)).expect("the query runs");
            rows.collect::<Result<_, _>>().expect("texts")
        }
        Database::Postgres(url) => {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("it answers");
            let running = tokio::runtime::Handle::current().spawn(connection);
            let rows = client.query(query, &[]).await.expect("the query runs");
            drop(client);
            running.await.expect("the connection ends").expect("without an error");
            rows.iter().map(|row| row.get(0)).collect()
        }
    }
}

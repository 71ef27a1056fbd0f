//! A start waits for a database that does not answer yet, and says what to look at when it cannot be used.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::fresh::on_postgres;
use crate::db::{Db, Location};

/// Connections that are cut before the server behind is reached.
const CUT: usize = 3;

/// Host and port of a URL, and what stands around them.
fn parts(location: &Location) -> (String, String, String) {
    let Location::Postgres(url) = location else { panic!("this is about PostgreSQL") };
    let (head, rest) = url.split_once('@').expect("a user");
    let (address, tail) = rest.split_once('/').expect("a database");
    (head.to_owned(), address.to_owned(), tail.to_owned())
}

#[test]
fn a_server_that_is_not_there_is_named_without_the_password() {
    on_postgres(|_| async {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let nobody = Location::Postgres(format!("postgres://ann:swordfish@{address}/books"));
        let told = Db::open_within(&nobody, Duration::ZERO).await.expect_err("nobody is there").to_string();
        assert!(told.starts_with(&format!("PostgreSQL at {address} does not answer (")), "{told}");
        assert!(told.contains("check that it runs") && !told.contains("swordfish"), "{told}");
    });
}

#[test]
fn a_server_that_lets_nobody_in_is_not_waited_for() {
    on_postgres(|location| async move {
        let (head, address, _) = parts(&location);
        let absent = Location::Postgres(format!("{head}@{address}/no_such_database"));
        let told = Db::open(&absent).await.expect_err("it is not there").to_string();
        assert!(told.starts_with(&format!("PostgreSQL at {address} does not let us in (")), "{told}");
        assert!(told.contains("no_such_database") && told.contains("check user, password and database"), "{told}");
    });
}

#[test]
fn a_start_waits_until_the_server_answers() {
    on_postgres(|location| async move {
        let (head, address, tail) = parts(&location);
        let door = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = door.local_addr().expect("its address");
        let opening = tokio::runtime::Handle::current().spawn(async move {
            let mut forwarded = tokio::task::JoinSet::new();
            for number in 0.. {
                let (mut client, _) = door.accept().await.expect("somebody comes");
                if number >= CUT {
                    let mut server = TcpStream::connect(&address).await.expect("PostgreSQL answers");
                    forwarded.spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
                }
            }
        });
        let through = Location::Postgres(format!("{head}@{own}/{tail}"));
        let told = Db::open_within(&through, Duration::ZERO).await.expect_err("the first is cut").to_string();
        assert!(told.contains("does not answer"), "{told}");
        let db = Db::open(&through).await.expect("it waits");
        db.ping().await.expect("it answers");
        opening.abort();
    });
}

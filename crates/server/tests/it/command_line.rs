//! The command line says what is wrong and how to go on, in words of the person at it.

use std::path::Path;

use super::sql::execute;
use super::support::{Database, PASSWORD, Server, on_both, on_sqlite, tollgate};

/// What a command says when it fails.
fn refused(database: &Database, data: &Path, command: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = tollgate(database, data, command);
    let output = command.args(arguments).envs(variables.iter().copied()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    said
}

#[test]
fn a_slip_in_a_setting_is_refused_before_anything_is_made() {
    on_sqlite(async || {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        for (variable, value, told) in [
            ("TOLLGATE_DEMO", "maybe", "use true, false, 1 or 0"),
            ("TOLLGATE_DEMO", "yes", "use true, false, 1 or 0"),
            ("TOLLGATE_LOG_JSON", "2", "use true, false, 1 or 0"),
            ("TOLLGATE_LOG", "verbose", "use one of off, error, warn, info, debug, trace"),
            ("TOLLGATE_LOG", "info,tollgate=loud", "or a filter such as tollgate=debug"),
        ] {
            let said = refused(&Database::Sqlite, &data, "serve", &["--listen", "127.0.0.1:0"], &[(variable, value)]);
            assert!(said.contains(told) && said.contains(value), "{variable}={value}: {said}");
        }
        assert!(!data.exists());
        for demo in ["true", "1", "TRUE"] {
            let filters =
                [("TOLLGATE_DEMO", demo), ("TOLLGATE_LOG", "warn,tollgate=debug"), ("TOLLGATE_LOG_JSON", "0")];
            let server = Server::start(&Database::Sqlite, folder.path(), &[], &filters);
            server.sign_in("near@halisoft.example").await;
            assert!(server.stop().success());
        }
    });
}

#[test]
fn the_demos_password_is_the_one_it_was_made_with() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let start = |password: &str| {
            Server::try_start(&database, folder.path(), &["--demo"], &[("TOLLGATE_DEMO_PASSWORD", password)])
        };
        let said = start("short").err().expect("it is too short");
        assert!(said.contains("TOLLGATE_DEMO_PASSWORD") && said.contains("8 to 128"), "{said}");
        assert!(!said.contains("/password"), "{said}");
        for (password, warned) in [(PASSWORD, false), (PASSWORD, false), ("another-password-2", true)] {
            let server = start(password).unwrap_or_else(|said| panic!("{said}"));
            server.sign_in("near@halisoft.example").await;
            let log = server.log();
            assert_eq!(log.contains("keep the password they were made with"), warned, "{log}");
            assert!(!log.contains(password), "{log}");
            assert!(server.stop().success());
        }
    });
}

#[test]
fn a_database_of_the_demo_and_one_of_ones_own_are_told_apart() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Server::start(&database, folder.path(), &["--demo"], &[]).stop().success());
        let said = Server::try_start(&database, folder.path(), &[], &[]).err().expect("it is the demo's");
        assert!(said.contains("made by the demo") && said.contains("--demo (TOLLGATE_DEMO=true)"), "{said}");
        assert!(!folder.path().join("master.key").exists(), "no key is left behind");
        assert!(Server::start(&database, folder.path(), &["--demo"], &[]).stop().success());
    });
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Server::start(&database, folder.path(), &[], &[]).stop().success());
        let said = Server::try_start(&database, folder.path(), &["--demo"], &[]).err().expect("it is not the demo's");
        assert!(said.contains("not made by the demo") && said.contains("without --demo"), "{said}");
        assert!(Server::start(&database, folder.path(), &[], &[]).stop().success());
    });
}

#[test]
fn a_start_without_the_demo_says_what_is_there_and_what_is_not() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--default-tenant", "acme"], &[]);
        assert!(
            server.said.contains("make the first operator: ") && server.said.contains("no tenant yet"),
            "{}",
            server.said
        );
        assert!(server.log().contains("the default tenant `acme` is not there yet"), "{}", server.log());
        assert!(server.stop().success());
        let operator = ["--email", "ops@example.com", "--password", PASSWORD];
        let made = tollgate(&database, folder.path(), "admin create").args(operator).output().expect("it runs");
        let said = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(
            made.status.success() && said.contains("operator of platform") && said.contains("no tenant yet"),
            "{said}"
        );
        let again = refused(&database, folder.path(), "admin create", &operator, &[]);
        assert!(again.contains("ops@example.com exists already in platform; choose another address."), "{again}");
        let nowhere = ["--tenant", "nowhere", "--email", "x@example.com", "--password", PASSWORD];
        let said = refused(&database, folder.path(), "admin create", &nowhere, &[]);
        assert!(said.contains("there is no tenant `nowhere`; there is platform"), "{said}");
    });
}

#[test]
fn a_default_tenant_that_is_not_there_is_refused_with_those_that_are() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let start =
            |tenant: &str| Server::try_start(&database, folder.path(), &["--demo", "--default-tenant", tenant], &[]);
        let said = start("halisofd").err().expect("there is none");
        assert!(said.contains("no tenant `halisofd`") && said.contains("halisoft, studio"), "{said}");
        let server = start("studio").unwrap_or_else(|said| panic!("{said}"));
        assert_eq!(server.get("/api/plans", "").await.text_at("/data/0/slug"), "free");
        assert!(!server.said.contains("no tenant yet"), "{}", server.said);
    });
}

#[test]
fn the_doctor_speaks_of_what_it_checks_and_not_of_its_code() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Server::start(&database, folder.path(), &["--demo"], &[]).stop().success());
        let doctor = || tollgate(&database, folder.path(), "doctor").arg("--invariants").output().expect("it runs");
        let healthy = doctor();
        let said = String::from_utf8_lossy(&healthy.stdout).into_owned();
        assert!(healthy.status.success(), "{said}");
        for meaning in
            ["I2: every counter is the sum of its events", "I3: nothing is below zero", "I14: what counters hold"]
        {
            assert!(said.contains(meaning), "{said}");
        }
        execute(&database, folder.path(), "UPDATE counter SET used = used + 1 WHERE used = 87").await;
        let said = String::from_utf8_lossy(&doctor().stdout).into_owned();
        assert!(said.contains("I2 is violated: every counter is the sum of its events"), "{said}");
        assert!(said.contains("events say 87 used and 0 held, the counter says 88 and 0"), "{said}");
        assert!(said.contains("\n1 violation\n") && !said.contains("Some("), "{said}");
        execute(&database, folder.path(), "DELETE FROM counter WHERE used = 88 OR used = 42").await;
        let said = String::from_utf8_lossy(&doctor().stdout).into_owned();
        assert!(said.contains("events say 42 used and 0 held, there is no counter"), "{said}");
        assert!(said.contains("\n2 violations\n"), "{said}");
    });
}

#[test]
fn whoever_stops_reading_breaks_no_command() {
    on_sqlite(async || {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Server::start(&Database::Sqlite, folder.path(), &["--demo"], &[]).stop().success());
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut doctor = tollgate(&Database::Sqlite, folder.path(), "doctor");
        let output = doctor.arg("--invariants").stdout(writer).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("panicked"), "{said}");
        let full = std::fs::File::options().write(true).open("/dev/full").expect("a device that takes nothing");
        let mut openapi = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"));
        let output = openapi.arg("openapi").stdout(full).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("could not be written"), "{said}");
    });
}

//! Tests of the store. Every body runs on SQLite and on PostgreSQL.
//!
//! `TEST_POSTGRES_URL` names a server; each test makes a database of its own there and drops it. Without it the
//! PostgreSQL half is skipped and says so; with `REQUIRE_POSTGRES=1` it fails.

mod analytics;
mod bench;
mod crash;
mod event;
mod fresh;
mod gate;
mod holds;
mod job;
mod life;
mod model;
mod notice;
mod races;
mod revenue;
mod start;
mod statements;
mod tls;
mod usage;

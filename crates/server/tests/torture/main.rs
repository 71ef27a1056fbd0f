//! Faults against the real binary: crashes, races, a database that goes away, a full disk, clients that misbehave.
//!
//! `TORTURE_ROUNDS` says how many rounds the repeated ones run; unset they run for a few, as a part of `make test`.
//! Every random choice comes from a seed that is printed; `TORTURE_SEED` sets it.
#![expect(unreachable_pub, reason = "what the test binaries share is public in each")]
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a helper of a test may fail it")]
#![expect(clippy::print_stdout, reason = "seeds, figures and what is left out are told")]

mod books;
mod chance;
mod disk;
mod export;
#[path = "../../../providers/tests/it/fake.rs"]
#[expect(dead_code, reason = "the adapters' tests use the rest")]
mod fake;
mod holds;
mod kill;
mod load;
mod poison;
mod postgres;
mod races;
mod sockets;
mod stop;
#[path = "../it/support.rs"]
mod support;
mod world;

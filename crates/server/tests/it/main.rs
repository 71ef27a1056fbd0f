//! Tests of the whole product: the real binary, spoken to as users do, on both databases.
#![expect(unreachable_pub, reason = "helpers of one test binary")]
#![expect(clippy::print_stdout, reason = "what is left out is told")]
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a helper that finds something else fails its test")]

mod ai;
mod anthropic;
mod auth;
mod client;
mod component;
mod coupon;
mod demo;
#[path = "../../../providers/tests/it/fake.rs"]
mod fake;
mod found;
mod gate;
mod granted;
mod holds;
mod input;
mod key;
mod model_price;
mod nodes;
mod openapi;
mod operate;
mod pack;
mod realtime;
mod refusal;
mod setup;
mod sql;
mod strict;
mod support;
mod tenant;
mod upstream;

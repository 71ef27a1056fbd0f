//! Tests of the whole product: the real binary, spoken to as users do, on both databases.
#![expect(unreachable_pub, reason = "helpers of one test binary")]
#![expect(clippy::print_stdout, reason = "what is left out is told")]
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a helper that finds something else fails its test")]

mod again;
mod ai;
mod analytics;
mod anthropic;
mod audit;
mod auth;
mod bucket;
mod catalog;
mod catalog_document;
mod checkout;
mod client;
mod clock;
mod close;
mod command_line;
mod component;
mod contact;
mod coupon;
mod customers;
mod demo;
mod events;
#[path = "../../../providers/tests/it/fake.rs"]
mod fake;
mod file;
mod found;
mod gate;
mod granted;
mod harness;
mod holds;
mod impersonate;
mod import;
mod input;
mod key;
mod life;
mod mail;
mod mail_admin;
mod member;
mod mended;
mod missed;
mod model_price;
mod nodes;
mod notice;
mod openapi;
mod operate;
mod operator;
mod pack;
mod permission;
mod plan;
mod price_sync;
mod realtime;
mod refusal;
mod revenue;
mod setting;
mod setup;
mod smtp;
mod sql;
mod strict;
mod support;
mod suspended;
mod tenant;
mod unbilled;
mod upstream;

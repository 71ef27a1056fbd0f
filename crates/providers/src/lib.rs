//! The services outside: language models, payment providers, mail servers, object stores.
//!
//! Owns the wire formats, time-outs, retries and failure classes of those services.
//! Must not read configuration or the clock of the tenant, decide about quotas, or store anything.

pub mod http;
pub mod llm;
pub mod mail;
pub mod object;
pub mod pay;
pub mod remote;

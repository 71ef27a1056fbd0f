//! The adapters against scripted servers, and the demo's rules against the catalog's schemas.

mod anthropic;
mod components;
mod demo;
mod fake;
mod invoices;
mod openai;

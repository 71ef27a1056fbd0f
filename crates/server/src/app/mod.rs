//! The use cases: one public function per verb. Each opens and commits its own transaction; nothing outside is called
//! inside one. Handlers, jobs and the command line only call these.

pub mod ai;
pub mod audit;
pub mod cache;
pub mod canonical;
pub mod component;
pub mod cost;
pub mod creation;
pub mod customer;
pub mod decision;
pub mod demo;
pub mod doctor;
pub mod draft;
pub mod fail_open;
pub mod feature;
pub mod file;
pub mod grant;
pub mod idempotency;
pub mod impact;
pub mod job;
pub mod key;
pub mod password;
pub mod patch;
pub mod plan;
pub mod price;
pub mod refusal;
pub mod revision;
pub mod seal;
pub mod session;
pub mod setup;
pub mod shortage;
pub mod subscription;
pub mod template;
pub mod tenant;
pub mod token;
pub mod usage;

//! The use cases: one public function per verb. Each opens and commits its own transaction; nothing outside is called
//! inside one. Handlers, jobs and the command line only call these.

pub mod ai;
pub mod audit;
pub mod cache;
pub mod canonical;
pub mod component;
pub mod cost;
pub mod coupon;
pub mod creation;
pub mod customer;
pub mod decision;
pub mod demo;
pub mod doctor;
pub mod fail_open;
pub mod file;
pub mod idempotency;
pub mod job;
pub mod key;
pub mod model_price;
pub mod pack;
pub mod password;
pub mod patch;
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
pub mod upstream;
pub mod usage;

//! All SQL. Functions take a transaction or the database, then the tenant, and answer domain values.

pub mod audit;
pub mod catalog;
pub mod creation;
pub mod customer;
pub mod db;
pub mod doctor;
pub mod error;
pub mod feature;
pub mod feed;
pub mod gate;
pub mod impact;
pub mod job;
pub mod key;
pub mod list;
pub mod plan;
pub mod price;
pub mod rollup;
pub mod secret;
pub mod subscription;
pub mod tenant;
pub mod usage;
pub mod user;

#[cfg(test)]
mod tests;

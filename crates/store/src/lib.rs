//! All SQL. Functions take a transaction or the database, then the tenant, and answer domain values.

pub mod audit;
pub mod catalog;
pub mod component;
pub mod coupon;
pub mod creation;
pub mod customer;
pub mod db;
pub mod doctor;
pub mod error;
pub mod feed;
pub mod gate;
pub mod job;
pub mod key;
pub mod list;
pub mod model_price;
pub mod pack;
pub mod rollup;
pub mod secret;
pub mod subscription;
pub mod tenant;
pub mod upstream;
pub mod usage;
pub mod user;

#[cfg(test)]
mod tests;

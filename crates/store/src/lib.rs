//! All SQL. Functions take a transaction or the database, then the tenant, and answer domain values.

pub mod account_token;
pub mod analytics;
pub mod audit;
pub mod catalog;
pub mod checkout;
pub mod component;
pub mod contact;
pub mod coupon;
pub mod creation;
pub mod customer;
pub mod db;
pub mod directory;
pub mod doctor;
pub mod dossier;
pub mod error;
pub mod feature;
pub mod feed;
pub mod gate;
pub mod impact;
pub mod import;
pub mod job;
pub mod key;
pub mod list;
pub mod mail;
pub mod mail_account;
pub mod member;
pub mod model_price;
pub mod pack;
mod patience;
pub mod plan;
pub mod price;
mod process;
pub mod provider;
pub mod revenue;
pub mod rollup;
pub mod sandbox;
pub mod secret;
pub mod subscription;
pub mod summary;
pub mod tenant;
pub mod upstream;
pub mod usage;
pub mod user;

#[cfg(test)]
mod tests;

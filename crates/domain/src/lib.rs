//! The rules of Tollgate, as values in and values out.
//!
//! Nothing here is async, reads a clock, draws a random number, uses a float or does I/O.
//! `server::app` loads the values, calls one of these functions and writes what it returns.
#![deny(clippy::arithmetic_side_effects, clippy::as_conversions)]

pub mod audit;
pub mod catalog;
pub mod closing;
pub mod color;
pub mod coupon;
pub mod entitlement;
pub mod event;
pub mod file;
pub mod forecast;
pub mod gauge;
pub mod id;
pub mod money;
pub mod notice;
pub mod permission;
pub mod plan;
pub mod planted;
pub mod proration;
pub mod quota;
pub mod reservation;
pub mod revenue;
pub mod schedule;
pub mod subscription;
pub mod tenant;
pub mod time;
pub mod top_up;
pub mod usage;

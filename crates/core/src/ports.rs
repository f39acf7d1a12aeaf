//! Ports: what the use-cases need from outside. Every sentence of a port's documentation is a law
//! in `testkit`, and every adapter is held to it.

pub mod blob;
pub mod bus;
pub mod cache;
pub mod clock;
pub mod limiter;
pub mod mail;
pub mod queue;
pub mod randomness;

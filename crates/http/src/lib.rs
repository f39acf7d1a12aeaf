//! The HTTP face of Tenon: endpoints, problems, the OpenAPI document, and what surrounds every request.
//!
//! Router and document grow from one table ([`endpoint::Api`]); the [`frame`] puts around every answer,
//! also a 404 or a panic, what `hoops` promise.

pub mod api;
pub mod csrf;
pub mod endpoint;
pub mod frame;
pub mod live;
pub mod network;
pub mod openapi;
pub mod paging;
pub mod problem;
pub mod readiness;
pub mod serve;
pub mod views;

mod hoops;
mod pages;
mod service;

pub use service::{Assembled, assemble, document, service};

//! The front door: RESP requests in, RESP2 and RESP3 replies out.

pub mod chunks;
pub mod number;
pub mod outbox;
pub(crate) mod owned;
pub mod reply;
pub mod request;

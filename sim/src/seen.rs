//! Events and lists as a trace shows and hashes them. It knows their shapes and nothing of what they do.

use std::hash::{Hash, Hasher};

use darter_core::event::Event;

use crate::trace::Trace;

/// A list as text, cut.
pub fn shown(list: &[impl std::fmt::Debug]) -> String {
    let text = format!("{list:?}");
    text.chars().take(400).collect()
}

/// An event as text, cut.
pub fn describe(event: &Event<'_>) -> String {
    match event {
        Event::Bytes { conn, bytes } => {
            let shown = &bytes[..bytes.len().min(60)];
            format!("bytes {}.{} {} {}", conn.index, conn.generation, bytes.len(), shown.escape_ascii())
        }
        Event::Message { from, message } => {
            let text = format!("{message:?}");
            format!("from {}: {}", from.0, text.chars().take(200).collect::<String>())
        }
        other => format!("{other:?}").chars().take(200).collect(),
    }
}

/// What an event is, for the trace.
pub fn digest(event: &Event<'_>) -> u64 {
    let mut hasher = Trace::new(false, false);
    match event {
        Event::Bytes { conn, bytes } => (0, conn, bytes).hash(&mut hasher),
        Event::Message { from, message } => (1, from, message).hash(&mut hasher),
        Event::Sent { conn, bytes } => (2, conn, bytes).hash(&mut hasher),
        Event::Stable { below } => (3, below).hash(&mut hasher),
        Event::Tickets { first } => (4, first).hash(&mut hasher),
        Event::Filled { conn, bytes } => (9, conn, bytes).hash(&mut hasher),
        Event::Slice { steps } => (5, steps).hash(&mut hasher),
        Event::Opened { conn, .. } | Event::Ended { conn } | Event::Closed { conn } => {
            (6, conn).hash(&mut hasher);
        }
        Event::Disk { operation, .. } => (7, operation).hash(&mut hasher),
        Event::Heard { link, news } => (11, link, news).hash(&mut hasher),
        Event::LogWritten { bytes, failure } => (10, bytes, failure).hash(&mut hasher),
        Event::Wake | Event::Stop | Event::Asked | Event::Start => 8.hash(&mut hasher),
    }
    hasher.finish()
}

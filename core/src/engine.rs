//! The engine of one core: events in, effects out.

use std::sync::Arc;

use crate::config::Settings;
use crate::event::{ConnId, CoreId, Effect, Effects, Event};
use crate::host::{Instruments, Process};
use crate::time::{Instant, Now};

/// Everything an engine is told once.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Which core this is.
    pub core: CoreId,
    /// Of how many.
    pub cores: u16,
    /// Seeds of the key hash, the same on every core.
    pub hash_seeds: [u64; 4],
    /// Seed of all randomness of this core, different on every core.
    pub random_seed: [u8; 32],
    /// Settings at the start.
    pub settings: Settings,
    /// Facts of the process.
    pub process: Arc<Process>,
    /// Readings for statistics.
    pub instruments: Instruments,
}

/// What one core does.
pub struct Engine {
    settings: Settings,
    output: Vec<(ConnId, Vec<u8>)>,
}

impl Engine {
    /// A core without clients and keys.
    pub fn new(config: EngineConfig) -> Engine {
        Engine { settings: config.settings, output: Vec::new() }
    }

    /// Handles one event to completion, never waits. Returns how many of the bytes of [`Event::Bytes`] were consumed, else 0.
    pub fn handle(&mut self, _now: Now, event: Event<'_>, out: &mut Effects) -> usize {
        match event {
            Event::Opened { conn, .. } => self.output.push((conn, Vec::new())),
            Event::Bytes { conn, bytes } => {
                let Some(last) = bytes.iter().rposition(|&b| b == b'\n') else { return 0 };
                let lines = bytes[..=last].iter().filter(|&&b| b == b'\n').count();
                if let Some((_, output)) = self.output.iter_mut().find(|(c, _)| *c == conn) {
                    for _ in 0..lines {
                        output.extend_from_slice(b"+PONG\r\n");
                    }
                    out.push(Effect::TakeOutput { conn });
                }
                return last + 1;
            }
            Event::Sent { conn, bytes } => {
                if let Some((_, output)) = self.output.iter_mut().find(|(c, _)| *c == conn) {
                    output.drain(..bytes);
                    if !output.is_empty() {
                        out.push(Effect::TakeOutput { conn });
                    }
                }
            }
            Event::Closed { conn } => self.output.retain(|(c, _)| *c != conn),
            Event::Stop => out.push(Effect::Exit),
            _ => {}
        }
        0
    }

    /// The bytes to write for `conn`, oldest first, in up to a few slices. While a part of them has not been reported by
    /// [`Event::Sent`], they stay where they are in memory, whatever else is handled, until [`Event::Closed`]: a driver may give their
    /// addresses to the kernel. It asks again only after it has reported everything it was given, or after a partial
    /// `Sent`, which gives the rest first.
    pub fn output(&mut self, conn: ConnId) -> Vec<&[u8]> {
        self.output.iter().filter(|(c, _)| *c == conn).map(|(_, o)| o.as_slice()).collect()
    }

    /// When to call with [`Event::Wake`].
    pub fn deadline(&self) -> Instant {
        Instant::NEVER
    }

    /// True while there is background work for [`Event::Slice`].
    pub fn has_background(&self) -> bool {
        false
    }

    /// The settings now in force on this core; the driver reads `tcp_keepalive` and the like when it needs them.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

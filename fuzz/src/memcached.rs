//! Memcached's protocols: however the bytes are cut, a client hears the same, nothing panics, and what is kept stays accounted for.

use std::sync::Arc;

use darter_core::config::Settings;
use darter_core::event::{ConnId, CoreId, Door, Effect, Effects, Event, Origin, Peer};
use darter_core::host::{Instruments, Process};
use darter_core::time::{Instant, Now};
use darter_core::{Engine, EngineConfig};

/// Bytes of a stream at the most: a longer line without an end closes a connection, so that it matters where it is cut.
const STREAM_MAX: usize = 2_000;

/// Is only in statistics, and in values of a fuzzer that knows the word.
const COUNTED: &[u8] = b"bytes_read";

/// What a client hears.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    output: Vec<u8>,
    closed: bool,
}

/// The first bytes decide where the rest is cut.
pub fn check(bytes: &[u8]) {
    let (cuts, stream) = bytes.split_at(bytes.len().min(6));
    let stream = &stream[..stream.len().min(STREAM_MAX)];
    let whole = run(stream, &[]);
    assert_eq!(whole, run(stream, cuts), "cut at {cuts:?}");
    assert_eq!(whole, run(stream, &[1]), "byte by byte");
}

/// Presents the stream in pieces of these lengths by turns, always from the first byte that is not consumed, as a driver does.
fn run(stream: &[u8], pieces: &[u8]) -> Heard {
    let mut engine = Engine::new(EngineConfig {
        core: CoreId(0),
        cores: 1,
        credits: 1,
        hash_seeds: [1, 2, 3, 4],
        random_seed: [0; 32],
        settings: Settings { memcached_max_item_size: 1_500, ..Settings::default() },
        process: Arc::new(Process::default()),
        instruments: Instruments::still(),
        load: None,
        persists: false,
    });
    let now = Now { mono: Instant(1_000_000_000), unix_micros: 1_700_000_000_000_000 };
    let (conn, mut out) = (ConnId::default(), Effects::default());
    let peer = Peer { address: String::new(), local: String::new(), origin: Origin::Unix, descriptor: 0 };
    engine.handle(now, Event::Opened { conn, peer, clients: 1, door: Door::Memcached }, &mut out);
    let mut heard = Heard { output: Vec::new(), closed: false };
    let (mut consumed, mut there) = (0, 0);
    let mut pieces = pieces.iter().cycle();
    while there < stream.len() && !heard.closed {
        there = match pieces.next() {
            None => stream.len(),
            Some(&len) => (there + usize::from(len).max(1)).min(stream.len()),
        };
        let mut again = true;
        while std::mem::take(&mut again) && !heard.closed {
            consumed += engine.handle(now, Event::Bytes { conn, bytes: &stream[consumed..there] }, &mut out);
            assert!(consumed <= there, "no more is consumed than was presented");
            let effects: Vec<Effect> = out.drain().collect();
            for effect in effects {
                match effect {
                    Effect::TakeOutput { conn } => {
                        let bytes = engine.output(conn).fold(0, |bytes, slice| {
                            heard.output.extend_from_slice(slice);
                            bytes + slice.len()
                        });
                        engine.handle(now, Event::Sent { conn, bytes }, &mut out);
                    }
                    Effect::ResumeRead { .. } => again = true,
                    Effect::Close { .. } => heard.closed = true,
                    _ => {}
                }
            }
            for effect in out.drain() {
                heard.closed |= matches!(effect, Effect::Close { .. });
                again |= matches!(effect, Effect::ResumeRead { .. });
            }
        }
    }
    for database in engine.node().shard.databases() {
        database.check();
        if let Err(text) = database.recount() {
            panic!("{text}");
        }
    }
    // Statistics count the bytes that had come when they were asked for.
    if heard.output.windows(COUNTED.len()).any(|window| window == COUNTED) {
        heard.output.clear();
    }
    heard
}

//! The order that was found, run one by one on a store of one piece: every reply and what lies there at the end must be the same.

use std::sync::Arc;

use darter_core::config::Settings;
use darter_core::event::{CoreId, Effect, Effects, Event};
use darter_core::host::{Instruments, Process};
use darter_core::value::container::Container;
use darter_core::{Engine, EngineConfig};

use super::program::{OPS, Op};
use super::recall::{MOMENTS, Recall, conn_of};
use crate::state::HASH_SEEDS;

/// How engines of a world are made.
pub fn config(core: u16, cores: u16, credits: usize) -> EngineConfig {
    EngineConfig {
        core: CoreId(core),
        cores,
        credits,
        hash_seeds: HASH_SEEDS,
        random_seed: [core as u8; 32],
        settings: Settings { databases: 1, latency_tracking: false, ..Settings::default() },
        process: Arc::new(Process::default()),
        instruments: Instruments::still(),

        load: None,
        persists: false,
    }
}

/// What lies in an engine: keys and values.
pub fn contents(engine: &Engine) -> Vec<(Vec<u8>, Vec<u8>)> {
    let records = engine.node().shard.databases().iter().flat_map(|database| database.iter());
    records
        .map(|record| {
            let value = match record.container() {
                Some(Container::List(list)) => {
                    list.iter().flat_map(|element| [element.to_vec(), b"\n".to_vec()]).flatten().collect()
                }
                _ => record.string().map(|view| view.to_vec()).unwrap_or_default(),
            };
            (record.key().to_vec(), value)
        })
        .collect()
}

/// A store of one piece, and what it has answered to each request.
pub struct Whole {
    engine: Engine,
    answers: Vec<Vec<u8>>,
}

impl Whole {
    /// As all shards together are at their start.
    pub fn new(recall: &Recall, ops: &[Op], is_filled: bool) -> Whole {
        let lines = ops.iter().map(|op| op.line + 1).max().unwrap_or_default();
        let all: Vec<u8> = (0..lines).collect();
        let id = recall.engine(config(0, 1, 1), &all, is_filled);
        Whole { engine: recall.known(id).engine.clone(), answers: vec![Vec::new(); OPS] }
    }

    /// Runs the request of this number, or what is said in its place.
    pub fn run(&mut self, number: usize, op: &Op, bytes: &[u8]) {
        let (conn, mut out) = (conn_of(op.line), Effects::default());
        self.engine.handle(MOMENTS[0], Event::Bytes { conn, bytes }, &mut out);
        loop {
            let effects: Vec<Effect> = out.drain().collect();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                if let Effect::TakeOutput { conn } = effect {
                    let bytes: Vec<u8> = self.engine.output(conn).flatten().copied().collect();
                    self.engine.handle(MOMENTS[0], Event::Sent { conn, bytes: bytes.len() }, &mut out);
                    self.answers[number].extend_from_slice(&bytes);
                }
            }
        }
    }

    /// What it has answered to this request.
    pub fn answer(&self, number: usize) -> &[u8] {
        &self.answers[number]
    }

    /// What a client has heard that has said these requests.
    pub fn heard(&self, said: &[usize]) -> Vec<u8> {
        said.iter().flat_map(|number| &self.answers[*number]).copied().collect()
    }

    /// What lies there.
    pub fn contents(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        contents(&self.engine)
    }
}

/// The first so many replies, and what follows; none if they are not all there.
pub fn split(bytes: &[u8], count: usize) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes;
    for _ in 0..count {
        rest = after_reply(rest)?;
    }
    Some(bytes.split_at(bytes.len() - rest.len()))
}

/// How many whole replies there are.
pub fn replies(mut bytes: &[u8]) -> usize {
    let mut whole = 0;
    while let Some(rest) = after_reply(bytes) {
        (bytes, whole) = (rest, whole + 1);
    }
    whole
}

fn after_reply(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, mut rest) = (&bytes[..end], &bytes[end + 2..]);
    let number = || std::str::from_utf8(&line[1..]).ok()?.parse::<i64>().ok();
    match line.first()? {
        b'$' => match usize::try_from(number()?) {
            Ok(len) => rest.get(len + 2..),
            Err(_) => Some(rest),
        },
        b'*' => {
            for _ in 0..number()?.max(0) {
                rest = after_reply(rest)?;
            }
            Some(rest)
        }
        _ => Some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_replies_are_counted() {
        assert_eq!(replies(b""), 0);
        assert_eq!(replies(b"+OK\r\n$-1\r\n$2\r\nab\r\n"), 3);
        assert_eq!(replies(b"*2\r\n:1\r\n*-1\r\n$2\r\nab\r"), 1);
    }
}

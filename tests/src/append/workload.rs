//! What clients do: few keys, some hot, each retired when it has grown; transactions of one to four steps.
//!
//! It knows which carrier can take which steps, and not what bytes a carrier makes of them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::carrier::{Carrier, Draft};
use super::history::{Key, Operation};
use crate::Random;

/// Keys in use at a time; even, so that a slot's keys are all of one kind.
const SLOTS: usize = 10;
/// The first of them, which take two thirds of all steps.
const HOT: usize = 4;
/// Appends after which a key is retired, about.
const APPENDS_MAX: u32 = 80;

/// What may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Lists beside strings.
    pub lists: bool,
    /// Transactions of several steps, MULTI and MGET; otherwise single commands only.
    pub transactions: bool,
    /// The planted fault: transactions whose steps are sent one by one, as if that were enough.
    pub torn: bool,
}

impl Mix {
    /// All that a sound server must carry.
    pub const ALL: Mix = Mix { lists: true, transactions: true, torn: false };

    fn accepts(self, key: Key) -> bool {
        self.lists || !key.is_list()
    }
}

/// The keys in use, shared by all clients.
pub struct Keys {
    appended: [AtomicU32; SLOTS],
    value: AtomicU64,
}

impl Default for Keys {
    fn default() -> Keys {
        Keys::new()
    }
}

impl Keys {
    /// No key has been used.
    pub fn new() -> Keys {
        Keys { appended: Default::default(), value: AtomicU64::new(1) }
    }

    /// A key in use; low slots are hot.
    fn pick(&self, random: &mut Random, accept: impl Fn(Key) -> bool) -> Key {
        loop {
            let slot = random.below(SLOTS as u64).min(random.below(SLOTS as u64)) as usize;
            let generation = self.appended[slot].load(Ordering::Relaxed) / APPENDS_MAX;
            let key = Key(generation * SLOTS as u32 + slot as u32);
            if accept(key) {
                return key;
            }
        }
    }

    fn append(&self, key: Key) -> Operation {
        self.appended[key.0 as usize % SLOTS].fetch_add(1, Ordering::Relaxed);
        Operation::Append(key, self.value.fetch_add(1, Ordering::Relaxed))
    }

    /// Every key that was ever in use.
    pub fn all(&self, mix: Mix) -> Vec<Key> {
        let mut keys = Vec::new();
        for (slot, appended) in self.appended.iter().enumerate() {
            let generations = appended.load(Ordering::Relaxed) / APPENDS_MAX;
            keys.extend((0..=generations).map(|generation| Key(generation * SLOTS as u32 + slot as u32)));
        }
        keys.retain(|key| mix.accepts(*key));
        keys
    }

    /// What a client sends before it reads: mostly one transaction, sometimes a pipeline.
    pub fn batch(&self, mix: Mix, random: &mut Random) -> Vec<Draft> {
        let count = if random.one_in(3) { 2 + random.below(7) } else { 1 };
        let mut drafts = Vec::new();
        for _ in 0..count {
            let carrier = choose(mix, count > 1, random);
            drafts.push(Draft { carrier, operations: self.steps(mix, carrier, random) });
        }
        drafts
    }

    fn steps(&self, mix: Mix, carrier: Carrier, random: &mut Random) -> Vec<Operation> {
        let kind = |key: Key| mix.accepts(key);
        let read = |key| Operation::Read(key, None);
        let count = 2 + random.below(3);
        match carrier {
            Carrier::Single | Carrier::Exec | Carrier::Torn => {
                let count = if carrier == Carrier::Single { 1 } else { count };
                let step = |random: &mut Random| {
                    let key = self.pick(random, kind);
                    if random.one_in(2) { self.append(key) } else { read(key) }
                };
                (0..count).map(|_| step(random)).collect()
            }
            Carrier::Mget => (0..count).map(|_| read(self.pick(random, |key| !key.is_list()))).collect(),
            Carrier::Watch { .. } => {
                // One or two watched keys are read outside of MULTI, then the body writes to them or to others. Not the
                // hottest: nearly all would be refused.
                let cold = |key: Key| kind(key) && key.0 as usize % SLOTS >= HOT;
                let mut steps: Vec<Operation> =
                    (0..carrier.watched()).map(|_| read(self.pick(random, cold))).collect();
                let first = steps[0].key();
                steps.push(self.append(if random.one_in(2) { first } else { self.pick(random, kind) }));
                if random.one_in(2) {
                    steps.push(self.append(self.pick(random, kind)));
                }
                steps
            }
        }
    }
}

fn choose(mix: Mix, pipelined: bool, random: &mut Random) -> Carrier {
    if !mix.transactions && !mix.torn {
        return Carrier::Single;
    }
    match random.below(10) {
        0..3 => Carrier::Single,
        // What waits for replies in between fills a batch of its own.
        3..6 if mix.torn && !pipelined => Carrier::Torn,
        _ if !mix.transactions => Carrier::Single,
        3 | 4 if !pipelined => Carrier::Watch { watched: 1 + random.below(2) as usize },
        5 | 6 => Carrier::Mget,
        _ => Carrier::Exec,
    }
}

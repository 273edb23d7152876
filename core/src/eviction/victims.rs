//! Victims: which key of a shard goes next, and its going.
//!
//! It knows the shard's tables, the policy and who is to be spared. It does not know how much memory there is, nor who asks for it.

use super::policy::{Judge, Policy};
use super::pool::{Candidate, Pool};
use super::sieve::Sieve;
use crate::aof::changes::Aside;
use crate::database::{Database, Key};
use crate::hash::KeyHash;
use crate::mutant::planted;
use crate::shard::Shard;

/// What a shard remembers from one eviction to the next.
#[derive(Clone, Debug, Default)]
pub struct Victims {
    pool: Pool,
    pub(super) sieve: Sieve,
    /// A key on its way out.
    key: Vec<u8>,
    /// The keys that went, each with its database, if a driver wants to know.
    told: Option<Vec<(u16, Vec<u8>)>>,
}

impl Victims {
    /// The policy is another one: what was remembered means nothing.
    pub fn forget(&mut self) {
        self.pool.clear();
        self.sieve = Sieve::default();
    }

    /// From now on [`Victims::take_told`] tells which keys went.
    pub fn tell(&mut self) {
        self.told = Some(Vec::new());
    }

    /// The keys that went since the last time, in order.
    pub fn take_told(&mut self) -> Vec<(u16, Vec<u8>)> {
        self.told.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Bytes that it has allocated.
    pub fn allocated_bytes(&self) -> usize {
        self.sieve.allocated_bytes()
    }
}

/// Samples that are drawn before it is believed that no key may go.
const TRIES: usize = 24;

/// Who must not go: database, key.
type Spared<'a> = &'a dyn Fn(u16, &[u8]) -> bool;

impl Shard {
    /// Removes the key that the policy gives up first, but none that is `spared`; false if it finds none.
    pub(crate) fn evict_one(&mut self, judge: &Judge, spared: Spared<'_>) -> bool {
        for _ in 0..TRIES {
            let chosen = match judge.policy {
                Policy::NoEviction => return false,
                Policy::AllKeysSieve => self.choose_by_hand(spared),
                Policy::AllKeysRandom => self.choose_any(spared),
                _ => self.choose_of_samples(judge, spared),
            };
            match chosen {
                Chosen::Key(database, hash) if self.let_go(database, hash, spared) => return true,
                Chosen::Key(..) | Chosen::NotYet => {}
                Chosen::Nothing => return false,
            }
        }
        false
    }

    /// A database, each with the probability of its share of all keys that may go.
    fn any_database(&mut self, timed: bool) -> Option<u16> {
        let weight = |database: &Database| if timed { database.with_deadline() } else { database.len() };
        let all: usize = self.in_use().iter().map(weight).sum();
        let mut rank = self.random.below(all as u64) as usize;
        for (number, database) in self.in_use().iter().enumerate() {
            match rank.checked_sub(weight(database)) {
                Some(rest) => rank = rest,
                None => return Some(number as u16),
            }
        }
        None
    }

    fn choose_any(&mut self, spared: Spared<'_>) -> Chosen {
        let Some(number) = self.any_database(false) else { return Chosen::Nothing };
        let Shard { databases, random, .. } = &mut *self;
        let database = &databases[usize::from(number)];
        let Some(record) = database.random(&mut || random.draw()) else { return Chosen::Nothing };
        match spared(number, record.key()) {
            true => Chosen::NotYet,
            false => Chosen::Key(number, database.hash(record.key())),
        }
    }

    fn choose_of_samples(&mut self, judge: &Judge, spared: Spared<'_>) -> Chosen {
        let timed = judge.policy.is_volatile();
        let Some(number) = self.any_database(timed) else { return Chosen::Nothing };
        let bits = self.random.draw();
        let Shard { databases, victims, .. } = &mut *self;
        let database = &databases[usize::from(number)];
        let pool = &mut victims.pool;
        let is_random = judge.policy == Policy::VolatileRandom;
        database.sample(bits, judge.samples, timed, &mut |record| {
            let Some(score) = judge.score(record) else { return };
            // Of what has the same score any may go: the bits of the draw decide.
            let score = if is_random { bits.rotate_left(record.access().0) } else { score };
            if pool.would_take(score) && !spared(number, record.key()) {
                pool.offer(Candidate { score, database: number, hash: database.hash(record.key()) });
            }
        });
        while let Some(best) = pool.take() {
            let database = &databases[usize::from(best.database)];
            let record = database.find_hashed(best.hash);
            // It may have been used since it was looked at.
            if record.and_then(|record| judge.score(record)).is_some_and(|now| is_random || now >= best.score)
            {
                return Chosen::Key(best.database, best.hash);
            }
        }
        Chosen::NotYet
    }

    /// Removes a key whose hash this is; whoever watches it sees it change.
    fn let_go(&mut self, number: u16, hash: KeyHash, spared: Spared<'_>) -> bool {
        let latest = self.judged();
        let Shard { databases, victims, watches, waiters, counters, trash, changes, ledger, .. } =
            &mut *self;
        let database = &mut databases[usize::from(number)];
        let Some(record) = database.find_hashed(hash) else { return false };
        if spared(number, record.key()) {
            return false;
        }
        victims.key.clear();
        victims.key.extend_from_slice(record.key());
        let key = Key { bytes: &victims.key, hash };
        let Some(record) = database.remove(key) else { return false };
        counters.dirty += 1;
        if record.is_due(latest) {
            counters.expired += 1;
            watches.expired(number, key.bytes);
        } else {
            counters.evicted += 1;
            ledger.log.evicted(number, &record, latest);
            watches.changed(number, key.bytes);
            if let Some(told) = &mut victims.told {
                told.push((number, key.bytes.to_vec()));
            }
        }
        waiters.changed(number, key.bytes);
        if !planted("that a key was evicted is not written down") {
            changes.aside(|| Aside::Gone(number, key.bytes.to_vec()));
        }
        trash.add_record(record);
        true
    }
}

/// What a look for a victim has found.
pub(super) enum Chosen {
    /// This one.
    Key(u16, KeyHash),
    /// None this time.
    NotYet,
    /// There is none.
    Nothing,
}

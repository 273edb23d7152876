//! Victims: which key of a shard goes next, and its going.
//!
//! What is looked at next is drawn before it is needed, so that its memory is on its way meanwhile: what an eviction costs is mostly waiting
//! for memory. It knows the shard's tables, the policy and who is to be spared. It does not know how much memory there is, nor who asks for it.

use std::collections::VecDeque;

use super::policy::{Judge, Policy};
use super::pool::{Candidate, Pool};
use super::sieve::{self, Sieve};
use crate::aof::changes::Aside;
use crate::database::Database;
use crate::hash::KeyHash;
use crate::mutant::planted;
use crate::shard::Shard;
use crate::value::record::Record;

/// What a shard remembers from one eviction to the next.
#[derive(Clone, Debug, Default)]
pub struct Victims {
    pool: Pool,
    /// The samples that are looked at next: of the first ones the records are on their way, of all of them the buckets.
    drawn: VecDeque<Drawn>,
    /// Records that were looked at beyond those that each key that went has a right to.
    looked_at: usize,
    pub(super) sieve: Sieve,
    /// The keys that went, each with its database, if a driver wants to know.
    told: Option<Vec<(u16, Vec<u8>)>>,
}

impl Victims {
    /// The policy is another one: what was remembered means nothing.
    pub fn forget(&mut self) {
        self.pool.clear();
        self.drawn.clear();
        self.looked_at = 0;
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

/// Samples, and candidates, whose records are on their way; of as many more the buckets are.
const RECORDS_AHEAD: usize = 2;
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
                Chosen::Key(victim) if self.let_go(victim, judge, spared) => {
                    self.victims.looked_at = self.victims.looked_at.saturating_sub(judge.samples);
                    return true;
                }
                Chosen::Key(_) | Chosen::NotYet => {}
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
            false => {
                let hash = database.hash(record.key());
                Chosen::Key(Victim { database: number, hash, claim: Claim::Chance })
            }
        }
    }

    fn choose_of_samples(&mut self, judge: &Judge, spared: Spared<'_>) -> Chosen {
        // A bucket has more records than a sample asks for: those are the samples of the next keys that go.
        let needs_more = self.victims.looked_at < judge.samples || self.victims.pool.is_empty();
        if needs_more && !self.look_at_some(judge, spared) {
            return Chosen::Nothing;
        }
        let Shard { databases, victims, .. } = &mut *self;
        let Some(best) = victims.pool.take() else { return Chosen::NotYet };
        // Who goes next, and who may be the one after.
        let mut waiting = victims.pool.best_first();
        if let Some(next) = waiting.nth(RECORDS_AHEAD - 1) {
            databases[usize::from(next.database)].prefetch_record(next.hash);
        }
        if let Some(later) = waiting.nth(RECORDS_AHEAD - 1) {
            databases[usize::from(later.database)].prefetch(later.hash);
        }
        Chosen::Key(Victim { database: best.database, hash: best.hash, claim: Claim::Score(best.score) })
    }

    /// Draws a sample; `None` if there is nothing to draw from.
    fn draw_sample(&mut self, timed: bool) -> Option<Drawn> {
        let database = self.any_database(timed)?;
        Some(Drawn { database, bits: self.random.draw() })
    }

    /// Looks at a sample and keeps the best of it; false if there is nothing to draw from.
    fn look_at_some(&mut self, judge: &Judge, spared: Spared<'_>) -> bool {
        let timed = judge.policy.is_volatile();
        while self.victims.drawn.len() < 2 * RECORDS_AHEAD {
            let Some(drawn) = self.draw_sample(timed) else { break };
            self.databases[usize::from(drawn.database)].prefetch_sample(drawn.bits, timed);
            self.victims.drawn.push_back(drawn);
        }
        let Some(Drawn { database: number, bits }) = self.victims.drawn.pop_front() else { return false };
        let Shard { databases, victims, .. } = &mut *self;
        let database = &databases[usize::from(number)];
        let (pool, looked_at) = (&mut victims.pool, &mut victims.looked_at);
        let is_random = judge.policy == Policy::VolatileRandom;
        database.sample(bits, judge.samples, timed, |record| {
            *looked_at += 1;
            let Some(score) = judge.score(record) else { return };
            // Of what has the same score any may go: the bits of the draw decide.
            let score = if is_random { bits.rotate_left(record.access().0) } else { score };
            if pool.would_take(score) && !spared(number, record.key()) {
                pool.offer(Candidate { score, database: number, hash: database.hash(record.key()) });
            }
        });
        if let Some(drawn) = victims.drawn.get(RECORDS_AHEAD - 1) {
            databases[usize::from(drawn.database)].prefetch_sampled(drawn.bits, timed);
        }
        true
    }

    /// Removes a key, if it is still there and still as good a choice; whoever watches it sees it change.
    fn let_go(&mut self, victim: Victim, judge: &Judge, spared: Spared<'_>) -> bool {
        let Victim { database: number, hash, claim } = victim;
        let latest = self.judged();
        let Shard { databases, victims, watches, waiters, counters, trash, changes, ledger, .. } = &mut *self;
        // It may have been used since it was looked at.
        let is_as_good = |record: &Record| match claim {
            Claim::Chance => true,
            Claim::Unused => sieve::is_unused(record.access()) || record.is_due(latest),
            Claim::Score(_) if judge.policy == Policy::VolatileRandom => true,
            Claim::Score(before) => judge.score(record).is_some_and(|now| now >= before),
        };
        let goes = |record: &Record| is_as_good(record) && !spared(number, record.key());
        let Some(record) = databases[usize::from(number)].remove_hashed(hash, goes) else { return false };
        let key = record.key();
        counters.dirty += 1;
        if record.is_due(latest) {
            counters.expired += 1;
            watches.expired(number, key);
        } else {
            counters.evicted += 1;
            ledger.log.evicted(number, &record, latest);
            watches.changed(number, key);
            if let Some(told) = &mut victims.told {
                told.push((number, key.to_vec()));
            }
        }
        waiters.changed(number, key);
        if !planted("that a key was evicted is not written down") {
            changes.aside(|| Aside::Gone(number, key.to_vec()));
        }
        trash.add_record(record);
        true
    }
}

/// What a look for a victim has found.
pub(super) enum Chosen {
    /// This one.
    Key(Victim),
    /// None this time.
    NotYet,
    /// There is none.
    Nothing,
}

/// A sample that is drawn and was not looked at yet.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    database: u16,
    bits: u64,
}

/// A key that is to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Victim {
    pub(super) database: u16,
    pub(super) hash: KeyHash,
    pub(super) claim: Claim,
}

/// Why it goes, which must hold still when it does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim {
    /// Any might.
    Chance,
    /// Nobody has used it since the hand has met it.
    Unused,
    /// It has at least this score.
    Score(u64),
}

//! The hand of `allkeys-sieve`: it goes around the table and decides of each key it passes.
//!
//! A key that has come is on trial; if it is used before the hand comes, it stays, and its uses, up to three, are each one more round
//! that it stays. While many are on trial the hand takes only such, so that what comes once and never again (a scan) leaves soon and
//! takes nothing along that is used. That is S3-FIFO (Yang et al., SOSP 2023) without queues: which of the two a key is in is told by
//! a bit of its record, and how many are in the first by what the hand has met lately. SIEVE (Zhang et al., NSDI 2024) gave the hand.
//!
//! It knows access bits and cursors. It does not know who asks for memory.

use super::victims::{Chosen, Claim, Victim};
use crate::hash::KeyHash;
use crate::shard::Shard;
use crate::value::record::Access;

/// Uses that count.
const USES: u32 = 0x3;
/// It has passed its trial.
const KEPT: u32 = 0x4;

/// Of all keys that the hand meets, the share of those on trial above which only they go, in 65536ths.
const TRIAL_SHARE: u32 = 65_536 / 4;
/// The share is that of about so many keys, a power of two.
const SHARE_OF: u32 = 256;
/// Keys that are passed before any may go.
const PASSED_MAX: u32 = 64;
/// Buckets that are passed at a time.
const BUCKETS_MAX: usize = 64;

/// The bits of a key that was just made.
#[inline]
pub fn fresh() -> Access {
    Access(0)
}

/// The bits after a use.
#[inline]
pub fn used(before: Access) -> Access {
    let bits = before.0 & (USES | KEPT);
    Access(if bits & USES == USES { bits } else { bits + 1 })
}

/// True if nobody has used it since the hand has met it, or since it came.
#[inline]
pub(super) fn is_unused(bits: Access) -> bool {
    bits.0 & USES == 0
}

/// What becomes of a key that the hand meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It goes.
    Goes,
    /// It stays, with these bits.
    Stays(Access),
}

/// The hand.
#[derive(Clone, Debug, Default)]
pub struct Sieve {
    /// In which database it is.
    database: u16,
    /// Where, as the table counts.
    at: usize,
    /// In 65536ths.
    trial_share: u32,
    /// Keys passed since the last that goes.
    passed: u32,
    /// Keys that go next, all of one bucket.
    doomed: Vec<(u16, KeyHash)>,
}

impl Sieve {
    /// Decides of a key with these bits.
    fn judge(&mut self, bits: Access) -> Fate {
        let (uses, is_kept) = (bits.0 & USES, bits.0 & KEPT != 0);
        let met = if is_kept { 0 } else { 65_536 };
        self.trial_share = (self.trial_share * (SHARE_OF - 1) + met) / SHARE_OF;
        let many_on_trial = self.trial_share > TRIAL_SHARE;
        self.passed += 1;
        let any_may_go = self.passed > PASSED_MAX;
        match (is_kept, uses) {
            (false, 0) if many_on_trial || any_may_go => Fate::Goes,
            (false, 0) => Fate::Stays(bits),
            // The use that has made it stay is used up.
            (false, _) => Fate::Stays(Access(KEPT | (uses - 1))),
            (true, _) if many_on_trial && !any_may_go => Fate::Stays(bits),
            (true, 0) => Fate::Goes,
            (true, _) => Fate::Stays(Access(KEPT | (uses - 1))),
        }
    }

    /// Bytes that it has allocated.
    pub fn allocated_bytes(&self) -> usize {
        self.doomed.capacity() * size_of::<(u16, KeyHash)>()
    }
}

impl Shard {
    /// The next key that the hand takes.
    pub(super) fn choose_by_hand(&mut self, spared: &dyn Fn(u16, &[u8]) -> bool) -> Chosen {
        let latest = self.judged();
        let in_use = self.in_use().len();
        let Shard { databases, victims, hasher, .. } = &mut *self;
        let sieve = &mut victims.sieve;
        if let Some((database, hash)) = sieve.doomed.pop() {
            return Chosen::Key(Victim { database, hash, claim: Claim::Unused });
        }
        let mut empty = 0;
        for _ in 0..BUCKETS_MAX {
            let number = usize::from(sieve.database);
            if number >= in_use || databases[number].is_empty() {
                (sieve.database, sieve.at, empty) =
                    (if number + 1 < in_use { number as u16 + 1 } else { 0 }, 0, empty + 1);
                if empty > in_use {
                    return Chosen::Nothing;
                }
                continue;
            }
            empty = 0;
            let database = &mut databases[number];
            let (at, mut doomed) = (sieve.at, std::mem::take(&mut sieve.doomed));
            sieve.at = database.visit(at, &mut |record| {
                let fate = if record.is_due(latest) { Fate::Goes } else { sieve.judge(record.access()) };
                match fate {
                    Fate::Goes if spared(number as u16, record.key()) => {}
                    Fate::Goes => {
                        sieve.passed = 0;
                        doomed.push((number as u16, hasher.hash(record.key())));
                    }
                    Fate::Stays(bits) => record.set_access(bits),
                }
            });
            sieve.doomed = doomed;
            if sieve.at == 0 {
                sieve.database += 1;
            }
            if let Some((database, hash)) = sieve.doomed.pop() {
                return Chosen::Key(Victim { database, hash, claim: Claim::Unused });
            }
        }
        Chosen::NotYet
    }
}

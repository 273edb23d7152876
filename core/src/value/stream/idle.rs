//! Which pending entries nobody has done anything about for a while, the longest first, and giving them to somebody else.
//!
//! Nothing is ordered by age: who asks pays a look at all that is pending, unless a bound tells that nothing can be old enough.

use std::hash::{Hash, Hasher};

use super::{ConsumerId, Group, Pending, Stream, StreamId};

/// No pending entry was delivered before this, Unix milliseconds; it may be lower than need be. Groups that hold the same are the same, whatever
/// they know about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Oldest(u64);

impl Oldest {
    pub(super) const NOTHING: Oldest = Oldest(u64::MAX);

    pub(super) fn delivered(&mut self, at: u64) {
        self.0 = self.0.min(at);
    }
}

impl PartialEq for Oldest {
    fn eq(&self, _: &Oldest) -> bool {
        true
    }
}

impl Eq for Oldest {}

impl Hash for Oldest {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// When something pending will have been idle for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Something is.
    Now,
    /// Not before this moment, Unix milliseconds; perhaps later.
    At(u64),
    /// Nothing is pending that is still there.
    Never,
}

impl Stream {
    fn idle<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = (StreamId, Pending)> + 'a {
        let pending = group.pending().from(StreamId::MIN).map(|(id, pending)| (id, *pending));
        pending.filter(|(id, _)| self.get(*id).is_some())
    }

    /// When a pending entry of the group will have been idle for `min_idle` milliseconds.
    pub fn when_idle(&self, group: &Group, min_idle: u64, now: u64) -> Idle {
        let ripe = |delivered: u64| delivered.saturating_add(min_idle);
        if group.oldest.0 == u64::MAX {
            return Idle::Never;
        }
        if ripe(group.oldest.0) > now {
            return Idle::At(ripe(group.oldest.0));
        }
        match self.idle(group).map(|(_, pending)| pending.delivered).min() {
            None => Idle::Never,
            Some(delivered) if ripe(delivered) <= now => Idle::Now,
            Some(delivered) => Idle::At(ripe(delivered)),
        }
    }

    /// Gives a consumer up to `count` entries that have been idle for `min_idle` milliseconds, the longest first; as they were before.
    pub fn claim_idle(
        &mut self,
        group: &[u8],
        consumer: ConsumerId,
        min_idle: u64,
        now: u64,
        count: usize,
    ) -> Vec<(StreamId, Pending)> {
        let Some(of) = self.group(group) else { return Vec::new() };
        if of.oldest.0.saturating_add(min_idle) > now {
            return Vec::new();
        }
        let is_idle = |(_, pending): &(StreamId, Pending)| pending.delivered.saturating_add(min_idle) <= now;
        let (mut idle, fresh): (Vec<_>, Vec<_>) = self.idle(of).partition(is_idle);
        idle.sort_unstable_by_key(|(id, pending)| (pending.delivered, *id));
        let left = idle.get(count).map(|(_, pending)| pending.delivered);
        idle.truncate(count);
        let oldest = fresh.iter().map(|(_, pending)| pending.delivered).chain(left).min();
        self.change_group(group, |group| {
            group.oldest = Oldest(oldest.unwrap_or(u64::MAX));
            for (id, pending) in &idle {
                let times = pending.times.saturating_add(1);
                group.give(*id, Pending { consumer, delivered: now, times });
            }
        });
        idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::stream::{Limits, References};
    use proptest::prelude::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    proptest! {
        #[test]
        fn claims_agree_with_a_look_at_all(
            steps in prop::collection::vec((0u8..5, 0u64..40, 0u64..30, 0usize..5), 1..120),
        ) {
            let mut stream = Stream::default();
            for ms in 1..40 {
                stream.add(id(ms), 1, [&b"f"[..], b"v"].into_iter(), Limits { bytes: 200, entries: 0 });
            }
            stream.add_group(b"g", StreamId::MIN, None);
            let mut now = 1_000;
            for (step, at, min_idle, count) in steps {
                now += at % 7;
                let see = |group: &mut Group| group.see(if at % 2 == 0 { b"a" } else { b"b" }, now).0;
                let consumer = stream.change_group(b"g", see).expect("the group");
                let there = |stream: &Stream, id| stream.get(id).is_some();
                let pending: Vec<(StreamId, Pending)> = {
                    let group = stream.group(b"g").expect("the group");
                    let pending = group.pending().from(StreamId::MIN).map(|(id, pending)| (id, *pending));
                    pending.filter(|(id, _)| there(&stream, *id)).collect()
                };
                match step {
                    0 | 1 => {
                        let given = Pending { consumer, delivered: now - min_idle, times: 1 };
                        stream.change_group(b"g", |group| group.give(id(at + 1), given));
                    }
                    2 => {
                        stream.change_group(b"g", |group| group.acknowledge(id(at + 1)));
                    }
                    3 if at > 30 => {
                        stream.remove(id(at + 1), References::Keep);
                    }
                    _ => {
                        let mut wanted: Vec<(StreamId, Pending)> = pending
                            .iter()
                            .copied()
                            .filter(|(_, pending)| pending.delivered + min_idle <= now)
                            .collect();
                        let group = stream.group(b"g").expect("the group");
                        let next = pending.iter().map(|(_, pending)| pending.delivered + min_idle).min();
                        match stream.when_idle(group, min_idle, now) {
                            Idle::Now => prop_assert!(!wanted.is_empty()),
                            Idle::Never => prop_assert!(pending.is_empty()),
                            Idle::At(at) => {
                                prop_assert!(wanted.is_empty() && at > now);
                                prop_assert!(next.is_none_or(|next| at <= next));
                            }
                        }
                        wanted.sort_by_key(|(id, pending)| (pending.delivered, *id));
                        wanted.truncate(count);
                        let claimed = stream.claim_idle(b"g", consumer, min_idle, now, count);
                        prop_assert_eq!(&claimed, &wanted);
                        let group = stream.group(b"g").expect("the group");
                        for (id, before) in claimed {
                            let after = Pending { consumer, delivered: now, times: before.times + 1 };
                            prop_assert_eq!(group.pending().get(id), Some(&after));
                        }
                    }
                }
            }
        }
    }
}

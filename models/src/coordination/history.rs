//! Who touched what before whom: the edges of an order that would explain everything, and whether there is one.
//!
//! Of each request it keeps bits for all others. It knows keys by number. It does not know engines.

use super::program::{KEYS, OPS, Op, Touched};

/// No order explains what the shards did and the clients saw.
pub const SERIAL: &str = "one order explains everybody, real time included";
/// Two requests of one connection that conflict on a key took effect in the other order, or its reads went back.
pub const PER_KEY: &str = "per connection and key nothing is reversed and reads never go back";
/// A part of a request that is over, or unknown.
pub const PARTS: &str = "each part of a request runs once";

/// What has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// Of each request, those that come after it.
    edges: [u16; OPS],
    /// Of each key, those that have read it.
    readers: [u16; KEYS],
    /// Of each key, those that have written it.
    writers: [u16; KEYS],
    /// Of each request, two bits for each shard: parts that ran.
    ran: [u8; OPS],
    /// Those that were said.
    pub said: u16,
    /// Those that were taken by their core.
    pub taken: u16,
    /// Those whose replies were seen.
    pub replied: u16,
    /// Those that were said after the clock had moved on.
    pub late: u16,
    /// Those whose replies were seen after that.
    pub seen_late: u16,
}

impl History {
    /// A request is said: it comes after everything that was seen to be answered.
    pub fn say(&mut self, ops: &[Op], op: usize) {
        for before in bits(self.replied | ops[op].builds_on) {
            self.edges[before] |= 1 << op;
        }
        self.said |= 1 << op;
    }

    /// All parts of a request on a shard run as one.
    pub fn run_whole(&mut self, ops: &[Op], op: usize, shard: u16) -> Result<(), &'static str> {
        self.run_on(ops, op, shard, u8::MAX)
    }

    /// The same, on these of its keys only: bits by number.
    pub fn run_on(&mut self, ops: &[Op], op: usize, shard: u16, only: u8) -> Result<(), &'static str> {
        let parts = ops[op].parts_on(shard).ok_or(PARTS)?;
        let ran = &mut self.ran[op];
        if *ran >> (2 * shard) & 3 != 0 {
            return Err(PARTS);
        }
        *ran |= 1 << (2 * shard);
        let all = parts.iter().fold(Touched::default(), |all, part| all.and(*part));
        let only = Touched { reads: all.reads & only, writes: all.writes & only };
        self.touch(ops, op, only)
    }

    /// The next part of a request on a shard runs.
    pub fn run_part(&mut self, ops: &[Op], op: usize, shard: u16) -> Result<(), &'static str> {
        let parts = ops[op].parts_on(shard).ok_or(PARTS)?;
        let before = usize::from(self.ran[op] >> (2 * shard) & 3);
        let touched = *parts.get(before).ok_or(PARTS)?;
        self.ran[op] += 1 << (2 * shard);
        self.touch(ops, op, touched)
    }

    fn touch(&mut self, ops: &[Op], op: usize, touched: Touched) -> Result<(), &'static str> {
        let before = self.edges;
        let mut goes_back = false;
        for key in 0..KEYS {
            let (reads, writes) = (touched.reads >> key & 1 == 1, touched.writes >> key & 1 == 1);
            if !reads && !writes {
                continue;
            }
            // A later request of this connection has read the key, somebody has written it after that, and only now this one looks.
            goes_back |= bits(self.readers[key]).any(|other| {
                let is_later = ops[other].client == ops[op].client && ops[other].place > ops[op].place;
                is_later && self.edges[other] & self.writers[key] & !(1 << op) != 0
            });
            let mut ahead = self.writers[key];
            if writes {
                ahead |= self.readers[key];
                self.writers[key] |= 1 << op;
            } else {
                self.readers[key] |= 1 << op;
            }
            for other in bits(ahead & !(1 << op)) {
                self.edges[other] |= 1 << op;
            }
        }
        let is_reversed = || {
            bits(self.edges[op])
                .any(|other| ops[other].client == ops[op].client && ops[other].place < ops[op].place)
                || bits(self.said).any(|other| {
                    let is_later = ops[other].client == ops[op].client && ops[other].place > ops[op].place;
                    is_later && self.edges[other] >> op & 1 == 1
                })
        };
        if self.edges != before && self.order().is_none() {
            return Err(SERIAL);
        }
        if goes_back || self.edges != before && is_reversed() {
            return Err(PER_KEY);
        }
        Ok(())
    }

    /// An order of everything that was said, if there is one: of those that may come next the first.
    pub fn order(&self) -> Option<Vec<usize>> {
        let (mut left, mut order) = (self.said, Vec::with_capacity(OPS));
        while left != 0 {
            let has_before = |op: usize| bits(left).any(|other| self.edges[other] >> op & 1 == 1);
            let next = bits(left).find(|op| !has_before(*op))?;
            left &= !(1 << next);
            order.push(next);
        }
        Some(order)
    }

    /// True if something of a request ran on each of its shards, or on none.
    pub fn is_whole(&self, ops: &[Op], op: usize) -> bool {
        let shards = ops[op].parts.iter().filter(|(_, parts)| !parts.is_empty());
        let ran = shards.clone().filter(|(shard, _)| self.ran[op] >> (2 * shard) & 3 != 0).count();
        ran == 0 || ran == shards.count()
    }

    /// The shards where something of a request ran: bits by number.
    pub fn ran_on(&self, op: usize) -> u8 {
        (0..4).filter(|shard| self.ran[op] >> (2 * shard) & 3 != 0).fold(0, |bits, shard| bits | 1 << shard)
    }

    /// True if one request stands before another for a reason.
    pub fn is_before(&self, one: usize, two: usize) -> bool {
        self.edges[one] >> two & 1 == 1
    }
}

/// The numbers of the bits that are set.
pub fn bits(of: u16) -> impl Iterator<Item = usize> + Clone {
    (0..OPS).filter(move |bit| of >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::super::program::{Keys, Program, X, Y, compile, read, write};
    use super::*;

    fn ops(programs: &[Program]) -> Vec<Op> {
        compile(programs, &Keys::new(2), 2).0
    }

    #[test]
    fn opposite_orders_on_two_shards_have_no_explanation() {
        let ops = ops(&[Program::on(0, vec![write(&[X, Y])]), Program::on(1, vec![write(&[X, Y])])]);
        let mut history = History::default();
        history.say(&ops, 0);
        history.say(&ops, 1);
        assert_eq!(history.run_part(&ops, 0, 0), Ok(()));
        assert_eq!(history.run_part(&ops, 1, 0), Ok(()));
        assert_eq!(history.order(), Some(vec![0, 1]));
        assert!(!history.is_whole(&ops, 0));
        assert_eq!(history.run_part(&ops, 1, 1), Ok(()));
        assert_eq!(history.run_part(&ops, 0, 1), Err(SERIAL));
    }

    #[test]
    fn what_was_answered_before_comes_first() {
        let ops = ops(&[Program::on(0, vec![write(&[X, Y])]), Program::on(1, vec![read(&[X]), read(&[Y])])]);
        let mut history = History::default();
        history.say(&ops, 0);
        history.say(&ops, 1);
        assert_eq!(history.run_part(&ops, 0, 0), Ok(()));
        assert_eq!(history.run_whole(&ops, 1, 0), Ok(()));
        history.replied |= 1 << 1;
        history.say(&ops, 2);
        assert_eq!(history.run_whole(&ops, 2, 1), Ok(()));
        assert_eq!(history.run_part(&ops, 0, 1), Err(SERIAL));
    }

    #[test]
    fn a_connection_is_not_reversed_and_does_not_go_back() {
        let ops = ops(&[Program::on(0, vec![read(&[X]), read(&[X])]), Program::on(1, vec![write(&[X])])]);
        let mut history = History::default();
        (0..3).for_each(|op| history.say(&ops, op));
        assert_eq!(history.run_whole(&ops, 1, 0), Ok(()));
        assert_eq!(history.run_whole(&ops, 2, 0), Ok(()));
        assert_eq!(history.run_whole(&ops, 0, 0), Err(PER_KEY));
        assert_eq!(history.run_whole(&ops, 0, 0), Err(PARTS));
        let ops = super::tests::ops(&[Program::on(0, vec![write(&[X]), read(&[X])])]);
        let mut history = History::default();
        (0..2).for_each(|op| history.say(&ops, op));
        assert_eq!(history.run_whole(&ops, 1, 0), Ok(()));
        assert_eq!(history.run_whole(&ops, 0, 0), Err(PER_KEY));
    }
}

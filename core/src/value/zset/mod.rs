//! A sorted set: members with scores, ordered by score and then by their bytes. One pack while it is small, a table and a tree beyond.
//!
//! Ranks, members of a rank and borders of ranges cost O(log n). It knows members, scores and from where on a pack is too large. It does not
//! know keys, commands or what a score means.

mod large;
mod member;
mod packed;
mod tree;

use std::hash::{Hash, Hasher};

use self::large::Large;
use self::member::Member;
use self::packed::Packed;
use self::tree::Walk;
use super::block::block_size;
use super::element::Element;
use crate::table::Cursor;

/// How large a set may be that lies in one pack: `zset-max-listpack-entries` and `zset-max-listpack-value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Members.
    pub entries: usize,
    /// Bytes of a member.
    pub value: usize,
}

#[derive(Clone)]
enum Body {
    Packed(Packed),
    Large(Box<Large>),
}

/// Members with scores. No score is not a number.
#[derive(Clone)]
pub struct SortedSet {
    body: Body,
}

impl Default for SortedSet {
    fn default() -> SortedSet {
        SortedSet { body: Body::Packed(Packed::default()) }
    }
}

impl SortedSet {
    /// How many members.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.body {
            Body::Packed(packed) => packed.len(),
            Body::Large(large) => large.len(),
        }
    }

    /// True without members.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(&self) -> &'static str {
        match self.body {
            Body::Packed(_) => "listpack",
            Body::Large(_) => "skiplist",
        }
    }

    /// Bytes of memory that it owns besides itself.
    #[inline]
    pub fn owned_bytes(&self) -> usize {
        match &self.body {
            Body::Packed(packed) => packed.owned_bytes(),
            Body::Large(large) => block_size(size_of::<Large>()) + large.owned_bytes(),
        }
    }

    /// Bytes of the pairs, if they lie in one pack.
    pub fn packed_bytes(&self) -> Option<usize> {
        match &self.body {
            Body::Packed(packed) => Some(packed.used()),
            Body::Large(_) => None,
        }
    }

    /// How many blocks of memory of a kilobyte or so it has.
    pub fn blocks(&self) -> usize {
        match &self.body {
            Body::Packed(_) => 1,
            Body::Large(large) => large.nodes().max(large.len() / 64),
        }
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.body {
            Body::Packed(packed) => packed.find(member).map(|(_, pair)| pair.score),
            Body::Large(large) => large.score(member),
        }
    }

    /// How many members stand before this one, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match &self.body {
            Body::Packed(packed) => packed.find(member).map(|(rank, pair)| (rank, pair.score)),
            Body::Large(large) => large.rank(member),
        }
    }

    /// Gives a member a score; the one that it had, if it was there.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: Limits) -> Option<f64> {
        assert!(!score.is_nan(), "every score has its place in the order");
        if let Body::Packed(packed) = &mut self.body {
            let before = packed.find(member).map(|(_, pair)| pair.score);
            let is_too_large =
                before.is_none() && (packed.len() >= limits.entries || member.len() > limits.value);
            if !is_too_large {
                if before.is_some_and(|before| before != score) {
                    packed.remove(member);
                }
                if before != Some(score) {
                    packed.insert(member, score);
                }
                return before;
            }
        }
        self.large().insert(member, score)
    }

    /// Removes a member; the score that it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.body {
            Body::Packed(packed) => packed.remove(member),
            Body::Large(large) => large.remove(member),
        }
    }

    /// Removes the members from rank `from` to before `to`; how many there were.
    pub fn remove_range(&mut self, from: usize, to: usize) -> usize {
        let to = to.min(self.len());
        if from >= to {
            return 0;
        }
        match &mut self.body {
            Body::Packed(packed) => packed.remove_range(from, to),
            Body::Large(large) => large.remove_range(from, to),
        }
        to - from
    }

    /// How many members, from the first on, `is_before` says yes to: it says no to all that follow.
    pub fn partition(&self, is_before: impl Fn(f64, &[u8]) -> bool) -> usize {
        match &self.body {
            Body::Packed(packed) => {
                packed.partition(|score, member| member.with(|bytes| is_before(score, bytes)))
            }
            Body::Large(large) => large.partition(is_before),
        }
    }

    /// The members from rank `from` to before `to`, first to last.
    pub fn range(&self, from: usize, to: usize) -> Members<'_> {
        let to = to.min(self.len());
        self.members(from, to.saturating_sub(from), false)
    }

    /// The same members, last to first.
    pub fn range_back(&self, from: usize, to: usize) -> Members<'_> {
        let to = to.min(self.len());
        self.members(to, to.saturating_sub(from), true)
    }

    /// All members.
    pub fn iter(&self) -> Members<'_> {
        self.range(0, self.len())
    }

    fn members(&self, from: usize, left: usize, is_back: bool) -> Members<'_> {
        let from = if left == 0 { 0 } else { from };
        let way = match &self.body {
            Body::Packed(packed) => Way::Packed { packed, at: packed.offset(from), is_back },
            Body::Large(large) => Way::Large(large.walk(from, is_back)),
        };
        Members { way, left }
    }

    /// Emits some members and returns where to go on, as [`crate::table::Dashtable::scan`] does; a small set at once.
    pub fn scan(&self, cursor: Cursor, emit: &mut dyn FnMut(&[u8], f64)) -> Cursor {
        match &self.body {
            Body::Packed(_) => {
                self.iter().for_each(|(member, score)| member.with(|bytes| emit(bytes, score)));
                Cursor::START
            }
            Body::Large(large) => large.scan(cursor, emit),
        }
    }

    /// Of pairs that are all different and stand in order: one pack if it may be one.
    pub fn of_ordered<B: AsRef<[u8]>>(pairs: &[(B, f64)], limits: Limits) -> SortedSet {
        let fits = pairs.len() <= limits.entries
            && pairs.iter().all(|(member, _)| member.as_ref().len() <= limits.value);
        let body = if fits {
            let mut packed = Packed::default();
            pairs.iter().for_each(|(member, score)| packed.insert(member.as_ref(), *score));
            Body::Packed(packed)
        } else {
            let members = pairs.iter().map(|(member, score)| Member::new(*score, member.as_ref()));
            Body::Large(Box::new(Large::build(members)))
        };
        SortedSet { body }
    }

    /// Brings pairs into the order of a set.
    pub fn order<B: AsRef<[u8]>>(pairs: &mut [(B, f64)]) {
        pairs.sort_unstable_by(|a, b| tree::compare((a.1, a.0.as_ref()), (b.1, b.0.as_ref())));
    }

    /// Becomes one pack if it may, and large if it may not: said of what a command has made, as in Redis; what grows and shrinks
    /// stays large.
    pub fn fit(&mut self, limits: Limits) {
        let fits = self.len() <= limits.entries
            && self.iter().all(|(member, _)| member.with(<[u8]>::len) <= limits.value);
        match &self.body {
            Body::Large(_) if fits => {
                let mut packed = Packed::default();
                self.iter().for_each(|(member, score)| member.with(|bytes| packed.insert(bytes, score)));
                self.body = Body::Packed(packed);
            }
            Body::Packed(_) if !fits => {
                self.large();
            }
            _ => {}
        }
    }

    /// Frees about `steps` blocks; how many steps that took. After that it is only freed.
    pub fn free_some(&mut self, steps: usize) -> usize {
        match &mut self.body {
            Body::Packed(packed) => {
                *packed = Packed::default();
                1
            }
            Body::Large(large) => large.free_some(steps),
        }
    }

    fn large(&mut self) -> &mut Large {
        if matches!(self.body, Body::Packed(_)) {
            let members = self.iter().map(|(member, score)| member.with(|bytes| Member::new(score, bytes)));
            let large = Box::new(Large::build(members));
            self.body = Body::Large(large);
        }
        match &mut self.body {
            Body::Large(large) => large,
            Body::Packed(_) => unreachable!("it has just become large"),
        }
    }
}

/// Members with their scores in either direction, borrowed.
#[derive(Clone)]
pub struct Members<'a> {
    way: Way<'a>,
    left: usize,
}

#[derive(Clone)]
enum Way<'a> {
    Packed { packed: &'a Packed, at: usize, is_back: bool },
    Large(Walk<'a>),
}

impl<'a> Iterator for Members<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<(Element<'a>, f64)> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.way {
            Way::Packed { packed, at, is_back } => {
                let (pair, next) = if *is_back { packed.back(*at)? } else { packed.next(*at)? };
                *at = next;
                Some(pair)
            }
            Way::Large(walk) => {
                let handle = walk.next()?;
                // SAFETY: `'a` borrows the set whose walk this is, so its members stay until then.
                let bytes = unsafe { handle.lent::<'a>() };
                Some((Element::Bytes(bytes), handle.score()))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Members<'_> {}

impl PartialEq for SortedSet {
    fn eq(&self, other: &SortedSet) -> bool {
        let same = |((a, x), (b, y)): ((Element<'_>, f64), (Element<'_>, f64))| {
            x.to_bits() == y.to_bits() && a.with(|a| b.with(|b| a == b))
        };
        self.len() == other.len() && self.iter().zip(other.iter()).all(same)
    }
}

impl Eq for SortedSet {}

impl Hash for SortedSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        for (member, score) in self.iter() {
            member.with(|bytes| bytes.hash(state));
            score.to_bits().hash(state);
        }
    }
}

impl std::fmt::Debug for SortedSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pairs = self
            .iter()
            .map(|(member, score)| (member.with(|bytes| String::from_utf8_lossy(bytes).into_owned()), score));
        f.debug_map().entries(pairs).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Vec<u8>, f64),
        Remove(Vec<u8>),
        RemoveRange(usize, usize),
        Limits(usize, usize),
        Fit,
        Clone,
        Fill(u16),
    }

    fn member() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            (0i64..40).prop_map(|n| n.to_string().into_bytes()),
            (0u8..40).prop_map(|n| vec![b'm', n]),
            proptest::collection::vec(any::<u8>(), 0..6),
            (0usize..300).prop_map(|len| vec![b'v'; len]),
        ]
    }

    fn score() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-5i32..5).prop_map(f64::from),
            any::<f64>().prop_filter("no number", |score| !score.is_nan()),
            Just(f64::INFINITY),
            Just(-0.0),
            Just(0.1),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            12 => (member(), score()).prop_map(|(member, score)| Step::Insert(member, score)),
            4 => member().prop_map(Step::Remove),
            1 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Step::RemoveRange(a, b)),
            1 => (0usize..60, 0usize..200).prop_map(|(entries, value)| Step::Limits(entries, value)),
            1 => Just(Step::Fit),
            1 => Just(Step::Clone),
            1 => any::<u16>().prop_map(Step::Fill),
        ]
    }

    /// Members by their bytes; the order is found by sorting.
    fn in_order(model: &std::collections::BTreeMap<Vec<u8>, f64>) -> Vec<(Vec<u8>, f64)> {
        let mut pairs: Vec<(Vec<u8>, f64)> =
            model.iter().map(|(member, score)| (member.clone(), *score)).collect();
        pairs.sort_by(|a, b| a.1.partial_cmp(&b.1).expect("numbers").then_with(|| a.0.cmp(&b.0)));
        pairs
    }

    fn owned<'a>(members: impl Iterator<Item = (Element<'a>, f64)>) -> Vec<(Vec<u8>, u64)> {
        members.map(|(member, score)| (member.to_vec(), score.to_bits())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn it_is_as_if_it_were_sorted_at_each_look(steps in proptest::collection::vec(step(), 1..60)) {
            let (mut set, mut model) = (SortedSet::default(), std::collections::BTreeMap::new());
            let mut limits = Limits { entries: 20, value: 64 };
            for step in steps {
                match step {
                    Step::Insert(member, score) => {
                        let before = model.get(&member).copied();
                        prop_assert_eq!(set.insert(&member, score, limits), before);
                        if before != Some(score) { model.insert(member, score); }
                    }
                    Step::Remove(member) => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                    Step::RemoveRange(a, b) => {
                        let (a, b) = (a % (model.len() + 1), b % (model.len() + 2));
                        let gone: Vec<_> = in_order(&model).into_iter().take(b).skip(a).collect();
                        prop_assert_eq!(set.remove_range(a, b), gone.len());
                        gone.iter().for_each(|(member, _)| { model.remove(member); });
                    }
                    Step::Limits(entries, value) => limits = Limits { entries, value },
                    Step::Fit => {
                        set.fit(limits);
                        let fits = model.len() <= limits.entries && model.keys().all(|m| m.len() <= limits.value);
                        prop_assert_eq!(set.encoding(), if fits { "listpack" } else { "skiplist" });
                    }
                    Step::Clone => {
                        let copy = set.clone();
                        prop_assert_eq!(&copy, &set);
                        set = copy;
                    }
                    Step::Fill(seed) => for n in 0..200u32 {
                        let member = format!("fill:{}", n * 7 % 199).into_bytes();
                        let score = f64::from((n * u32::from(seed)) % 31);
                        let before = model.get(&member).copied();
                        prop_assert_eq!(set.insert(&member, score, limits), before);
                        model.insert(member, score);
                    }
                }
                if let Body::Large(large) = &set.body { large.check(); }
                let pairs = in_order(&model);
                let bits: Vec<(Vec<u8>, u64)> = pairs.iter().map(|(m, s)| (m.clone(), s.to_bits())).collect();
                prop_assert_eq!(owned(set.iter()), bits.clone());
                let (from, to) = (pairs.len() / 3, pairs.len() * 2 / 3);
                prop_assert_eq!(owned(set.range(from, to)), bits[from..to].to_vec());
                let mut back = owned(set.range_back(from, to));
                back.reverse();
                prop_assert_eq!(back, bits[from..to].to_vec());
                for (rank, (member, score)) in pairs.iter().enumerate().step_by(7) {
                    prop_assert_eq!(set.rank(member), Some((rank, *score)));
                    prop_assert_eq!(set.score(member), Some(*score));
                    let before = set.partition(|other, _| other < *score);
                    prop_assert_eq!(before, pairs.iter().filter(|(_, other)| other < score).count());
                }
                let mut seen = std::collections::BTreeMap::new();
                let mut cursor = Cursor::START;
                loop {
                    cursor = set.scan(cursor, &mut |member, score| { seen.insert(member.to_vec(), score); });
                    if cursor == Cursor::START { break; }
                }
                prop_assert_eq!(seen, model.clone());
                prop_assert!(set.owned_bytes() >= set.iter().map(|(m, _)| m.with(<[u8]>::len)).sum::<usize>());
            }
        }
    }

    #[test]
    fn a_large_set_takes_little_and_is_freed_in_steps() {
        let limits = Limits { entries: 128, value: 64 };
        for count in [129u32, 1_000, 100_000] {
            let mut set = SortedSet::default();
            for n in 0..count {
                let n = u64::from(n) * 7_919 % u64::from(count);
                set.insert(format!("member:{n:06}").as_bytes(), n as f64, limits);
            }
            let each = set.owned_bytes() / count as usize;
            assert!(each <= if count < 1_000 { 84 } else { 70 }, "{each} bytes for each of {count}");
            assert_eq!((set.len(), set.encoding()), (count as usize, "skiplist"));
            let mut calls = 0;
            while !set.is_empty() {
                set.free_some(20);
                calls += 1;
            }
            assert!(calls <= 2 + count / 200, "{calls}");
            assert!(count < 100_000 || calls > 100, "{calls}");
        }
    }
}

//! A hash: fields with values, each perhaps with a deadline of its own. How a field lies in memory is `field.rs`'s business.
//!
//! It knows fields, values and instants that it is told. It does not read a clock: a field whose time has come stays until somebody removes it,
//! and whoever looks says by which instant. It does not know keys or commands.

use std::hash::{Hash as Hashes, Hasher};

use super::block::block_size;
use super::bucket::{Entry, Form};
use super::element::Element;
use super::field::{Draft, Field, Fields, deadline_of, read};
use super::members::{Members, Seeds, Spot};
use crate::random::Draws;
use crate::table::Bound;
use crate::time::UnixMillis;

/// How large a hash or set may be that is kept as one bucket.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    /// Entries.
    pub entries: usize,
    /// Bytes of a field, value or member.
    pub bytes: usize,
    /// Of the hashes of what is larger.
    pub seeds: Seeds,
}

/// Fields with values.
#[derive(Clone, Default)]
pub struct Hash {
    body: Body,
}

/// Few hashes have fields with deadlines: the others pay nothing for it.
#[derive(Clone)]
enum Body {
    Plain(Members<Fields>),
    Timed(Box<Timed>),
}

#[derive(Clone)]
struct Timed {
    members: Members<Fields>,
    /// No field's time comes before this.
    soonest: UnixMillis,
    /// Fields that have a deadline; not none, but while one is being changed.
    timed: usize,
}

/// A moment that does not come.
const NEVER: UnixMillis = UnixMillis(u64::MAX);

impl Default for Body {
    fn default() -> Body {
        Body::Plain(Members::default())
    }
}

impl Hash {
    #[inline]
    fn members(&self) -> &Members<Fields> {
        match &self.body {
            Body::Plain(members) => members,
            Body::Timed(timed) => &timed.members,
        }
    }

    #[inline]
    fn members_mut(&mut self) -> &mut Members<Fields> {
        match &mut self.body {
            Body::Plain(members) => members,
            Body::Timed(timed) => &mut timed.members,
        }
    }

    /// Fields that have a deadline.
    #[inline]
    fn timed(&self) -> usize {
        match &self.body {
            Body::Plain(_) => 0,
            Body::Timed(timed) => timed.timed,
        }
    }

    /// No field's time comes before this; [`NEVER`] if none has a deadline.
    #[inline]
    fn bound(&self) -> UnixMillis {
        match &self.body {
            Body::Plain(_) => NEVER,
            Body::Timed(timed) => timed.soonest,
        }
    }

    /// One more field has a deadline.
    fn begin_time(&mut self, deadline: UnixMillis) {
        if let Body::Plain(members) = &mut self.body {
            let members = std::mem::take(members);
            self.body = Body::Timed(Box::new(Timed { members, soonest: NEVER, timed: 0 }));
        }
        if let Body::Timed(timed) = &mut self.body {
            timed.timed += 1;
            timed.soonest = timed.soonest.min(deadline);
        }
    }

    /// A field has a deadline no more, if this one had one.
    fn end_time(&mut self, spot: Spot) {
        if deadline_of(self.members().entry(spot)).is_some()
            && let Body::Timed(timed) = &mut self.body
        {
            timed.timed -= 1;
        }
    }

    fn set_bound(&mut self, bound: UnixMillis) {
        if let Body::Timed(timed) = &mut self.body {
            timed.soonest = bound;
        }
    }

    /// Where no field has a deadline any more nothing is kept for them.
    fn settle(&mut self) {
        if let Body::Timed(timed) = &mut self.body
            && timed.timed == 0
        {
            let members = std::mem::take(&mut timed.members);
            self.body = Body::Plain(members);
        }
    }

    /// How many fields, those included whose time has come and that nobody has removed.
    #[inline]
    pub fn len(&self) -> usize {
        self.members().len()
    }

    /// True without fields.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many fields live.
    pub fn living(&self, now: UnixMillis) -> usize {
        if self.bound() > now {
            return self.len();
        }
        let (mut due, mut from) = (0, 0);
        while let Some(n) = self.members().first_due(from, Bound::of(now)) {
            due += self.members().spots(n).filter(|spot| self.is_due(*spot, now)).count();
            from = n + 1;
        }
        self.len() - due
    }

    /// True if no field lives.
    #[inline]
    pub fn is_over(&self, now: UnixMillis) -> bool {
        self.is_empty()
            || self.bound() <= now && self.timed() == self.len() && !self.iter().any(|field| field.lives(now))
    }

    /// Before this moment no field's time comes; `None` if none has a deadline.
    #[inline]
    pub fn soonest(&self) -> Option<UnixMillis> {
        (self.timed() > 0).then(|| self.bound())
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(&self) -> &'static str {
        match (self.members().is_one(), self.timed()) {
            (false, _) => "hashtable",
            (true, 0) => "listpack",
            (true, _) => "listpackex",
        }
    }

    /// Bytes of memory that it owns besides itself.
    #[inline]
    pub fn owned_bytes(&self) -> usize {
        let timed = if let Body::Timed(_) = self.body { block_size(size_of::<Timed>()) } else { 0 };
        timed + self.members().owned_bytes()
    }

    /// Blocks to be freed.
    pub fn blocks(&self) -> usize {
        self.members().blocks()
    }

    /// Frees about `steps` blocks; how many steps that took.
    pub fn free_some(&mut self, steps: usize) -> usize {
        self.members_mut().free_some(steps)
    }

    /// A field, whether its time has come or not.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Field<'_>> {
        self.members().find(name).map(|spot| read(self.members().entry(spot)))
    }

    /// A field that lives.
    #[inline]
    pub fn live(&self, name: &[u8], now: UnixMillis) -> Option<Field<'_>> {
        self.get(name).filter(|field| field.lives(now))
    }

    /// All fields, whether their time has come or not.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.members().iter().map(read)
    }

    /// Into how many buckets the fields are divided.
    pub fn buckets(&self) -> usize {
        self.members().buckets()
    }

    /// The fields of one of them.
    pub fn bucket(&self, n: usize) -> impl Iterator<Item = Field<'_>> {
        self.members().entries(n).map(read)
    }

    /// Visits the fields at which a walk stands; where it stands then, 0 at the end.
    pub fn scan(&self, cursor: u64, emit: &mut dyn FnMut(Field<'_>)) -> u64 {
        self.members().scan(cursor, &mut |entry| emit(read(entry)))
    }

    /// Any field that lives, each as likely as the others, and numbers that tell it from them; `None` if none lives.
    pub fn random(&self, now: UnixMillis, random: &mut Draws) -> Option<(Field<'_>, (usize, usize))> {
        // Of fields whose time has come there are few for long: they are swept away.
        const TRIES: usize = 50;
        for _ in 0..TRIES {
            let (spot, place) = self.members().random(random)?;
            let field = read(self.members().entry(spot));
            if field.lives(now) {
                return Some((field, place));
            }
        }
        let living = self.living(now);
        let chosen = random.below(living as u64) as usize;
        let all = (0..self.members().buckets())
            .flat_map(|n| self.members().spots(n).enumerate().map(move |(slot, spot)| (spot, (n, slot))));
        let mut fields = all.map(|(spot, place)| (read(self.members().entry(spot)), place));
        fields.by_ref().filter(|(field, _)| field.lives(now)).nth(chosen)
    }

    /// Gives a field this value and deadline, whatever it had; true if it was not there.
    #[inline]
    pub fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        deadline: Option<UnixMillis>,
        packing: &Packing,
    ) -> bool {
        if self.members().is_one() && (name.len() > packing.bytes || value.len() > packing.bytes) {
            self.spread(packing.seeds);
        }
        let is_new = self.put(name, Element::of(value), deadline);
        if self.members().is_one() && (self.len() > packing.entries || self.members().is_too_long_for_one()) {
            self.spread(packing.seeds);
        }
        is_new
    }

    fn put(&mut self, name: &[u8], value: Element<'_>, deadline: Option<UnixMillis>) -> bool {
        let draft = Draft::of(Field { name: Element::of(name), value, deadline });
        let found = self.members().find(name);
        match found {
            Some(spot) => {
                self.end_time(spot);
                self.members_mut().replace(spot, draft.shape, |to| draft.write(to));
            }
            None => self.members_mut().add(name, draft.shape, |to| draft.write(to)),
        }
        if let Some(deadline) = deadline {
            self.begin_time(deadline);
            if !self.members().is_one()
                && let Some(spot) = self.members().find(name)
            {
                self.members_mut().note_bound(spot, Bound::of(deadline));
            }
        }
        self.settle();
        found.is_none()
    }

    /// Gives a field that is there another deadline or none.
    pub fn set_deadline(&mut self, name: &[u8], deadline: Option<UnixMillis>) {
        let Some(field) = self.get(name) else { return };
        match field.value {
            Element::Integer(number) => self.put(name, Element::Integer(number), deadline),
            Element::Bytes(bytes) => {
                let bytes = bytes.to_vec();
                self.put(name, Element::Bytes(&bytes), deadline)
            }
        };
    }

    /// Removes a field; true if it was there, whether its time had come or not.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let Some(spot) = self.members().find(name) else { return false };
        self.end_time(spot);
        self.members_mut().remove(spot);
        self.settle();
        true
    }

    /// Removes fields whose time has come, about `max`; how many.
    pub fn purge(&mut self, now: UnixMillis, max: usize) -> usize {
        let (mut purged, mut from) = (0, 0);
        while self.timed() > 0
            && purged < max
            && let Some(n) = self.members().first_due(from, Bound::of(now))
        {
            let (mut due, mut bound) = (Vec::new(), NEVER);
            for spot in self.members().spots(n) {
                let entry = self.members().entry(spot);
                match deadline_of(entry) {
                    Some(at) if at <= now => due.push(Fields::with_key(entry, <[u8]>::to_vec)),
                    Some(at) => bound = bound.min(at),
                    None => {}
                }
            }
            self.members_mut().set_bound(n, Bound::of_optional((bound != NEVER).then_some(bound)));
            if self.members().is_one() {
                self.set_bound(bound);
            }
            // A merge that follows from it may bring a bucket to another place, with a bound that is as low.
            let buckets = self.members().buckets();
            purged += due.len();
            due.iter().for_each(|name| {
                self.remove(name);
            });
            from = if self.members().buckets() == buckets { n + 1 } else { 0 };
        }
        if let Some(lowest) = self.members().lowest_bound() {
            self.set_bound(lowest.moment().unwrap_or(NEVER));
        }
        purged
    }

    fn is_due(&self, spot: Spot, now: UnixMillis) -> bool {
        deadline_of(self.members().entry(spot)).is_some_and(|at| at <= now)
    }

    /// Becomes many buckets.
    fn spread(&mut self, seeds: Seeds) {
        self.members_mut().become_many(seeds);
        if self.timed() == 0 {
            return;
        }
        for n in 0..self.members().buckets() {
            let deadlines =
                self.members().spots(n).filter_map(|spot| deadline_of(self.members().entry(spot)));
            let bound = Bound::of_optional(deadlines.min());
            self.members_mut().set_bound(n, bound);
        }
    }

    /// All entries in an order that does not depend on how it came about.
    fn sorted(&self) -> Vec<Entry<'_>> {
        let mut entries: Vec<Entry<'_>> = self.members().iter().collect();
        entries.sort_unstable();
        entries
    }

    /// Panics unless it is well formed; for tests.
    #[cfg(test)]
    fn check(&self) {
        self.members().check();
        assert_eq!(self.timed() > 0, matches!(self.body, Body::Timed(_)));
        let deadlines = || self.iter().filter_map(|field| field.deadline);
        assert_eq!(deadlines().count(), self.timed());
        assert!(deadlines().all(|at| at >= self.bound()));
        for now in deadlines() {
            let due = self.iter().filter(|field| !field.lives(now)).count();
            assert_eq!(self.living(now), self.len() - due);
        }
    }
}

impl PartialEq for Hash {
    /// The same fields, values and deadlines, and the encoding that a client can see.
    fn eq(&self, other: &Hash) -> bool {
        self.encoding() == other.encoding() && self.sorted() == other.sorted()
    }
}

impl Eq for Hash {}

impl Hashes for Hash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.encoding(), self.sorted()).hash(state);
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields =
            self.iter().map(|field| (field.name.with(text), (field.value.with(text), field.deadline)));
        f.debug_map().entries(fields).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

    fn name(n: u16) -> Vec<u8> {
        match n % 7 {
            // Names around each bound of their lengths.
            0 => vec![b'n'; [94, 126, 254][usize::from(n) / 7 % 3] + usize::from(n / 21 % 4)],
            1 if n == 1 => Vec::new(),
            // Whole numbers of each width, and texts that look like some.
            2 => ((i64::MAX >> (n % 64)) - i64::from(n)).to_string().into_bytes(),
            3 => (i64::MIN >> (n % 64)).to_string().into_bytes(),
            4 => format!("0{n}").into_bytes(),
            _ => (i32::from(n) - 20).to_string().into_bytes(),
        }
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            (any::<i64>(), 0u32..64).prop_map(|(n, shift)| (n >> shift).to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..20),
            (0usize..400).prop_map(|len| vec![b'v'; len]),
        ]
    }

    fn as_model(hash: &Hash) -> Model {
        let row =
            |field: Field<'_>| (field.name.to_vec(), (field.value.to_vec(), field.deadline.map(|at| at.0)));
        hash.iter().map(row).collect()
    }

    proptest! {
        #[test]
        fn a_hash_agrees_with_a_model(
            steps in prop::collection::vec((0..32u8, 0..120u16, value(), prop::option::of(0..40u64)), 1..250),
            entries in prop_oneof![0..10usize, 30..60usize],
            bytes in prop_oneof![Just(5usize), Just(1_000)],
        ) {
            let mut packing = Packing { entries, bytes, seeds: [1, 2, 3, 4] };
            let (mut hash, mut model) = (Hash::default(), Model::new());
            for (what, field, value, deadline) in steps {
                // What is kept as one bucket is configured anew.
                if what == 31 {
                    packing = Packing { entries: usize::from(field) / 2, bytes: value.len(), ..packing };
                    if field % 4 == 0 {
                        (hash, model) = (Hash::default(), Model::new());
                    }
                    continue;
                }
                let field = name(field);
                // Units of the bounds, so that some are in one and others are not.
                let deadline = deadline.map(|units| 1_700_000_000_000 + units * 100);
                let now = UnixMillis(deadline.unwrap_or(1_700_000_000_000));
                match what % 8 {
                    0 | 1 => prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
                    2 => {
                        let due = model.values().filter(|(_, at)| at.is_some_and(|at| at <= now.0)).count();
                        prop_assert_eq!(hash.living(now), model.len() - due);
                        prop_assert_eq!(hash.is_over(now), model.len() == due);
                        prop_assert_eq!(hash.purge(now, usize::MAX), due);
                        model.retain(|_, (_, at)| at.is_none_or(|at| at > now.0));
                    }
                    3 => if let Some((_, at)) = model.get_mut(&field) {
                        hash.set_deadline(&field, deadline.map(UnixMillis));
                        *at = deadline;
                    },
                    _ => {
                        let is_new = hash.set(&field, &value, deadline.map(UnixMillis), &packing);
                        prop_assert_eq!(is_new, model.insert(field.clone(), (value, deadline)).is_none());
                    }
                }
                let found = hash.get(&field).map(|field| (field.value.to_vec(), field.deadline.map(|at| at.0)));
                prop_assert_eq!(found, model.get(&field).cloned());
                hash.check();
                prop_assert_eq!(hash.clone().owned_bytes(), hash.owned_bytes());
            }
            prop_assert_eq!(as_model(&hash), model);
        }
    }

    #[test]
    fn many_fields_whose_time_has_come_are_purged_in_steps() {
        let packing = Packing { entries: 128, bytes: 64, seeds: [1, 2, 3, 4] };
        let mut hash = Hash::default();
        for n in 0..20_000u64 {
            let deadline = (n % 2 == 0).then(|| UnixMillis(1_700_000_000_000 + n));
            hash.set(format!("field:{n}").as_bytes(), b"value", deadline, &packing);
        }
        let now = UnixMillis(1_700_000_000_000 + 10_000);
        assert_eq!(hash.living(now), 20_000 - 5_001);
        let mut calls = 0;
        while hash.purge(now, 100) > 0 {
            calls += 1;
            assert_eq!(hash.living(now), 20_000 - 5_001);
        }
        assert!((30..=51).contains(&calls), "{calls}");
        assert_eq!((hash.len(), hash.is_over(now)), (20_000 - 5_001, false));
        hash.check();
    }
}

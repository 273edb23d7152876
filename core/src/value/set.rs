//! A set: whole numbers in order while there are only few of them, else members by their bytes.
//!
//! It knows members and when it takes which form. It does not know keys or commands.

use std::hash::{Hash, Hasher};

use super::bucket::{Entry, Form, Shape};
use super::element::Element;
use super::hash::Packing;
use super::intset::IntSet;
use super::members::{Members, Seeds};
use crate::protocol::request::parse_integer;
use crate::random::Draws;

/// Which form a set takes.
#[derive(Clone, Copy, Debug)]
pub struct SetLimits {
    /// As many whole numbers may lie in order.
    pub ints: usize,
    /// When other members may lie in one bucket.
    pub packing: Packing,
}

/// Members, each once.
#[derive(Clone)]
pub struct Set {
    form: Kind,
}

#[derive(Clone)]
enum Kind {
    Ints(IntSet),
    Any(Members<Plain>),
}

/// An entry is its key.
#[derive(Clone)]
struct Plain;

impl Form for Plain {
    #[inline]
    fn has_key(entry: Entry<'_>, key: &[u8]) -> bool {
        entry.bytes == key
    }

    #[inline]
    fn with_key<R>(entry: Entry<'_>, use_it: impl FnOnce(&[u8]) -> R) -> R {
        use_it(entry.bytes)
    }
}

impl Default for Set {
    fn default() -> Set {
        Set { form: Kind::Ints(IntSet::default()) }
    }
}

impl Set {
    /// How many members.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.form {
            Kind::Ints(ints) => ints.len(),
            Kind::Any(members) => members.len(),
        }
    }

    /// True without members.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(&self) -> &'static str {
        match &self.form {
            Kind::Ints(_) => "intset",
            Kind::Any(members) if members.is_one() => "listpack",
            Kind::Any(_) => "hashtable",
        }
    }

    /// Bytes of memory that it owns besides itself.
    #[inline]
    pub fn owned_bytes(&self) -> usize {
        match &self.form {
            Kind::Ints(ints) => ints.owned_bytes(),
            Kind::Any(members) => members.owned_bytes(),
        }
    }

    /// The numbers, if all members are such and few.
    pub fn ints(&self) -> Option<&IntSet> {
        match &self.form {
            Kind::Ints(ints) => Some(ints),
            Kind::Any(_) => None,
        }
    }

    /// Blocks to be freed.
    pub fn blocks(&self) -> usize {
        match &self.form {
            Kind::Ints(_) => 1,
            Kind::Any(members) => members.blocks(),
        }
    }

    /// Frees about `steps` blocks; how many steps that took.
    pub fn free_some(&mut self, steps: usize) -> usize {
        match &mut self.form {
            Kind::Ints(ints) => {
                *ints = IntSet::default();
                1
            }
            Kind::Any(members) => members.free_some(steps),
        }
    }

    /// True if it has the member.
    #[inline]
    pub fn has(&self, member: &[u8]) -> bool {
        match &self.form {
            Kind::Ints(ints) => parse_integer(member).is_some_and(|number| ints.has(number)),
            Kind::Any(members) => members.find(member).is_some(),
        }
    }

    /// True if it has another set's member.
    #[inline]
    pub fn has_element(&self, member: Element<'_>) -> bool {
        match (&self.form, member) {
            (Kind::Ints(ints), Element::Integer(number)) => ints.has(number),
            _ => member.with(|bytes| self.has(bytes)),
        }
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = Element<'_>> {
        let (ints, members) = match &self.form {
            Kind::Ints(ints) => (Some(ints), None),
            Kind::Any(members) => (None, Some(members)),
        };
        let ints = ints.into_iter().flat_map(IntSet::iter).map(Element::Integer);
        ints.chain(members.into_iter().flat_map(Members::iter).map(|entry| Element::Bytes(entry.bytes)))
    }

    /// Into how many buckets the members are divided; integers are in one.
    pub fn buckets(&self) -> usize {
        match &self.form {
            Kind::Ints(_) => 1,
            Kind::Any(members) => members.buckets(),
        }
    }

    /// The members of one of them.
    pub fn bucket(&self, n: usize) -> impl Iterator<Item = Element<'_>> {
        let (ints, members) = match &self.form {
            Kind::Ints(ints) => (Some(ints), None),
            Kind::Any(members) => (None, Some(members.entries(n))),
        };
        let ints = ints.into_iter().flat_map(IntSet::iter).map(Element::Integer);
        ints.chain(members.into_iter().flatten().map(|entry| Element::Bytes(entry.bytes)))
    }

    /// Visits the members at which a walk stands; where it stands then, 0 at the end.
    pub fn scan(&self, cursor: u64, emit: &mut dyn FnMut(Element<'_>)) -> u64 {
        match &self.form {
            Kind::Ints(ints) => {
                ints.iter().for_each(|number| emit(Element::Integer(number)));
                0
            }
            Kind::Any(members) => members.scan(cursor, &mut |entry| emit(Element::Bytes(entry.bytes))),
        }
    }

    /// Any member, each as likely as the others, and numbers that tell it from them; `None` if there is none.
    pub fn random(&self, random: &mut Draws) -> Option<(Element<'_>, (usize, usize))> {
        match &self.form {
            Kind::Ints(ints) => {
                let n = random.below(ints.len() as u64) as usize;
                ints.get(n).map(|number| (Element::Integer(number), (0, n)))
            }
            Kind::Any(members) => {
                let (spot, place) = members.random(random)?;
                Some((Element::Bytes(members.entry(spot).bytes), place))
            }
        }
    }

    /// Says that so many members are about to be added, as Redis looks at all members of a command at once.
    pub fn expect(&mut self, members: usize, limits: &SetLimits) {
        match &mut self.form {
            Kind::Ints(ints)
                if ints.is_empty() && members > limits.ints && members > limits.packing.entries =>
            {
                self.spread(limits.packing.seeds);
            }
            Kind::Ints(ints) if ints.is_empty() => {}
            Kind::Ints(_) if members > limits.ints => self.spread(limits.packing.seeds),
            Kind::Any(any) if any.is_one() && members > limits.packing.entries => {
                any.become_many(limits.packing.seeds);
            }
            _ => {}
        }
    }

    /// Adds a member; false if it was there.
    #[inline]
    pub fn add(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        match &mut self.form {
            Kind::Ints(ints) => match parse_integer(member) {
                Some(number) if limits.ints > 0 || !ints.is_empty() => {
                    let is_new = ints.insert(number);
                    if ints.len() > limits.ints {
                        self.spread(limits.packing.seeds);
                    }
                    return is_new;
                }
                _ => self.become_any(member, limits),
            },
            Kind::Any(_) => {}
        }
        let Kind::Any(members) = &mut self.form else {
            unreachable!("a set that has become one of any members is such a one")
        };
        if members.find(member).is_some() {
            return false;
        }
        if members.is_one()
            && (members.len() >= limits.packing.entries
                || member.len() > limits.packing.bytes
                || members.is_too_long_for_one())
        {
            members.become_many(limits.packing.seeds);
        }
        members.add(member, Shape::plain(member.len()), |to| to.copy_from_slice(member));
        true
    }

    /// Removes a member; false if it was not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.form {
            Kind::Ints(ints) => parse_integer(member).is_some_and(|number| ints.remove(number)),
            Kind::Any(members) => members.find(member).inspect(|spot| members.remove(*spot)).is_some(),
        }
    }

    /// The numbers become members by their bytes, in one bucket if they may and the next member may as well.
    fn become_any(&mut self, next: &[u8], limits: &SetLimits) {
        let Kind::Ints(ints) = &self.form else { return };
        let longest = [ints.get(0), ints.len().checked_sub(1).and_then(|last| ints.get(last))];
        let longest = longest.into_iter().flatten().map(|number| itoa::Buffer::new().format(number).len());
        let longest = longest.max().unwrap_or(0).max(next.len());
        let is_one = ints.len() < limits.packing.entries && longest <= limits.packing.bytes;
        self.take_bytes();
        if !is_one {
            self.spread(limits.packing.seeds);
        }
    }

    /// Becomes many buckets.
    fn spread(&mut self, seeds: Seeds) {
        self.take_bytes();
        if let Kind::Any(members) = &mut self.form {
            members.become_many(seeds);
        }
    }

    fn take_bytes(&mut self) {
        let Kind::Ints(ints) = &self.form else { return };
        let mut members = Members::<Plain>::default();
        let mut text = itoa::Buffer::new();
        for number in ints.iter() {
            let bytes = text.format(number).as_bytes();
            members.add(bytes, Shape::plain(bytes.len()), |to| to.copy_from_slice(bytes));
        }
        self.form = Kind::Any(members);
    }

    /// All members in an order that does not depend on how it came about.
    fn sorted(&self) -> Vec<Vec<u8>> {
        let mut members: Vec<Vec<u8>> = self.iter().map(|member| member.to_vec()).collect();
        members.sort_unstable();
        members
    }
}

impl PartialEq for Set {
    /// The same members, and the encoding that a client can see.
    fn eq(&self, other: &Set) -> bool {
        self.len() == other.len() && self.encoding() == other.encoding() && self.sorted() == other.sorted()
    }
}

impl Eq for Set {}

impl Hash for Set {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.encoding(), self.sorted()).hash(state);
    }
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |member: Element<'_>| member.with(|bytes| String::from_utf8_lossy(bytes).into_owned());
        f.debug_set().entries(self.iter().map(text)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn member() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => (0i64..60).prop_map(|n| n.to_string().into_bytes()),
            1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            1 => (0usize..40).prop_map(|n| vec![b'm'; n]),
            1 => (0u8..40).prop_map(|n| format!("0{n}").into_bytes()),
        ]
    }

    proptest! {
        #[test]
        fn a_set_agrees_with_a_model(
            steps in prop::collection::vec((0..40u8, member()), 1..250),
            ints in 0..40usize, entries in 0..40usize, bytes in prop_oneof![Just(3usize), Just(64)],
        ) {
            let mut limits = SetLimits { ints, packing: Packing { entries, bytes, seeds: [1, 2, 3, 4] } };
            let (mut set, mut model) = (Set::default(), BTreeSet::new());
            let mut most_ints = ints;
            for (what, member) in steps {
                // Which form it takes is configured anew.
                if what == 39 {
                    limits.ints = member.len() * 4;
                    limits.packing.entries = usize::from(member.first().copied().unwrap_or(0) % 40);
                    most_ints = most_ints.max(limits.ints);
                    if member.len() % 2 == 0 {
                        (set, model) = (Set::default(), BTreeSet::new());
                    }
                    continue;
                }
                match what % 4 {
                    0 => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                    _ => prop_assert_eq!(set.add(&member, &limits), model.insert(member.clone())),
                }
                prop_assert_eq!(set.has(&member), model.contains(&member));
                prop_assert_eq!(set.has_element(Element::of(&member)), model.contains(&member));
                prop_assert_eq!(set.clone().owned_bytes(), set.owned_bytes());
                prop_assert_eq!(set.len(), model.len());
                prop_assert!(set.encoding() != "intset" || set.len() <= most_ints);
            }
            prop_assert_eq!(set.sorted(), model.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_set_takes_the_forms_of_redis() {
        let limits = SetLimits { ints: 4, packing: Packing { entries: 3, bytes: 5, seeds: [1, 2, 3, 4] } };
        for (members, encoding) in [
            ("1 2 3 4", "intset"),
            ("1 2 3 4 5", "hashtable"),
            ("1 2 x", "listpack"),
            ("1 2 3 x", "hashtable"),
            ("1 123456 x", "hashtable"),
            ("a b c", "listpack"),
            ("a b c d", "hashtable"),
            ("a toolong", "hashtable"),
        ] {
            let mut set = Set::default();
            members.split(' ').for_each(|member| {
                set.add(member.as_bytes(), &limits);
            });
            assert_eq!(set.encoding(), encoding, "{members}");
        }
    }
}

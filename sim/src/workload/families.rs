//! The families of requests, one row each. A world has each of them or not, so that rare things meet often.
//!
//! Whoever adds a family adds a row, at the end.

use super::author::Author;
use super::bits;
use super::dumps;
use super::sorted_sets;
use super::sorting;
use super::streams;
use super::wide::{self, Request};
use crate::dice::{Concern, Dice};
use crate::plan::Deed;
use crate::wild;

/// What a family has a client do.
pub enum Saying {
    /// One request, which may as well stand inside MULTI.
    One(Request),
    /// Requests that belong together.
    Several(Vec<Request>),
    /// Something else, outside of MULTI.
    Deed(Deed),
}

/// One family.
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// In so many of a thousand worlds.
    pub worlds: u64,
    /// How often it is drawn, compared with the others.
    pub weight: u64,
    /// A deed of this client; of a family whose requests come in groups, see [`Author::transaction`].
    pub draw: fn(&mut Author<'_>, usize) -> Saying,
}

/// All families.
pub const ALL: &[Family] = &[
    Family { name: "strings", worlds: 1_000, weight: 15, draw: |author, _| Saying::One(author.string()) },
    Family { name: "numbers", worlds: 700, weight: 5, draw: |author, _| Saying::One(author.number()) },
    Family { name: "deadlines", worlds: 600, weight: 8, draw: |author, _| Saying::One(author.deadline()) },
    Family {
        name: "several keys of one shard",
        worlds: 500,
        weight: 4,
        draw: |author, _| Saying::One(author.several()),
    },
    Family {
        name: "all keys",
        worlds: 400,
        weight: 2,
        draw: |author, client| match author.dice.below(5) {
            0 => Saying::Deed(Deed::Scan { client, count: author.dice.between(1, 12) }),
            _ => Saying::One(author.all_keys()),
        },
    },
    Family { name: "flush", worlds: 250, weight: 1, draw: |author, _| Saying::One(author.flush()) },
    Family {
        name: "connection",
        worlds: 500,
        weight: 2,
        draw: |author, client| Saying::Deed(Deed::Say { client, words: author.connection() }),
    },
    Family { name: "big values", worlds: 250, weight: 1, draw: |author, _| Saying::One(author.big()) },
    Family { name: "many keys", worlds: 150, weight: 1, draw: |author, _| Saying::One(author.many()) },
    Family {
        name: "nonsense",
        worlds: 300,
        weight: 1,
        draw: |author, client| Saying::Deed(author.nonsense(client)),
    },
    // A client of its own says whatever the table knows; the others do not draw it.
    Family {
        name: "wild",
        worlds: 300,
        weight: 0,
        draw: |author, _| Saying::One(wild::request(&mut author.dice)),
    },
    Family {
        name: "several keys of several shards",
        worlds: 600,
        weight: 10,
        draw: |author, _| Saying::One(author.across()),
    },
    Family {
        name: "lists",
        worlds: 500,
        weight: 10,
        draw: |author, _| Saying::One(author.with_keys(wide::lists)),
    },
    Family {
        name: "transactions",
        worlds: 600,
        weight: 6,
        draw: |author, client| Saying::Several(author.transaction(client)),
    },
    Family {
        name: "databases change places",
        worlds: 200,
        weight: 1,
        draw: |author, _| Saying::One(author.swap()),
    },
    Family { name: "waiting", worlds: 500, weight: 25, draw: |author, client| author.waiting(client) },
    Family {
        name: "hashes",
        worlds: 400,
        weight: 10,
        draw: |author, _| Saying::One(author.with_keys(wide::hashes)),
    },
    Family {
        name: "sets",
        worlds: 400,
        weight: 10,
        draw: |author, _| Saying::One(author.with_keys(wide::sets)),
    },
    Family {
        name: "fields that end",
        worlds: 300,
        weight: 6,
        draw: |author, _| Saying::One(author.with_keys(wide::fields_that_end)),
    },
    Family {
        name: "sorted sets",
        worlds: 500,
        weight: 12,
        draw: |author, _| Saying::One(author.with_keys(sorted_sets::any)),
    },
    Family {
        name: "waiting for members",
        worlds: 400,
        weight: 12,
        draw: |author, _| author.waiting_for_members(),
    },
    Family {
        name: "values as bytes",
        worlds: 250,
        weight: 4,
        draw: |author, _| Saying::One(author.with_keys(dumps::values_as_bytes)),
    },
    Family {
        name: "bits",
        worlds: 300,
        weight: 8,
        draw: |author, _| Saying::One(author.with_keys(bits::bits)),
    },
    Family {
        name: "sketches",
        worlds: 200,
        weight: 5,
        draw: |author, _| Saying::One(author.with_keys(bits::sketches)),
    },
    Family {
        name: "sorting",
        worlds: 300,
        weight: 8,
        draw: |author, _| Saying::One(author.with_keys(sorting::sorting)),
    },
    Family {
        name: "streams",
        worlds: 500,
        weight: 14,
        draw: |author, _| Saying::One(author.with_keys(streams::any)),
    },
    Family {
        name: "waiting for entries",
        worlds: 400,
        weight: 14,
        draw: |author, _| author.waiting_for_entries(),
    },
    Family {
        name: "snapshots",
        worlds: 400,
        weight: 2,
        draw: |author, client| Saying::Deed(Deed::Say { client, words: author.snapshot() }),
    },
    // Of worlds that are about nothing else.
    Family { name: "a crowd", worlds: 0, weight: 60, draw: |author, client| author.crowd(client) },
    Family {
        name: "keys that leave",
        worlds: 300,
        weight: 6,
        draw: |author, _| Saying::One(author.migrate()),
    },
];

/// Which families a world has, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Families(u64);

impl Default for Families {
    /// The first.
    fn default() -> Families {
        Families(1)
    }
}

impl Families {
    /// Those that a seed decides.
    pub fn of_seed(seed: u64) -> Families {
        let mut dice = Dice::new(seed, Concern::Families);
        let mut bits = 0;
        for (n, family) in ALL.iter().enumerate().filter(|(_, family)| family.worlds > 0) {
            bits |= u64::from(dice.chance(family.worlds)) << n;
        }
        // With many families few requests are about the same thing: some worlds have three of those at the most.
        if dice.chance(350) {
            let is_drawn = |n: &usize| bits >> n & 1 == 1 && ALL[*n].weight > 0;
            let places: Vec<usize> = (0..ALL.len()).filter(is_drawn).collect();
            // Strings always: there must be something to say one by one.
            bits = (0..3).fold(1, |few, _| few | 1 << dice.pick(&places));
        }
        Families(bits)
    }

    /// Those of these names.
    pub fn of_names(names: &[&str]) -> Families {
        let place = |name: &&str| ALL.iter().position(|family| family.name == *name);
        Families(names.iter().filter_map(place).fold(0, |bits, place| bits | 1 << place))
    }

    /// True if the world has the family of this name.
    pub fn has(self, name: &str) -> bool {
        self.iter().any(|family| family.name == name)
    }

    /// Those that the world has.
    pub fn iter(self) -> impl Iterator<Item = &'static Family> {
        ALL.iter().enumerate().filter(move |(n, _)| self.0 >> n & 1 == 1).map(|(_, family)| family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_names_and_fit_into_the_bits() {
        assert!(ALL.len() <= 64);
        let names: std::collections::BTreeSet<&str> = ALL.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(Families::default().has("strings") && !Families::default().has("wild"));
        let with = (0..1_000).filter(|&seed| Families::of_seed(seed).has("lists")).count();
        // Five in ten, of which a third may leave it out.
        assert!((300..500).contains(&with), "{with}");
    }
}

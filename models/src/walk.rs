//! A snapshot's walk through one database, with writers at every moment: what is written is what was there at the cut, each key once.
//!
//! The production database and walk. Writers overwrite, change, remove and make keys, let them end, split and merge segments, in any order; the walk
//! goes on between any two of them, is given up or not, and a second one follows. No model of its own: it compares what was written
//! with what there was.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use darter_core::database::{Database, Key};
use darter_core::hash::KeyHasher;
use darter_core::rdb::file::{Item, item, write_entry};
use darter_core::rdb::writer::Writer;
use darter_core::shard::Deadline;
use darter_core::snapshot::walk::Walk;
use darter_core::time::UnixMillis;
use darter_core::value::access::AccessRule;
use darter_core::value::container::Container;
use darter_core::value::list::{Fill, List};
use darter_core::value::pack::Side;
use darter_core::value::record::Value;
use stateright::{Model, Property};

use crate::state::HASH_SEEDS;

/// Keys with their deadlines and values as in a dump.
type Image = BTreeMap<Vec<u8>, (Option<u64>, Vec<u8>)>;

/// A record is written in slices from so many bytes on.
const LARGE_MIN: usize = 300;
/// Elements of a list that is.
const LIST_LEN: usize = 40;
/// Elements of one of its packs.
const FILL: Fill = Fill(8);

/// When keys end that do.
const DUE: u64 = 1_000;

/// What writers do, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    /// A key gets another value.
    Overwrite(u16),
    /// A key's value is changed where it lies; a list gets one element more.
    Change(u16),
    /// A key is removed.
    Remove(u16),
    /// A key is removed and made again.
    Renew(u16),
    /// A new key is made.
    Make(u16),
    /// Keys whose time has come are removed.
    Expire,
    /// So many new keys, so that segments split and records are displaced.
    Fill(u16),
    /// Those are removed again, so that segments merge.
    Clear(u16),
    /// The walk is not wanted any more.
    GiveUp,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A writer's turn: the act of this place.
    Act(u8),
    /// The walk goes on.
    Walk,
}

/// The model.
#[derive(Clone, Debug)]
pub struct Walks {
    /// Keys that are there before.
    pub keys: u16,
    /// What writers do.
    pub acts: Vec<Act>,
    /// So many of them, from the first on, are lists that take several slices.
    pub lists: u16,
    /// Buckets of a step of the walk.
    pub stride: usize,
    /// Bytes of a step.
    pub bytes: usize,
    /// Walks, one after the other.
    pub walks: u8,
    /// Situations that must be met.
    pub sometimes: Vec<&'static str>,
}

/// One state.
#[derive(Clone)]
pub struct State {
    database: Database,
    hasher: KeyHasher,
    done: u16,
    walks: u8,
    cut: Image,
    written: Vec<u8>,
    expired: bool,
    given_up: bool,
    saved: bool,
    /// A value was taken in parts.
    torn: bool,
    wrong: Option<&'static str>,
    /// A walk has come to its end.
    is_compared: bool,
}

/// What was given up may end within a value: nobody reads it.
fn image(mut bytes: &[u8], is_given_up: bool) -> Option<Image> {
    let mut image = Image::new();
    while !bytes.is_empty() {
        let (next, len) = match item(bytes) {
            Ok(item) => item,
            Err(_) if is_given_up => break,
            Err(_) => return None,
        };
        if let Item::Entry(entry) = next {
            let value = (entry.deadline.map(|at| at.0), entry.value.to_vec());
            if image.insert(entry.key.to_vec(), value).is_some() {
                return None;
            }
        }
        bytes = &bytes[len..];
    }
    Some(image)
}

impl State {
    fn image(&self) -> Image {
        let mut writer = Writer::new(false);
        self.database.iter().for_each(|record| write_entry(record, &mut writer));
        image(&writer.out, false).unwrap_or_default()
    }

    fn store(&mut self, name: &str, value: &[u8], deadline: Deadline) {
        let key = Key { bytes: name.as_bytes(), hash: self.hasher.hash(name.as_bytes()) };
        drop(self.database.store(key, Value::Bytes(value), deadline, None, AccessRule::Untouched));
    }

    fn remove(&mut self, name: &str) {
        self.database.remove(Key { bytes: name.as_bytes(), hash: self.hasher.hash(name.as_bytes()) });
    }

    fn act(&mut self, act: Act) {
        let old = |n: u16| format!("key:{n}");
        match act {
            Act::Overwrite(n) => self.store(&old(n), b"overwritten", Deadline::Clear),
            Act::Change(n) => {
                let name = old(n);
                let key = Key { bytes: name.as_bytes(), hash: self.hasher.hash(name.as_bytes()) };
                self.database.change(key, |record| match record.container_mut() {
                    Some(Container::List(list)) => list.push(Side::Left, b"one more", FILL),
                    _ => record.set_value(Value::Integer(7)),
                });
            }
            Act::Remove(n) => self.remove(&old(n)),
            Act::Renew(n) => {
                self.remove(&old(n));
                self.store(&old(n), b"made again", Deadline::Clear);
            }
            Act::Make(n) => self.store(&format!("new:{n}"), b"new", Deadline::Clear),
            Act::Expire => {
                self.expired = true;
                self.database.expire_some(UnixMillis(DUE), 10_000, &|_| false, &mut drop);
            }
            Act::Fill(count) => {
                (0..count).for_each(|n| self.store(&format!("fill:{n}"), b"fill", Deadline::Clear))
            }
            Act::Clear(count) => (0..count).for_each(|n| self.remove(&format!("fill:{n}"))),
            Act::GiveUp => {
                self.given_up |= self.database.walk().is_some();
                self.database.give_up_walk();
            }
        }
        self.saved |= self.database.walk().is_some_and(|walk| walk.saved() > 0);
    }

    fn begin_walk(&mut self) {
        self.cut = self.image();
        self.written.clear();
        (self.expired, self.given_up) = (false, false);
        self.walks += 1;
        self.database.begin_walk(0, false, LARGE_MIN);
    }

    fn walk(&mut self, model: &Walks) {
        self.database.walk_some(model.stride, model.bytes);
        self.written.extend(self.database.take_walked().unwrap_or_default());
        self.torn |= self.database.walk().is_some_and(Walk::is_torn);
        if self.database.walk().is_none() {
            self.is_compared = true;
            self.compare();
            if self.wrong.is_none() && self.walks < model.walks {
                self.begin_walk();
            }
        }
    }

    /// The walk is over.
    fn compare(&mut self) {
        let Some(written) = image(&self.written, self.given_up) else {
            self.wrong = Some("a key was written twice, or something into the midst of it");
            return;
        };
        let may_miss = |(_, (at, _)): &(&Vec<u8>, &(Option<u64>, Vec<u8>))| self.expired && at.is_some();
        let is_whole = self
            .cut
            .iter()
            .filter(|entry| !may_miss(entry))
            .all(|(key, value)| written.get(key) == Some(value));
        let is_from_cut = written.iter().all(|(key, value)| self.cut.get(key) == Some(value));
        if !self.given_up && !is_whole || !is_from_cut {
            self.wrong = Some("what was written is not what was there");
        }
        if self.database.iter().any(|record| record.is_passed_by()) {
            self.wrong = Some("a mark is left");
        }
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let mut records: Vec<_> =
            self.database.iter().map(|record| (record.key(), record.copy(), record.is_passed_by())).collect();
        records.sort_by_key(|(key, ..)| *key);
        records.hash(hasher);
        if let Some(walk) = self.database.walk() {
            walk.digest(hasher);
            (walk.is_over(), walk.written()).hash(hasher);
        }
        (self.done, self.walks, &self.cut, &self.written, self.expired).hash(hasher);
        (self.given_up, self.wrong).hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        (self.done, self.walks, &self.written) == (other.done, other.walks, &other.written)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("done", &self.done).field("walks", &self.walks).finish_non_exhaustive()
    }
}

/// A key was written because it was about to change.
pub const SAVED: &str = "a key was saved before it was changed";
/// A large value was taken in parts, and something changed on the way.
pub const TORN: &str = "a value was taken in parts";
/// The walk ran to its end.
pub const COMPARED: &str = "a walk has come to its end";
/// A walk was given up on its way.
pub const GIVEN_UP: &str = "a walk was given up";
/// The table became larger on the way.
pub const SPLIT: &str = "segments split while the walk was on its way";
/// All is done.
pub const OVER: &str = "everything is done";

impl Model for Walks {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let hasher = KeyHasher::new(HASH_SEEDS);
        let mut state = State {
            database: Database::new(hasher.clone()),
            hasher,
            done: 0,
            walks: 0,
            cut: Image::new(),
            written: Vec::new(),
            expired: false,
            given_up: false,
            saved: false,
            torn: false,
            wrong: None,
            is_compared: false,
        };
        for n in 0..self.lists {
            let mut list = List::default();
            (0..LIST_LEN).for_each(|n| list.push(Side::Right, format!("element {n}").as_bytes(), FILL));
            let name = format!("key:{n}");
            let key = Key { bytes: name.as_bytes(), hash: state.hasher.hash(name.as_bytes()) };
            let value = Value::Container(Box::new(Container::List(list)));
            drop(state.database.store(key, value, Deadline::Clear, None, AccessRule::Untouched));
        }
        for n in self.lists..self.keys {
            let deadline = if n % 3 == 0 { Deadline::At(UnixMillis(DUE - 1)) } else { Deadline::Clear };
            state.store(&format!("key:{n}"), b"old", deadline);
        }
        state.begin_walk();
        vec![state]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.wrong.is_some() {
            return;
        }
        steps.extend((0..self.acts.len() as u8).filter(|n| state.done >> n & 1 == 0).map(Step::Act));
        steps.extend(state.database.walk().map(|_| Step::Walk));
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Act(n) => {
                state.done |= 1 << n;
                state.act(self.acts[usize::from(n)]);
            }
            Step::Walk => state.walk(self),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Walks>> {
        let mut properties = vec![
            Property::always("what is written is the cut, each key once", |_, state: &State| {
                state.wrong.is_none()
            }),
            Property::always("accounts are right", |_, state: &State| state.database.recount().is_ok()),
            Property::always("a walk ends", |model: &Walks, state: &State| {
                let mut steps = Vec::new();
                model.actions(state, &mut steps);
                !steps.is_empty() || state.wrong.is_some() || state.walks == model.walks && state.is_compared
            }),
        ];
        let sometimes: [Property<Walks>; 6] = [
            Property::sometimes(TORN, |_, state: &State| state.torn && state.saved && state.is_compared),
            Property::sometimes(SAVED, |_, state: &State| state.saved),
            Property::sometimes(COMPARED, |_, state: &State| state.is_compared),
            Property::sometimes(GIVEN_UP, |_, state: &State| state.given_up && state.is_compared),
            Property::sometimes(SPLIT, |model: &Walks, state: &State| {
                let is_filled = state.database.len() > usize::from(model.keys) * 2;
                is_filled && state.database.walk().is_some_and(|walk| walk.written() > 0)
            }),
            Property::sometimes(OVER, |model: &Walks, state: &State| {
                state.done.count_ones() as usize == model.acts.len() && state.database.walk().is_none()
            }),
        ];
        properties.extend(sometimes.into_iter().filter(|property| self.sometimes.contains(&property.name)));
        properties
    }
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    /// The model.
    pub model: Walks,
    /// How many different states it has.
    pub states: usize,
}

/// All scenarios.
pub fn all() -> Vec<Scenario> {
    let model = |keys, stride, walks, acts: &[Act], sometimes: &[&'static str]| Walks {
        keys,
        lists: 0,
        acts: acts.to_vec(),
        stride,
        bytes: 1 << 20,
        walks,
        sometimes: sometimes.to_vec(),
    };
    vec![
        Scenario {
            name: "walk: overwrite, change, remove, renew, make, expire",
            model: model(
                9,
                4,
                1,
                &[
                    Act::Overwrite(1),
                    Act::Change(2),
                    Act::Remove(4),
                    Act::Renew(5),
                    Act::Make(0),
                    Act::Make(1),
                    Act::Expire,
                ],
                &[SAVED, COMPARED, OVER],
            ),
            states: 87_992,
        },
        Scenario {
            name: "walk: two of them, segments split and merge",
            model: model(
                60,
                16,
                2,
                &[Act::Fill(1_500), Act::Clear(1_500), Act::Renew(1), Act::Remove(2)],
                &[SAVED, COMPARED, SPLIT, OVER],
            ),
            states: 5_255,
        },
        Scenario {
            name: "walk: given up, and another",
            model: model(
                30,
                8,
                2,
                &[Act::GiveUp, Act::Overwrite(1), Act::Renew(2), Act::Make(0), Act::Expire],
                &[SAVED, COMPARED, GIVEN_UP, OVER],
            ),
            states: 13_234,
        },
        Scenario {
            name: "walk: large values in slices",
            model: Walks {
                lists: 2,
                bytes: 150,
                ..model(
                    5,
                    16,
                    2,
                    &[Act::Change(0), Act::Remove(1), Act::Renew(0), Act::Change(3), Act::GiveUp],
                    &[SAVED, COMPARED, GIVEN_UP, TORN, OVER],
                )
            },
            states: 24_431,
        },
    ]
}

//! One database of one shard: a table of records, and its accounts.
//!
//! It knows bytes and deadlines. It does not know commands, clients or the time of day.

use crate::hash::{KeyHash, KeyHasher};
use crate::mutant::planted;
use crate::shard::Deadline;
use crate::snapshot::walk::Walk;
use crate::table::{BOUND_UNIT_MILLIS, Cursor, Dashtable};
use crate::time::UnixMillis;
use crate::value::access::AccessRule;
use crate::value::container::Container;
use crate::value::note::Note;
use crate::value::record::{Record, Value};

/// A key with its hash, made once per command.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Of all its bytes.
    pub hash: KeyHash,
}

/// A look-up judged by an instant.
pub enum Live<'a> {
    /// It lives.
    Found(&'a mut Record),
    /// There is nothing.
    Absent,
    /// Its time has come, but it is still there.
    Due,
}

/// Keys and values of one database on one shard.
#[derive(Clone)]
pub struct Database {
    table: Dashtable<Record>,
    /// Bytes of the records.
    record_bytes: usize,
    /// Records that have a deadline.
    with_deadline: usize,
    /// Records of containers in which something has a deadline.
    timed_within: usize,
    /// A snapshot's, while it is on its way through.
    walk: Option<Box<Walk>>,
    /// Records that there were when it began.
    keys_at_cut: usize,
}

/// What the accounts know of a record.
#[derive(Clone, Copy, Default)]
struct Account {
    bytes: usize,
    with_deadline: bool,
    timed_within: bool,
}

impl Account {
    #[inline(always)]
    fn of(record: &Record) -> Account {
        Account {
            bytes: record.owned_bytes(),
            with_deadline: record.deadline().is_some(),
            timed_within: record.is_timed_within(),
        }
    }
}

/// Parts of containers that are removed at a time because their time has come.
const PURGED_MAX: usize = 256;

impl Database {
    /// What a key costs in the table, in bytes, besides its record.
    pub const SLOT_BYTES: usize = Dashtable::<Record>::SLOT_BYTES;

    /// There will be so many keys: see [`Dashtable::expect`].
    pub fn expect(&mut self, keys: usize) {
        self.table.expect(keys);
    }

    /// No more are to come that anybody knows of.
    pub fn expect_no_more(&mut self) {
        self.table.expect_no_more();
    }

    /// Without keys.
    pub fn new(hasher: KeyHasher) -> Database {
        Database {
            table: Dashtable::new(hasher),
            record_bytes: 0,
            with_deadline: 0,
            timed_within: 0,
            walk: None,
            keys_at_cut: 0,
        }
    }

    /// Keys, those included whose time has come but that nobody has looked at since.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True without keys.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Keys that have a deadline.
    pub fn with_deadline(&self) -> usize {
        self.with_deadline
    }

    /// True if any key or anything in one has a deadline.
    #[inline]
    pub fn has_deadlines(&self) -> bool {
        self.with_deadline + self.timed_within > 0
    }

    /// Bytes of the table and of what it holds.
    pub fn used_bytes(&self) -> usize {
        self.table.allocated_bytes() + self.record_bytes
    }

    /// Bytes of the table alone.
    pub fn table_bytes(&self) -> usize {
        self.table.allocated_bytes()
    }

    /// The record of a key.
    #[inline]
    pub fn get(&self, key: Key<'_>) -> Option<&Record> {
        self.table.get(key.bytes, key.hash)
    }

    /// The record of a key, judged by an instant. To be read, or to have its use noted; changed is a record by [`Database::change`].
    #[inline]
    pub fn get_live(&mut self, key: Key<'_>, now: UnixMillis) -> Live<'_> {
        match self.table.get_mut(key.bytes, key.hash) {
            None => Live::Absent,
            Some(record) if record.is_due(now) && !planted("a due key is found") => Live::Due,
            Some(record) => Live::Found(record),
        }
    }

    /// Brings the key's bucket towards the cache.
    #[inline]
    pub fn prefetch(&self, hash: KeyHash) {
        self.table.prefetch(hash);
    }

    /// Brings what [`Database::insert`] looks at towards the cache.
    #[inline]
    pub fn prefetch_to_insert(&self, hash: KeyHash) {
        self.table.prefetch_to_insert(hash);
    }

    /// Brings the key's record towards the cache, after its bucket.
    #[inline]
    pub fn prefetch_record(&self, hash: KeyHash) {
        self.table.prefetch_entry(hash);
    }

    /// Stores a value under a key, whatever lay there, and what is to be kept with it: without a note, what is there. A container that lay there is given back: to free it may take long.
    #[must_use = "a container may be too large to be freed at once"]
    pub fn store(
        &mut self,
        key: Key<'_>,
        value: Value<'_>,
        deadline: Deadline,
        note: Option<Note>,
        access: AccessRule,
    ) -> Option<Box<Container>> {
        self.save_first(key);
        if let Some(record) = self.table.get_mut(key.bytes, key.hash) {
            let before = Account::of(record);
            let old = record.take_container();
            match note {
                Some(note) => record.replace(value, note),
                None => {
                    record.set_value(value);
                    record.forget_stamp();
                }
            }
            record.set_access(access.used(record.access()));
            match deadline {
                Deadline::Keep => {}
                Deadline::Clear => record.set_deadline(None),
                Deadline::At(at) => record.set_deadline(Some(at)),
            }
            let (after, soonest) = (Account::of(record), record.soonest());
            self.account(key.hash, before, after, soonest);
            return old;
        }
        let deadline = match deadline {
            Deadline::At(at) => Some(at),
            Deadline::Clear | Deadline::Keep => None,
        };
        let mut record = Record::new(key.bytes, value, deadline, access.fresh());
        if let Some(note) = note.filter(|note| !note.is_empty()) {
            record.set_note(note);
        }
        self.insert(key.hash, record);
        None
    }

    /// Puts a record in whose key is not there.
    pub fn insert(&mut self, hash: KeyHash, mut record: Record) {
        if let Some(walk) = &self.walk {
            let is_new = walk.is_ahead(self.table.place_in_scans(hash));
            record.pass_by(is_new && !planted("what is made ahead of the walk is written"));
        }
        self.put_back(hash, record);
    }

    /// Puts a record in that was there before.
    fn put_back(&mut self, hash: KeyHash, record: Record) {
        let (after, soonest) = (Account::of(&record), record.soonest());
        self.table.insert(record, hash);
        self.account(hash, Account::default(), after, soonest);
    }

    /// Lets `change` work on a record.
    pub fn change<R>(&mut self, key: Key<'_>, change: impl FnOnce(&mut Record) -> R) -> Option<R> {
        self.save_first(key);
        let record = self.table.get_mut(key.bytes, key.hash)?;
        let before = Account::of(record);
        let result = change(record);
        record.note_within();
        let (after, soonest) = (Account::of(record), record.soonest());
        self.account(key.hash, before, after, soonest);
        Some(result)
    }

    /// Takes a record out.
    pub fn remove(&mut self, key: Key<'_>) -> Option<Record> {
        self.save_first(key);
        let record = self.table.remove(key.bytes, key.hash)?;
        self.forget(Account::of(&record));
        Some(record)
    }

    /// Takes out the record that has this hash, if it `goes`.
    pub fn remove_hashed(&mut self, hash: KeyHash, goes: impl Fn(&Record) -> bool) -> Option<Record> {
        if self.walk.is_some() {
            let key = self.table.find_hashed(hash).filter(|record| goes(record))?.key().to_vec();
            return self.remove(Key { bytes: &key, hash });
        }
        let record = self.table.remove_hashed(hash, goes)?;
        self.forget(Account::of(&record));
        Some(record)
    }

    /// A snapshot begins here: what there is now will be written, and nothing else. The database's number is that of now; records from `large_min`
    /// bytes on are written in slices.
    pub fn begin_walk(&mut self, number: u16, compresses: bool, large_min: usize) {
        debug_assert!(self.walk.is_none(), "one snapshot at a time");
        if !self.is_empty() {
            let keys = [self.len() as u64, self.with_deadline as u64];
            self.walk = Some(Box::new(Walk::new(number, keys, compresses, large_min)));
            self.keys_at_cut = self.len();
        }
    }

    /// A snapshot's way through this database.
    pub fn walk(&self) -> Option<&Walk> {
        self.walk.as_deref()
    }

    /// Records that a snapshot has yet to write.
    pub fn unwritten(&self) -> u64 {
        self.walk.as_ref().map_or(0, |walk| (self.keys_at_cut as u64).saturating_sub(walk.written()))
    }

    /// What the walk has written is not wanted any more.
    pub fn give_up_walk(&mut self) {
        if let Some(walk) = &mut self.walk {
            walk.give_up();
        }
    }

    /// Goes on with the walk until about `bytes` more are written, in at most `steps` buckets; how many it visited.
    pub fn walk_some(&mut self, steps: usize, bytes: usize) -> usize {
        let Some(walk) = self.walk.as_deref_mut() else { return 0 };
        let (mut visited, enough) = (0, walk.pending_bytes() + bytes);
        while visited < steps && !walk.is_over() && walk.pending_bytes() < enough {
            if let Some(key) = walk.next_large() {
                let record = self.table.get_mut(&key, self.table.hash(&key));
                walk.write_slice(record.expect("who removes it has it written first"), enough);
            } else {
                let next = self.table.scan_mut(walk.at(), &mut |record, place| walk.visit(record, place));
                walk.go_on(next);
            }
            visited += 1;
        }
        visited
    }

    /// Takes what the walk has written; the walk ends with what is taken last.
    pub fn take_walked(&mut self) -> Option<Vec<u8>> {
        let walk = self.walk.as_deref_mut()?;
        let was_torn = walk.is_torn();
        let written = walk.take_written();
        if walk.is_over() {
            self.walk = None;
        }
        // The end of what was torn is to be heard of, even if there are no bytes left of it.
        Some(written).filter(|written| was_torn || !written.is_empty())
    }

    /// Whoever changes or removes a record says so before: a snapshot may need it as it is.
    #[inline]
    fn save_first(&mut self, key: Key<'_>) {
        if self.walk.is_some() {
            self.save(key);
        }
    }

    #[cold]
    fn save(&mut self, key: Key<'_>) {
        let Some(walk) = self.walk.as_deref_mut() else { return };
        if walk.is_ahead(self.table.place_in_scans(key.hash))
            && let Some(record) = self.table.get_mut(key.bytes, key.hash)
        {
            walk.save(record);
        } else if walk.next_large().is_some()
            && let Some(record) = self.table.get_mut(key.bytes, key.hash)
        {
            walk.finish(record);
        }
    }

    /// Visits one bucket in scan order.
    pub fn scan(&self, cursor: Cursor, emit: &mut dyn FnMut(&Record)) -> Cursor {
        self.table.scan(cursor, emit)
    }

    /// Emits a few records that lie near each other: see [`Dashtable::sample`].
    #[inline]
    pub fn sample(&self, bits: u64, wanted: usize, timed: bool, emit: impl FnMut(&Record)) {
        self.table.sample(bits, wanted, timed, emit);
    }

    /// Brings the first bucket of a sample towards the cache.
    #[inline]
    pub fn prefetch_sample(&self, bits: u64, timed: bool) {
        self.table.prefetch_sample(bits, timed);
    }

    /// Brings the records of a sample's first bucket towards the cache, after the bucket.
    #[inline]
    pub fn prefetch_sampled(&self, bits: u64, timed: bool) {
        self.table.prefetch_sampled(bits, timed);
    }

    /// Lets `visit` see the records of one bucket and change their access bits, and nothing else: see [`Dashtable::visit`].
    pub fn visit(&mut self, at: usize, visit: &mut dyn FnMut(&mut Record)) -> usize {
        self.table.visit(at, visit)
    }

    /// The hash under which this database finds a key.
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        self.table.hash(key)
    }

    /// Any record, each as likely as the others.
    pub fn random(&self, random: &mut dyn FnMut() -> u64) -> Option<&Record> {
        self.table.random(random)
    }

    /// All records, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.table.iter()
    }

    /// Removes records that are due, and what is due within others, in about `steps` steps, and hands records on; those that are `spared` stay
    /// due. Steps used and records removed.
    pub fn expire_some(
        &mut self,
        now: UnixMillis,
        steps: usize,
        spared: &dyn Fn(&[u8]) -> bool,
        bury: &mut dyn FnMut(Record),
    ) -> (usize, usize) {
        self.expire(None, now, steps, spared, bury)
    }

    /// The same where a key of this hash belongs: see [`Dashtable::sweep_near`].
    pub fn expire_near(
        &mut self,
        hash: KeyHash,
        now: UnixMillis,
        steps: usize,
        spared: &dyn Fn(&[u8]) -> bool,
        bury: &mut dyn FnMut(Record),
    ) -> (usize, usize) {
        self.expire(Some(hash), now, steps, spared, bury)
    }

    /// True if the part of the table where a key of this hash belongs may soon have to grow though something in it is due.
    #[inline]
    pub fn is_crowded(&self, hash: KeyHash, now: UnixMillis) -> bool {
        self.has_deadlines() && self.table.is_crowded(hash, now)
    }

    fn expire(
        &mut self,
        near: Option<KeyHash>,
        now: UnixMillis,
        steps: usize,
        spared: &dyn Fn(&[u8]) -> bool,
        bury: &mut dyn FnMut(Record),
    ) -> (usize, usize) {
        let (mut expired, mut partly, mut gone) = (0, Vec::new(), Vec::new());
        // What a snapshot is in the midst of stays until it is written.
        let walk = self.walk.as_deref();
        let is_needed = |key: &[u8]| walk.is_some_and(|walk| walk.is_large(key));
        let spared = |record: &Record| spared(record.key()) || is_needed(record.key());
        let mut sort = |record: Record| {
            gone.push(Account::of(&record));
            if record.is_due(now) {
                expired += 1;
                bury(record);
            } else {
                partly.push(record);
            }
        };
        let mut used = match near {
            None => self.table.sweep(now, steps, &Record::soonest, &spared, &mut sort),
            Some(hash) => self.table.sweep_near(hash, now, steps, &Record::soonest, &spared, &mut sort),
        };
        gone.into_iter().for_each(|account| self.forget(account));
        for mut record in partly {
            if let Some(Container::Hash(hash)) = record.container_mut()
                && hash.purge(now, PURGED_MAX) >= PURGED_MAX
            {
                // There may be more of it.
                used = steps;
            }
            record.note_within();
            let hash = self.table.hash(record.key());
            self.put_back(hash, record);
        }
        (used, expired)
    }

    /// When a sweep is worth while: the table's bounds are coarse, and before the unit has passed it might find nothing.
    pub fn next_sweep(&self) -> Option<UnixMillis> {
        self.table.soonest_deadline().map(|bound| UnixMillis(bound.0.saturating_add(BOUND_UNIT_MILLIS)))
    }

    /// Removes about `max` records and hands them on; how many.
    pub fn free_some(&mut self, max: usize, bury: &mut dyn FnMut(Record)) -> usize {
        let mut freed = 0;
        while freed < max {
            let Some(records) = self.table.take_segment() else { break };
            freed += records.len() + 1;
            for record in records {
                self.forget(Account::of(&record));
                bury(record);
            }
        }
        freed
    }

    /// Counts bytes and deadlines anew and compares; for the simulator and tests.
    pub fn recount(&self) -> Result<(), String> {
        let bytes: usize = self.iter().map(Record::owned_bytes).sum();
        let timed = self.iter().filter(|record| record.deadline().is_some()).count();
        let within =
            |record: &&Record| record.container().is_some_and(|container| container.soonest().is_some());
        let within = self.iter().filter(within).count();
        let keys = self.iter().count();
        let found = (bytes, timed, within, keys);
        let accounted = (self.record_bytes, self.with_deadline, self.timed_within, self.len());
        if found == accounted {
            return Ok(());
        }
        Err(format!("bytes, deadlines, deadlines within, keys are {found:?}, accounted {accounted:?}"))
    }

    /// Panics unless the table is well formed; for the simulator and tests.
    pub fn check(&self) {
        self.table.check();
        self.table.check_deadlines(&Record::soonest);
    }

    fn forget(&mut self, account: Account) {
        self.record_bytes -= account.bytes;
        self.with_deadline -= usize::from(account.with_deadline);
        self.timed_within -= usize::from(account.timed_within);
    }

    #[inline]
    fn account(&mut self, hash: KeyHash, before: Account, after: Account, soonest: Option<UnixMillis>) {
        self.record_bytes = self.record_bytes + after.bytes - before.bytes;
        let changed =
            |count: usize, after: bool, before: bool| count + usize::from(after) - usize::from(before);
        self.with_deadline = changed(self.with_deadline, after.with_deadline, before.with_deadline);
        self.timed_within = changed(self.timed_within, after.timed_within, before.timed_within);
        if let Some(soonest) = soonest {
            self.table.note_deadline(hash, soonest);
        }
    }
}

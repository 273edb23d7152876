//! A shard on its way into a snapshot: its databases one after the other, in steps, into parts of bounded size.
//!
//! It knows databases and bytes. It does not know files or other shards.

use std::collections::VecDeque;

use crate::config::Settings;
use crate::database::Database;
use crate::mutant::planted;
use crate::shard::Shard;
use crate::snapshot::pace::Pace;
use crate::snapshot::walk::Walk;
use crate::txn::queue::EntryId;

/// The walk pauses while so many times the bytes of a part wait.
const AHEAD_MAX: usize = 2;
/// While more than this waits because clients change more than the disk takes, nobody changes anything: bytes.
const WAITING_MAX: usize = 8 << 20;
/// They go on below this.
const WAITING_LOW: usize = WAITING_MAX / 2;
/// Steps of background work that write a part.
const STEPS_OF_PART: usize = 256;

/// A part of a snapshot on its way to the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// Entries of the dump. They begin with their database, or with what the last part of this shard has left out.
    pub bytes: Vec<u8>,
    /// It ends within a value: the next part of this shard has to follow it.
    pub is_torn: bool,
    /// It is this shard's last.
    pub is_last: bool,
}

/// A shard's share of a snapshot.
#[derive(Clone, Default)]
pub struct Saving {
    /// A part is sent from this size on, bytes.
    part_bytes: usize,
    /// So many may be under way to the file.
    parts_max: usize,
    /// Flushed meanwhile, but not walked through yet.
    aside: Vec<Database>,
    /// Written, not sent; oldest first. True: it ends within a value.
    ready: VecDeque<(Vec<u8>, bool)>,
    ready_bytes: usize,
    /// Parts that were sent and not answered, and their bytes.
    sent: usize,
    sent_bytes: VecDeque<usize>,
    last_is_sent: bool,
    pub(super) pace: Pace,
    /// Holds the shard against changes.
    pub(crate) holds: Option<EntryId>,
    /// It stays held: the server stops after this.
    pub(crate) is_final: bool,
    /// There is nothing left to walk through.
    is_walked: bool,
    /// Its last part was taken care of.
    pub(crate) is_stored: bool,
}

impl Saving {
    /// Everything that decides how it goes on.
    pub(crate) fn digest(&self, hasher: &mut impl std::hash::Hasher) {
        use std::hash::Hash;
        for walk in self.aside.iter().filter_map(Database::walk) {
            walk.digest(hasher);
        }
        (&self.ready, self.sent, self.last_is_sent, self.holds, self.is_final).hash(hasher);
        (self.is_walked, self.is_stored).hash(hasher);
    }

    fn waiting_bytes(&self) -> usize {
        self.ready_bytes + self.sent_bytes.iter().sum::<usize>()
    }
}

impl Shard {
    /// A snapshot begins: what there is now belongs to it. So many parts may be under way at a time.
    pub(crate) fn begin_saving(
        &mut self,
        settings: &Settings,
        parts_max: usize,
        is_final: bool,
        of_log: bool,
    ) {
        debug_assert!(self.saving.is_none(), "one snapshot at a time");
        let (part_bytes, large_min) = (settings.snapshot_part_bytes, settings.snapshot_large_bytes);
        for (number, database) in self.databases.iter_mut().enumerate() {
            database.begin_walk(number as u16, settings.rdb_compression, large_min);
        }
        self.saving = Some(Box::new(Saving { part_bytes, parts_max, is_final, ..Saving::default() }));
        if !of_log {
            self.dirty_at_cut = self.counters.dirty;
        }
        self.note_walked();
    }

    /// The snapshot is not wanted any more.
    pub(crate) fn give_up_saving(&mut self) {
        let Some(saving) = &mut self.saving else { return };
        self.databases.iter_mut().chain(&mut saving.aside).for_each(Database::give_up_walk);
        saving.ready.clear();
        saving.ready_bytes = 0;
    }

    /// A database that was flushed goes where it is freed, if need be after it was walked through.
    pub(crate) fn discard(&mut self, database: Database) {
        match &mut self.saving {
            Some(saving)
                if database.walk().is_some() && !planted("a flushed database is forgotten by the walk") =>
            {
                saving.aside.push(database);
            }
            _ => self.trash.add_database(database),
        }
    }

    /// True if a step of background work would bring the snapshot on.
    pub(crate) fn wants_walk(&self) -> bool {
        self.saving
            .as_ref()
            .is_some_and(|saving| !saving.is_walked && saving.ready_bytes < AHEAD_MAX * saving.part_bytes)
    }

    /// Goes on with the snapshot for about so many steps.
    pub(crate) fn walk_some(&mut self, steps: usize) {
        if !self.wants_walk() {
            return;
        }
        let Some(saving) = &mut self.saving else { return };
        let mut walks = self.databases.iter_mut().chain(&mut saving.aside);
        // Nothing else may follow what was torn, so that comes first.
        let torn = walks.position(|database| database.walk().is_some_and(Walk::is_torn));
        let unfinished = |database: &&mut Database| database.walk().is_some_and(|walk| !walk.is_over());
        let next =
            self.databases.iter_mut().chain(&mut saving.aside).skip(torn.unwrap_or(0)).find(unfinished);
        if let Some(database) = next {
            database.walk_some(steps, steps * saving.part_bytes.div_ceil(STEPS_OF_PART));
        }
        self.collect_parts();
    }

    /// Takes what is worth a part out of the walks.
    pub(crate) fn collect_parts(&mut self) {
        let Some(saving) = &mut self.saving else { return };
        if saving.is_walked {
            return;
        }
        let part_bytes = saving.part_bytes;
        let is_part = |walk: &Walk| {
            let is_mended = walk.is_torn() && !walk.is_within();
            walk.is_over() || is_mended || walk.pending_bytes() >= part_bytes
        };
        let mut walks: Vec<&mut Database> = self.databases.iter_mut().chain(&mut saving.aside).collect();
        walks.sort_by_key(|database| !database.walk().is_some_and(Walk::is_torn));
        for database in walks {
            if database.walk().is_some_and(is_part)
                && let Some(bytes) = database.take_walked()
            {
                saving.ready_bytes += bytes.len();
                saving.ready.push_back((bytes, database.walk().is_some_and(Walk::is_torn)));
            }
            // Nothing else may follow until its end is taken.
            if database.walk().is_some_and(Walk::is_torn) {
                break;
            }
        }
        let aside = std::mem::take(&mut saving.aside);
        let (walked, left) = aside.into_iter().partition(|database| database.walk().is_none());
        saving.aside = left;
        let walked: Vec<Database> = walked;
        walked.into_iter().for_each(|database| self.trash.add_database(database));
        self.note_walked();
    }

    fn note_walked(&mut self) {
        let is_walked = self.databases.iter().all(|database| database.walk().is_none());
        if let Some(saving) = &mut self.saving {
            saving.is_walked = is_walked && saving.aside.is_empty();
        }
    }

    /// True if there is a part to be sent.
    pub(crate) fn has_part(&self) -> bool {
        self.saving.as_ref().is_some_and(|saving| {
            saving.sent < saving.parts_max
                && !saving.last_is_sent
                && (!saving.ready.is_empty() || saving.is_walked)
        })
    }

    /// The next part. To be sent.
    pub(crate) fn take_part(&mut self) -> Option<Part> {
        if !self.has_part() {
            return None;
        }
        let saving = self.saving.as_mut()?;
        let (bytes, is_torn) = saving.ready.pop_front().unwrap_or_default();
        saving.ready_bytes -= bytes.len();
        saving.sent += 1;
        saving.sent_bytes.push_back(bytes.len());
        saving.last_is_sent = saving.is_walked && saving.ready.is_empty();
        Some(Part { bytes, is_torn, is_last: saving.last_is_sent })
    }

    /// A part that was sent has been taken care of.
    pub(crate) fn part_is_stored(&mut self) {
        let Some(saving) = &mut self.saving else { return };
        saving.sent -= 1;
        saving.sent_bytes.pop_front();
        saving.is_stored = saving.sent == 0 && saving.last_is_sent;
    }

    /// Whether the shard is to be held against changes now, if that is to change.
    pub(crate) fn holds_against_changes(&self) -> Option<bool> {
        let saving = self.saving.as_ref()?;
        let walks = self.databases.iter().chain(&saving.aside).filter_map(Database::walk);
        let waiting = saving.waiting_bytes() + walks.map(Walk::meanwhile_bytes).sum::<usize>();
        match saving.holds.is_some() {
            false if waiting > WAITING_MAX || saving.is_final => Some(true),
            true if waiting < WAITING_LOW && !saving.is_final => Some(false),
            _ => None,
        }
    }

    /// Databases that were flushed and are still to be walked through.
    pub fn aside(&self) -> usize {
        self.saving.as_ref().map_or(0, |saving| saving.aside.len())
    }

    /// See [`Shard::aside`].
    pub(super) fn set_aside(&self) -> &[Database] {
        self.saving.as_ref().map_or(&[], |saving| &saving.aside)
    }

    /// Bytes of buffers that a snapshot takes.
    pub fn saving_bytes(&self) -> usize {
        let walks = self.databases.iter().filter_map(Database::walk);
        walks.map(|walk| walk.pending_bytes() + walk.meanwhile_bytes()).sum::<usize>()
            + self.saving.as_ref().map_or(0, |saving| saving.waiting_bytes())
    }

    /// Changes since the last snapshot that is in the file.
    pub fn unsaved_changes(&self) -> u64 {
        self.counters.dirty - self.dirty_at_save
    }
}

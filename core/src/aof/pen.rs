//! One core's hand in the log: what it has written and is not in the file yet, and how that stands.
//!
//! Lines gather in one buffer. What is there at the end of a turn becomes a group, which the driver puts into the file, and syncs if `appendfsync`
//! is `always`, before anything else of that turn leaves. It knows groups, paths and sizes. It does not know what changes, nor files.

use crate::aof::group::{FRAME_LEN, HEADER, frame};
use crate::aof::line::{Lines, TxName};
use crate::event::{CoreId, Durability};
use crate::mutant::planted;
use crate::time::{Instant, Now};

/// After a group could not be written it is tried again so much later.
const RETRY_MILLIS: u64 = 1_000;
/// A buffer is kept if it is no larger, bytes.
const KEPT_MAX: usize = 1 << 20;

/// When what is written becomes durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SyncPolicy {
    /// Before anybody hears of it.
    Always,
    /// Once a second.
    #[default]
    EverySecond,
    /// When the system likes to.
    No,
}

/// What a driver is to write before anything else of a turn leaves.
#[derive(Debug, PartialEq, Eq)]
pub struct LogFlush<'a> {
    /// To the end of this file, which is made if it is not there, with its directory.
    pub path: &'a str,
    /// What.
    pub bytes: &'a [u8],
    /// How durable it is when the driver says that it is written.
    pub durability: Durability,
}

/// Groups for one file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Portion {
    path: String,
    bytes: Vec<u8>,
    /// Bytes of it that are in the file.
    written: usize,
    /// Nothing more will follow in this file.
    is_last: bool,
}

/// A core's hand in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pen {
    /// What is written down goes to this file; `None`: nothing is.
    path: Option<String>,
    /// The generation with which this process began; 0: it has not.
    pub(crate) run: u32,
    /// Counts the files, from 1.
    pub(crate) generation: u32,
    /// What has been written in this turn, behind room for a frame.
    pub(crate) lines: Lines,
    /// To be written, oldest first.
    portions: Vec<Portion>,
    /// A buffer to be used again.
    spare: Vec<u8>,
    /// The running part of a transaction.
    pub(crate) tx: Option<TxName>,
    /// Transactions whose parts are in files of a later generation than this core's were when they ended.
    carried: Vec<(TxName, Vec<CoreId>, u32)>,
    /// Bytes in the file of this generation.
    pub(crate) size: u64,
    /// Of that, what was written when it last became durable.
    pub(crate) synced: u64,
    /// Bytes of it that the keeper knows of.
    told: u64,
    /// Since the last mark the keeper has been told that there is something.
    is_told: bool,
    /// The log says that everything is durable before anybody hears of it.
    pub(crate) is_always: bool,
    /// The process stops: everything is durable before anybody hears of it.
    pub(crate) is_ending: bool,
    failure: Option<String>,
    /// The disk may have forgotten what it could not write of files before this generation, and why that is known. Until a snapshot stands for
    /// those, nothing is taken for durable.
    doubt: Option<(u32, String)>,
    /// Since the last mark something could not be written, or not be made durable.
    has_failed: bool,
    /// When what could not be written is tried again.
    retry_at: Instant,
    /// When a snapshot is asked for again.
    ask_at: Instant,
}

impl Pen {
    /// True if what changes is written down.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.path.is_some()
    }

    /// True if there is a file, or something for one.
    #[inline]
    pub(crate) fn is_in_use(&self) -> bool {
        self.path.is_some() || !self.portions.is_empty()
    }

    /// Counts the lines of transactions, so that it can be told whether there was one.
    #[inline]
    pub(crate) fn parts_written(&self) -> u64 {
        self.lines.parts()
    }

    /// Why nothing can be written, if that is so.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref().or(self.doubt.as_ref().map(|(_, why)| &why[..]))
    }

    /// Bytes that are not in the file yet.
    pub fn pending_bytes(&self) -> usize {
        let portions =
            self.portions.iter().map(|portion| portion.bytes.len() - portion.written).sum::<usize>();
        portions + self.lines.bytes.len()
    }

    /// True if something of this turn or an earlier one is not in the file, and will be missed there: not once the log is switched off.
    #[inline]
    pub(crate) fn lacks(&self) -> bool {
        self.is_on() && self.pending_bytes() > 0
    }

    /// True if something of this turn or an earlier one is not in the file, and nothing says that it cannot be.
    pub(crate) fn owes(&self) -> bool {
        self.failure().is_none() && self.pending_bytes() > 0
    }

    /// True if all that was written down before this turn is in the file.
    pub(crate) fn has_written_all(&self) -> bool {
        self.is_on() && self.failure().is_none() && self.portions.is_empty()
    }

    /// What is written from now on goes to another file, or nowhere.
    pub(crate) fn turn_page(&mut self, path: Option<String>, generation: u32) {
        if self.path.is_some() && path.is_some() {
            self.write().end();
        }
        self.close_group(true);
        self.failure = None;
        self.is_always = false;
        self.path = path;
        self.generation = generation;
        (self.size, self.synced, self.told, self.is_told) = (0, 0, 0, false);
        self.lines.clear();
        if let Some(path) = &self.path {
            self.portions.push(Portion {
                path: path.clone(),
                bytes: HEADER.to_vec(),
                written: 0,
                is_last: false,
            });
            let carried = std::mem::take(&mut self.carried);
            for (tx, cores, of) in carried.iter().filter(|(_, _, of)| *of == generation) {
                self.write().commit(*tx, *of, cores);
            }
        } else {
            self.carried.clear();
            self.doubt = None;
        }
    }

    /// Where lines are written.
    #[inline]
    pub(crate) fn write(&mut self) -> &mut Lines {
        if self.lines.bytes.is_empty() {
            self.lines.bytes.resize(FRAME_LEN, 0);
        }
        &mut self.lines
    }

    /// A transaction of this core counts: `cores` have written of it, in files of at most this generation.
    pub(crate) fn commit(&mut self, tx: TxName, cores: &[CoreId], generation: u32) {
        if self.is_on() {
            self.write().commit(tx, generation, cores);
        }
        // This core's share of the cut has yet to come: the file that is to be read with theirs is the next.
        if generation > self.generation {
            self.carried.push((tx, cores.to_vec(), generation));
        }
    }

    /// What has been written becomes a group.
    fn close_group(&mut self, is_last: bool) {
        let Some(path) = &self.path else { return };
        if !self.lines.bytes.is_empty() {
            frame(&mut self.lines.bytes);
            let bytes = std::mem::replace(&mut self.lines.bytes, std::mem::take(&mut self.spare));
            self.lines.clear();
            match self.portions.last_mut() {
                Some(portion) if portion.path == *path => portion.bytes.extend_from_slice(&bytes),
                _ => {
                    self.portions.push(Portion { path: path.clone(), bytes, written: 0, is_last: false });
                }
            }
        }
        if is_last {
            match self.portions.last_mut() {
                Some(portion) if portion.path == *path => portion.is_last = true,
                _ => self.portions.push(Portion {
                    path: path.clone(),
                    bytes: Vec::new(),
                    written: 0,
                    is_last: true,
                }),
            }
        }
    }

    /// What is to be written now.
    pub(crate) fn flush(&mut self, policy: SyncPolicy, now: Now) -> Option<LogFlush<'_>> {
        if self.lines.bytes.is_empty() && self.portions.is_empty() {
            return None;
        }
        self.close_group(false);
        if self.failure.is_some() && now.mono < self.retry_at {
            return None;
        }
        let portion = self.portions.first()?;
        let durability = match (portion.is_last, policy) {
            (true, _) => Durability::Final,
            (false, _) if self.is_ending => Durability::Synced,
            (false, SyncPolicy::Always) => Durability::Synced,
            (false, _) => Durability::Written,
        };
        Some(LogFlush { path: &portion.path, bytes: &portion.bytes[portion.written..], durability })
    }

    /// So many bytes of what was to be written are, and why not all, if not.
    pub(crate) fn written(&mut self, bytes: usize, failure: Option<String>, is_synced: bool, now: Now) {
        if self.path.is_none() && failure.is_some() {
            // The log was switched off: its end will not be missed.
            self.portions.clear();
            return;
        }
        let Some(portion) = self.portions.first_mut() else { return };
        if failure.is_none() || !planted("a group that was written in part is written anew") {
            portion.written += bytes;
        }
        if self.path.as_deref() == Some(&portion.path) {
            self.size += bytes as u64;
            if is_synced {
                self.synced = self.size;
            }
        }
        self.retry_at = now.mono.after_millis(RETRY_MILLIS);
        self.has_failed |= failure.is_some();
        if let Some(why) = failure.as_ref().filter(|_| portion.written == portion.bytes.len()) {
            // It is there and could not be made durable: a second try would say that there is nothing left to do.
            let is_older = self.path.as_deref() != Some(&portion.path);
            self.doubt = Some((self.generation + u32::from(!is_older), why.clone()));
            self.ask_at = self.retry_at;
        }
        if failure.is_none() {
            let mut bytes = self.portions.remove(0).bytes;
            if bytes.capacity() <= KEPT_MAX {
                bytes.clear();
                self.spare = bytes;
            }
        }
        self.failure = failure;
    }

    /// True if something was written that the keeper does not know of.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        !self.is_told && self.size > self.told
    }

    /// How much.
    pub(crate) fn tell(&mut self) -> u64 {
        self.is_told = true;
        let news = self.size - self.told;
        self.told = self.size;
        news
    }

    /// One moment in all logs. How many bytes the keeper does not know of.
    pub(crate) fn mark(&mut self, number: u64, is_always: bool) -> u64 {
        self.write().mark(number, is_always);
        (self.is_told, self.is_always, self.has_failed) = (false, is_always, self.failure.is_some());
        let all = self.size + self.pending_bytes() as u64;
        all - std::mem::replace(&mut self.told, all)
    }

    /// A sync has ended well. Is everything durable that was written before the last mark, and the mark?
    pub(crate) fn note_synced(&mut self) -> bool {
        let is_durable = !self.has_failed && self.doubt.is_none();
        if is_durable {
            self.synced = self.size;
        }
        is_durable
    }

    /// What is in the file could not be made durable, and the system forgets such things: only a snapshot helps.
    pub(crate) fn note_failure(&mut self, failure: String, now: Now) {
        self.has_failed = true;
        self.doubt = Some((self.generation + 1, failure));
        self.ask_at = now.mono.after_millis(RETRY_MILLIS);
    }

    /// A snapshot stands for everything before this generation.
    pub(crate) fn settle(&mut self, base: u32) {
        self.doubt.take_if(|(generation, _)| base >= *generation);
    }

    /// True if a snapshot is to be asked for once more.
    pub(crate) fn wants_base(&mut self, now: Now) -> bool {
        // Asking does not put off the next try to write: the snapshot may wait for a transaction that waits for its line.
        let is_due = self.doubt.is_some() && self.ask_at <= now.mono;
        if is_due {
            self.ask_at = now.mono.after_millis(RETRY_MILLIS);
        }
        is_due
    }

    /// When to try again.
    pub(crate) fn deadline(&self) -> Instant {
        let writes = self.failure.is_some() && !self.portions.is_empty();
        let write = if writes { self.retry_at } else { Instant::NEVER };
        let ask = if self.doubt.is_some() { self.ask_at } else { Instant::NEVER };
        write.min(ask)
    }

    /// The file that is written now.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aof::group::{Found, find};
    use crate::aof::line::line;
    use crate::txn::work::TxId;

    fn now(millis: u64) -> Now {
        Now { mono: Instant(0).after_millis(millis), ..Now::default() }
    }

    /// Everything that is to be written now, by file.
    fn flushed(pen: &mut Pen, policy: SyncPolicy) -> Vec<(String, Vec<u8>, Durability)> {
        let mut all = Vec::new();
        while let Some(LogFlush { path, bytes, durability }) = pen.flush(policy, now(0)) {
            all.push((path.to_string(), bytes.to_vec(), durability));
            let len = bytes.len();
            pen.written(len, None, durability != Durability::Written, now(0));
        }
        all
    }

    #[test]
    fn a_turn_is_a_group_and_a_file_ends_durable() {
        let mut pen = Pen::default();
        assert!(!pen.is_on() && pen.flush(SyncPolicy::Always, now(0)).is_none());
        pen.turn_page(Some("one".into()), 1);
        pen.write().gone(None, 0, b"a");
        pen.write().gone(None, 0, b"b");
        let written = flushed(&mut pen, SyncPolicy::EverySecond);
        let [(path, bytes, Durability::Written)] = &written[..] else { panic!("{written:?}") };
        assert_eq!(path, "one");
        let Found::Group(lines) = find(&bytes[HEADER.len()..]) else { panic!("no group") };
        let (_, _, len) = line(lines).unwrap();
        assert!(line(&lines[len..]).is_some(), "both are in one group");
        assert_eq!((pen.size, pen.synced), (bytes.len() as u64, 0));

        pen.write().gone(None, 0, b"c");
        pen.turn_page(Some("two".into()), 2);
        let written = flushed(&mut pen, SyncPolicy::Always);
        let [(one, _, Durability::Final), (two, header, Durability::Synced)] = &written[..] else {
            panic!("{written:?}")
        };
        assert_eq!((&one[..], &two[..], &header[..]), ("one", "two", HEADER));
        assert_eq!(pen.size, pen.synced);
    }

    #[test]
    fn what_could_not_be_written_goes_on_where_it_stopped() {
        let mut pen = Pen::default();
        pen.turn_page(Some("file".into()), 1);
        let whole = pen.flush(SyncPolicy::No, now(0)).unwrap().bytes.to_vec();
        pen.written(3, Some("No space left on device".into()), false, now(0));
        assert_eq!(pen.failure(), Some("No space left on device"));
        assert!(pen.flush(SyncPolicy::No, now(999)).is_none());
        assert_eq!(pen.flush(SyncPolicy::No, now(1_000)).unwrap().bytes, &whole[3..]);
        pen.written(whole.len() - 3, None, false, now(1_000));
        assert_eq!((pen.failure(), pen.pending_bytes()), (None, 0));
    }

    #[test]
    fn who_asks_for_a_snapshot_tries_to_write_all_the_same() {
        let mut pen = Pen::default();
        pen.turn_page(Some("file".into()), 1);
        flushed(&mut pen, SyncPolicy::EverySecond);
        pen.write().gone(None, 0, b"a");
        assert!(pen.flush(SyncPolicy::EverySecond, now(0)).is_some());
        pen.written(0, Some("No space left on device".into()), false, now(0));
        pen.note_failure("Input/output error".into(), now(5));
        for millis in [1_005, 2_010] {
            assert!(pen.deadline() <= now(millis).mono && pen.wants_base(now(millis)));
            assert!(pen.flush(SyncPolicy::EverySecond, now(millis)).is_some(), "it is tried again");
            pen.written(0, Some("No space left on device".into()), false, now(millis));
        }
        assert_eq!(pen.deadline(), now(3_010).mono);
    }

    #[test]
    fn a_commit_goes_where_the_parts_are() {
        let tx = TxName { core: CoreId(0), id: TxId { index: 1, generation: 1 } };
        let mut pen = Pen::default();
        pen.turn_page(Some("one".into()), 1);
        flushed(&mut pen, SyncPolicy::No);
        pen.commit(tx, &[CoreId(1)], 2);
        assert_eq!(flushed(&mut pen, SyncPolicy::No).len(), 1);
        pen.turn_page(Some("two".into()), 2);
        let written = flushed(&mut pen, SyncPolicy::No);
        let (path, bytes, _) = written.last().unwrap();
        assert_eq!(path, "two");
        assert!(matches!(find(&bytes[HEADER.len()..]), Found::Group(_)), "it is there again");
    }
}

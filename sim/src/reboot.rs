//! Cores that start: what a disk holds is read back, by the code that serves production, on as many cores as there are now.
//!
//! It also asks what would be there if the world ended now, and compares. It knows files and content. It does not know what led to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use darter_core::aof::pen::LogFlush;
use darter_core::config::Settings;
use darter_core::event::{CoreId, DiskOutcome, Effect, Effects, Event, LogLevel, OperationId};
use darter_core::host::{Instruments, Process};
use darter_core::message::Message;
use darter_core::time::{Now, UnixMillis};
use darter_core::txn::intent::Fingerprint;
use darter_core::txn::queue::Ticket;
use darter_core::value::container::Container;
use darter_core::value::record::Record;
use darter_core::value::stream::{Stream, StreamId};
use darter_core::{Engine, EngineConfig};

use crate::disk::{Disk, Fate};

/// Steps until everything must be loaded.
const STEPS_MAX: usize = 2_000_000;

/// A core at its start, with a log.
pub fn engine(
    core: u16,
    cores: u16,
    settings: &Settings,
    seeds: [u64; 4],
    credits: usize,
    boot: &str,
) -> Engine {
    Engine::new(EngineConfig {
        core: CoreId(core),
        cores,
        credits,
        hash_seeds: seeds,
        random_seed: [core as u8 + 1; 32],
        settings: settings.clone(),
        process: Arc::new(Process { boot: boot.into(), ..Process::default() }),
        instruments: Instruments::still(),
        load: Some(0),
        persists: false,
    })
}

enum Given {
    Message(CoreId, Message),
    Disk(OperationId, DiskOutcome),
}

/// Cores that start, and what is on its way to them.
struct Start<'a> {
    engines: &'a mut [Engine],
    disk: &'a mut Disk,
    now: Now,
    effects: Effects,
    queue: VecDeque<(usize, Given)>,
    /// The next ticket.
    ticket: Ticket,
    /// What they warn of.
    said: Vec<String>,
}

/// Lets cores read what a disk holds, until clients may come; what they warn of.
///
/// # Errors
/// When they refuse to, or stand still.
pub fn start(engines: &mut [Engine], disk: &mut Disk, now: Now) -> Result<Vec<String>, String> {
    let (effects, queue, said) = (Effects::default(), VecDeque::new(), Vec::new());
    let mut start = Start { engines, disk, now, effects, queue, ticket: 1, said };
    for core in 0..start.engines.len() {
        start.handle(core, Event::Start)?;
    }
    for _ in 0..STEPS_MAX {
        if let Some((core, given)) = start.queue.pop_front() {
            let event = match given {
                Given::Message(from, message) => Event::Message { from, message },
                Given::Disk(operation, outcome) => Event::Disk { operation, outcome },
            };
            start.handle(core, event)?;
        } else if let Some(core) = start.engines.iter().position(Engine::has_unstable) {
            // Everything has arrived.
            start.handle(core, Event::Stable { below: start.ticket })?;
        } else if let Some(core) = start.engines.iter().position(Engine::has_background) {
            start.handle(core, Event::Slice { steps: 8 })?;
        } else if start.engines.iter().all(|engine| !engine.node().status.is_loading) {
            return Ok(start.said);
        } else {
            return Err("cores that start stand still".into());
        }
    }
    Err("cores that start do not come to an end".into())
}

impl Start<'_> {
    fn handle(&mut self, core: usize, event: Event<'_>) -> Result<(), String> {
        let engine = &mut self.engines[core];
        engine.handle(self.now, event, &mut self.effects);
        let first = self.ticket;
        let undrawn = engine.undrawn();
        if undrawn > 0 {
            self.ticket += undrawn;
            engine.handle(self.now, Event::Tickets { first }, &mut self.effects);
        }
        while let Some(LogFlush { path, bytes, durability }) = engine.log_flush() {
            self.disk.add(path, bytes, durability, bytes.len(), Fate::WELL);
            let bytes = bytes.len();
            engine.handle(self.now, Event::LogWritten { bytes, failure: None }, &mut self.effects);
        }
        for effect in self.effects.drain() {
            match effect {
                Effect::Send { to, mut message } => {
                    message.stamp(first);
                    self.queue.push_back((to.index(), Given::Message(CoreId(core as u16), message)));
                }
                Effect::Disk { operation, request } => {
                    let outcome = self.disk.carry_out(request, Fate::WELL).outcome;
                    self.queue.push_back((core, Given::Disk(operation, outcome)));
                }
                Effect::Fail { text } | Effect::Abort { text } => return Err(text),
                Effect::Log { level: LogLevel::Warning, text } => self.said.push(text),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What lives under each key, in words that do not depend on how it lies in memory; without the keys of `spared`.
pub type Content = BTreeMap<(usize, Vec<u8>), String>;

/// What lives on these cores by an instant. Fields whose time has come are not written down, so after a jump of the clock hashes may differ.
pub fn content<'a>(
    engines: impl Iterator<Item = &'a Engine>,
    judged: UnixMillis,
    with_hashes: bool,
) -> Content {
    let mut content = Content::new();
    for engine in engines {
        for (number, database) in engine.node().shard.databases().iter().enumerate() {
            let is_told = |record: &&Record| {
                let is_hash = matches!(record.container(), Some(Container::Hash(_)));
                !record.is_due(judged) && (with_hashes || !is_hash)
            };
            for record in database.iter().filter(is_told) {
                content.insert((number, record.key().to_vec()), words(record, judged));
            }
        }
    }
    content
}

/// Keys that somebody may be about to change.
pub fn claimed<'a>(
    engines: impl Iterator<Item = &'a Engine>,
    content: &Content,
) -> BTreeSet<(usize, Vec<u8>)> {
    let mut claimed = BTreeSet::new();
    for engine in engines {
        let (queue, hasher) = (&engine.node().queue, engine.node().shard.hasher());
        if queue.is_empty() {
            continue;
        }
        let is_claimed = |(number, key): &&(usize, Vec<u8>)| {
            queue.is_claimed(Fingerprint::new(*number as u16, hasher.hash(key)))
        };
        claimed.extend(content.keys().filter(is_claimed).cloned());
    }
    claimed
}

fn words(record: &Record, judged: UnixMillis) -> String {
    let deadline = record.deadline().map(|at| at.0);
    let value = match record.container() {
        None => format!("{:?}", record.string().map(|string| string.to_vec())),
        Some(Container::List(list)) => {
            format!("{:?}", list.iter().map(|element| element.to_vec()).collect::<Vec<_>>())
        }
        Some(Container::Set(set)) => {
            format!("{:?}", set.iter().map(|member| member.to_vec()).collect::<BTreeSet<_>>())
        }
        Some(Container::SortedSet(set)) => {
            let members = set.iter().map(|(member, score)| (member.to_vec(), score.to_bits()));
            format!("{:?}", members.collect::<BTreeMap<_, _>>())
        }
        Some(Container::Hash(hash)) => {
            let living = hash.iter().filter(|field| field.deadline.is_none_or(|at| at > judged));
            let fields = living.map(|field| (field.name.to_vec(), (field.value.to_vec(), field.deadline)));
            format!("{:?}", fields.collect::<BTreeMap<_, _>>())
        }
        Some(Container::Stream(stream)) => words_of_stream(stream),
    };
    format!("{deadline:?} {} {value}", record.note().flags)
}

/// When consumers were last seen is not written down.
fn words_of_stream(stream: &Stream) -> String {
    let entries: Vec<_> = stream
        .range(StreamId::MIN, StreamId::MAX)
        .map(|entry| {
            let words = entry.pairs().map(|(field, value)| (field.to_vec(), value.to_vec()));
            (entry.id, words.collect::<Vec<_>>())
        })
        .collect();
    let groups: BTreeMap<_, _> = stream
        .groups()
        .map(|group| {
            let pending: Vec<_> = group
                .pending()
                .from(StreamId::MIN)
                .map(|(id, pending)| {
                    let name = group.consumer(pending.consumer).name().to_vec();
                    (id, name, pending.delivered, pending.times)
                })
                .collect();
            let consumers: BTreeSet<_> =
                group.consumers().map(|(_, consumer)| consumer.name().to_vec()).collect();
            (group.name().to_vec(), (group.last_id, group.entries_read, pending, consumers))
        })
        .collect();
    format!("{entries:?} {:?} {groups:?}", (stream.last_id(), stream.added(), stream.max_deleted()))
}

/// The first difference between what was there and what was read back, but under keys that are `spared`.
pub fn difference(there: &Content, back: &Content, spared: &BTreeSet<(usize, Vec<u8>)>) -> Option<String> {
    let keys: BTreeSet<_> = there.keys().chain(back.keys()).filter(|key| !spared.contains(*key)).collect();
    keys.into_iter().find(|key| there.get(*key) != back.get(*key)).map(|key| {
        let (database, name) = (key.0, String::from_utf8_lossy(&key.1));
        format!(
            "database {database}, {name}: there was {:?}, read back is {:?}",
            there.get(key),
            back.get(key)
        )
    })
}

#[cfg(test)]
mod tests {
    use darter_core::aof::group::{FRAME_LEN, HEADER, frame};
    use darter_core::aof::line::{Lines, TxName};
    use darter_core::aof::manifest::{Generation, LogFile, Manifest};
    use darter_core::event::{DiskRequest, Durability};
    use darter_core::time::Instant;
    use darter_core::txn::work::TxId;

    use super::*;

    const TX: TxName = TxName { core: CoreId(0), id: TxId { index: 1, generation: 2 } };
    const AT: UnixMillis = UnixMillis(1_700_000_000_000);

    type Write<'a> = &'a dyn Fn(&mut Lines);

    fn set(tx: Option<TxName>, key: &'static str) -> impl Fn(&mut Lines) {
        move |lines| lines.command(tx, 0, AT, 3, ["SET", key, "x"].iter().map(|word| word.as_bytes()))
    }

    /// Keys that are there when two logs were written so, each step a group, by a process of the machine's start `boot`.
    fn left(logs: [&[Write<'_>]; 2], boot: &str, is_cut: bool) -> Result<Vec<String>, String> {
        let mut disk = Disk::default();
        let mut files = Vec::new();
        for (core, steps) in logs.iter().enumerate() {
            let mut file = HEADER.to_vec();
            for write in *steps {
                let mut lines = Lines::default();
                lines.bytes.resize(FRAME_LEN, 0);
                write(&mut lines);
                frame(&mut lines.bytes);
                file.extend_from_slice(&lines.bytes);
            }
            let len = if is_cut { file.len() - 1 } else { file.len() };
            let name = format!("log.{core}");
            let path = format!("./appendonlydir/{name}");
            disk.add(&path, &file[..len], Durability::Synced, len, Fate::WELL);
            files.push(LogFile { name, core: core as u16, size: None, boot: "first".into(), run: 1 });
        }
        let generations = vec![Generation { number: 1, logs: files, commands: None }];
        let manifest = Manifest { generations, ..Manifest::default() };
        let path = "./appendonlydir/appendonly.aof.manifest".to_string();
        disk.carry_out(DiskRequest::Replace { path, bytes: manifest.text().into_bytes() }, Fate::WELL);
        let settings = Settings { appendonly: true, ..Settings::default() };
        let now = Now { mono: Instant(1), unix_micros: AT.0 * 1_000 };
        // Twice: what is decided the first time holds.
        let mut found = Vec::new();
        for cores in [3, 1] {
            let mut engines: Vec<Engine> =
                (0..cores).map(|core| engine(core, cores, &settings, [5, 6, 7, 8], 8, boot)).collect();
            start(&mut engines, &mut disk, now)?;
            let keys = content(engines.iter(), AT, true);
            found.push(keys.into_keys().map(|(_, key)| String::from_utf8_lossy(&key).into_owned()).collect());
        }
        assert_eq!(found[0], found[1]);
        Ok(found.remove(0))
    }

    #[test]
    fn a_transaction_is_there_whole_or_not_at_all() {
        let (a, b, c) = (set(Some(TX), "a"), set(Some(TX), "b"), set(None, "c"));
        let commit = |lines: &mut Lines| lines.commit(TX, 1, &[CoreId(0), CoreId(1)]);
        assert_eq!(left([&[&a, &commit], &[&b, &c]], "first", false).unwrap(), ["a", "b", "c"]);
        assert_eq!(left([&[&a], &[&b, &c]], "first", false).unwrap(), ["c"], "nobody has heard of it");
        assert_eq!(
            left([&[&a, &commit], &[&b, &c]], "first", true).unwrap(),
            [""; 0],
            "torn are the line and c"
        );
    }

    #[test]
    fn after_a_loss_of_power_all_logs_go_back_to_one_moment() {
        let mark = |lines: &mut Lines| lines.mark(1, false);
        let later = |lines: &mut Lines| lines.mark(2, false);
        let (a, b, c, d) = (set(None, "a"), set(None, "b"), set(None, "c"), set(None, "d"));
        let logs: [&[Write<'_>]; 2] = [&[&a, &mark, &c, &later], &[&mark, &b, &d]];
        assert_eq!(left(logs, "first", false).unwrap(), ["a", "b", "c", "d"]);
        assert_eq!(left(logs, "second", false).unwrap(), ["a"]);
        let always = |lines: &mut Lines| lines.mark(0, true);
        let logs: [&[Write<'_>]; 2] = [&[&always, &a, &c], &[&always, &b]];
        assert_eq!(left(logs, "second", false).unwrap(), ["a", "b", "c"]);
        // A transaction counts, and a part of it is not there: the disk has lied.
        let (part, commit) =
            (set(Some(TX), "p"), |lines: &mut Lines| lines.commit(TX, 1, &[CoreId(0), CoreId(1)]));
        let sure = |lines: &mut Lines| lines.mark(1, true);
        let logs: [&[Write<'_>]; 2] = [&[&a, &sure, &part, &commit], &[&b, &sure]];
        assert_eq!(left(logs, "second", false).unwrap(), ["a", "b"]);
    }

    #[test]
    fn what_empties_everything_does_so_at_one_moment_of_all_logs() {
        let flush = |lines: &mut Lines| lines.flush(Some(TX), None);
        let commit = |lines: &mut Lines| lines.commit(TX, 1, &[CoreId(0), CoreId(1)]);
        let (a, b, c, d) = (set(None, "a"), set(None, "b"), set(None, "c"), set(None, "d"));
        let logs: [&[Write<'_>]; 2] = [&[&a, &flush, &commit, &c], &[&b, &flush, &d]];
        assert_eq!(left(logs, "first", false).unwrap(), ["c", "d"]);
        let swap = |lines: &mut Lines| lines.swap(Some(TX), 0, 1);
        let logs: [&[Write<'_>]; 2] = [&[&a, &swap, &a], &[&swap, &b]];
        assert_eq!(left(logs, "first", false).unwrap(), ["a", "b"], "a swap without its line is none");
    }

    /// Keys and values after the start on a file that Redis has written, twice, and what the manifest says then.
    fn adopted(file: &str, is_truncation_borne: bool) -> Result<(Vec<String>, String), String> {
        let mut disk = Disk::default();
        let manifest = "./appendonlydir/appendonly.aof.manifest".to_string();
        let bytes = b"file base seq 1 type b\nfile incr seq 1 type i\n".to_vec();
        disk.carry_out(DiskRequest::Replace { path: manifest, bytes }, Fate::WELL);
        let base = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n0\r\n";
        disk.add("./appendonlydir/base", base, Durability::Synced, base.len(), Fate::WELL);
        disk.add("./appendonlydir/incr", file.as_bytes(), Durability::Written, file.len(), Fate::WELL);
        let settings =
            Settings { appendonly: true, aof_load_truncated: is_truncation_borne, ..Settings::default() };
        let now = Now { mono: Instant(1), unix_micros: AT.0 * 1_000 };
        let mut found = Vec::new();
        for cores in [3, 2, 1] {
            let mut engines: Vec<Engine> =
                (0..cores).map(|core| engine(core, cores, &settings, [5, 6, 7, 8], 3, "first")).collect();
            start(&mut engines, &mut disk, now)?;
            let keys = content(engines.iter(), AT, true).into_iter();
            let keys = keys.map(|((_, key), value)| format!("{} {value}", String::from_utf8_lossy(&key)));
            found.push(keys.collect::<Vec<String>>());
        }
        assert_eq!((&found[1], &found[2]), (&found[0], &found[0]), "what is read counts once");
        Ok((found.remove(0), disk.manifest()))
    }

    fn requests(lines: &[&str]) -> String {
        let request = |line: &&str| {
            let words: Vec<&str> = line.split(' ').collect();
            let bulks: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
            format!("*{}\r\n{bulks}", words.len())
        };
        lines.iter().map(request).collect()
    }

    #[test]
    fn commands_of_redis_follow_each_other_as_those_of_one_client() {
        // Several shards at once, the same keys again and again, groups, and more than may be under way.
        let mut lines = vec![
            "MSET a 1 b 1 c 1 d 1",
            "INCR a",
            "RENAME a x",
            "MULTI",
            "INCR b",
            "COPY b y",
            "EXEC",
            "DEL c",
        ];
        lines.extend(["INCR x", "MSET x 5 b 5", "INCR x"].repeat(400));
        lines.extend(["SET e 1 PXAT 1", "PERSIST e", "SET f 1 PXAT 1"]);
        let file = format!("#TS:1\r\n{}#TS:2\r\n{}", requests(&["SELECT 0"]), requests(&lines));
        let (found, manifest) = adopted(&file, true).unwrap();
        let value = |text: &str| format!("None 0 {:?}", Some(text.as_bytes().to_vec()));
        let expected = [("b", "5"), ("d", "1"), ("e", "1"), ("x", "6"), ("y", "2")];
        assert_eq!(found, expected.map(|(key, text)| format!("{key} {}", value(text))));
        let is_turned = manifest.contains("\nfile appendonly.aof.3.base.rdb seq 3 type b\n");
        assert!(is_turned && !manifest.contains("type i"), "{manifest}");
    }

    #[test]
    fn what_redis_has_not_written_to_its_end_is_left_out_or_refused() {
        let whole = requests(&["SET a 1", "MULTI", "SET a 2", "SET b 2", "EXEC"]);
        let (group, exec) = (whole.find("*1").unwrap(), whole.rfind("*1").unwrap());
        let keys = |cut: usize| adopted(&whole[..cut], true).map(|(keys, _)| keys.len());
        assert_eq!(
            (keys(whole.len()), keys(whole.len() - 1), keys(exec), keys(group)),
            (Ok(2), Ok(1), Ok(1), Ok(1))
        );
        let said = adopted(&whole[..exec], false).unwrap_err();
        assert!(said.contains(&format!("incr cannot be loaded: from byte {group} on")), "{said}");
        let said = adopted(&whole.replacen("$1", "$7", 2), true).unwrap_err();
        assert!(said.contains("at byte"), "{said}");
    }

    #[test]
    fn a_line_that_cannot_be_applied_stops_the_start() {
        let unknown = |lines: &mut Lines| {
            lines.command(None, 0, AT, 2, ["NOSUCH", "key"].iter().map(|word| word.as_bytes()));
        };
        let wrong = |lines: &mut Lines| {
            lines.command(None, 0, AT, 3, ["LPUSH", "a", "1"].iter().map(|word| word.as_bytes()));
        };
        let beyond = |lines: &mut Lines| lines.gone(None, 16, b"key");
        let a = set(None, "a");
        for (write, why) in [
            (&unknown as Write<'_>, "a command that is not known"),
            (&wrong, "LPUSH fails: WRONGTYPE"),
            (&beyond, "there are only 16 (`databases`)"),
        ] {
            let said = left([&[&a, write], &[]], "first", false).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}

//! `watch`: what happens to items and connections, line by line, in the words of release 1.6.18.
//!
//! A shard writes its lines into a log of bounded length, whose content leaves for the listeners at the end of each event. It knows what lines
//! say. It does not know who listens ([`crate::listen`]) nor how lines travel ([`crate::feed`]).

use super::item::{self, DATABASE, Mode, Stored};
use crate::args::Args;
use crate::event::Origin;
use crate::feed::Topics;
use crate::message::FeedLine;
use crate::node::Local;
use crate::protocol::reply::{Outcome, Reply};
use crate::session::{ClientId, Session};
use crate::shard::Cx;
use crate::time::UnixMillis;
use crate::value::access::idle_seconds;
use crate::value::record::{Record, Value};

/// Clients of one core that may watch at a time.
const WATCHERS_MAX: usize = 20;
/// Bytes of lines that one event may leave.
const LOG_BYTES_MAX: usize = 1 << 20;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Ending {
    /// Nobody has said so.
    #[default]
    Unsaid,
    /// The client has.
    Said,
    /// It was silent for too long.
    Idle,
}

/// What a word behind `watch` asks for: topics about which nothing can happen here have no lines.
pub(super) fn topic(word: &[u8]) -> Option<Topics> {
    Some(match word {
        b"fetchers" => Topics::FETCHERS,
        b"mutations" => Topics::MUTATIONS,
        b"evictions" => Topics::EVICTIONS,
        b"connevents" => Topics::CONNECTIONS,
        b"rawcmds" | b"sysevents" | b"proxyreqs" | b"proxyevents" | b"proxyuser" => Topics::SILENCE,
        _ => return None,
    })
}

/// `watch <topic>*`: from now on the client only listens.
pub(super) fn watch(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let asked = args.skip(1).iter().filter_map(topic).fold(Topics::NONE, Topics::or);
    let topics = if asked.is_empty() { Topics::FETCHERS } else { asked };
    let log = &mut local.node.shard.ledger.log;
    if log.watchers == WATCHERS_MAX {
        reply.raw(b"WATCHER_TOO_MANY log watcher limit reached\r\n");
        return Ok(());
    }
    log.watchers += 1;
    local.session.listens = topics;
    local.node.listen(topics);
    reply.raw(b"OK\r\n");
    Ok(())
}

/// What one shard has to say to those who watch.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// What anybody wants to hear.
    pub topics: Topics,
    /// Clients of this core that watch.
    pub watchers: usize,
    /// Lines that were given to them.
    pub sent: u64,
    /// Lines that were not, because these clients are slow.
    pub skipped: u64,
    /// Lines that were written.
    pub written: u64,
    /// Lines that were left out because one event had too many.
    pub dropped: u64,
    lines: Vec<(Topics, u64, String)>,
    bytes: usize,
    left_out: u32,
    core: u64,
    cores: u64,
}

impl Log {
    /// Of one core of so many.
    pub fn new(core: u16, cores: u16) -> Log {
        Log { core: core.into(), cores: cores.into(), ..Log::default() }
    }

    /// True if there is something to show.
    #[inline]
    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Takes all lines, each with the time and a number that no other line has.
    pub fn take(&mut self, unix_micros: u64) -> Vec<FeedLine> {
        let (seconds, micros) = (unix_micros / 1_000_000, unix_micros % 1_000_000);
        let mut left_out = std::mem::take(&mut self.left_out);
        self.bytes = 0;
        let finish = |(topic, number, text): (Topics, u64, String)| {
            let text = format!("ts={seconds}.{micros:06} gid={number} {text}\n").into_bytes();
            FeedLine { topic, text, left_out: std::mem::take(&mut left_out) }
        };
        std::mem::take(&mut self.lines).into_iter().map(finish).collect()
    }

    #[cold]
    fn write(&mut self, topic: Topics, text: String) {
        if self.bytes + text.len() > LOG_BYTES_MAX {
            self.dropped += 1;
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.written += 1;
        self.bytes += text.len();
        self.lines.push((topic, self.written * self.cores + self.core, text));
    }

    /// A client of this protocol has come.
    pub(crate) fn opened(&mut self, session: &Session) {
        if self.topics.meets(Topics::CONNECTIONS) {
            let text = format!("type=conn_new {} cfd={}", place(session), session.id.0);
            self.write(Topics::CONNECTIONS, text);
        }
    }

    /// A client of this protocol has gone.
    pub(crate) fn closed(&mut self, session: &Session, is_stopping: bool) {
        self.watchers -= usize::from(!session.listens.is_empty());
        if !self.topics.meets(Topics::CONNECTIONS) {
            return;
        }
        let reason = match session.ending {
            _ if is_stopping => "shutdown",
            Ending::Idle => "idle_timeout",
            Ending::Said => "normal",
            Ending::Unsaid if session.ended => "normal",
            Ending::Unsaid => "error",
        };
        let text = format!("type=conn_close {} reason={reason} cfd={}", place(session), session.id.0);
        self.write(Topics::CONNECTIONS, text);
    }

    /// A key goes because memory is short.
    #[inline]
    pub(crate) fn evicted(&mut self, database: u16, record: &Record, now: UnixMillis) {
        if self.topics.meets(Topics::EVICTIONS) && database == DATABASE {
            let fetch = if record.is_fetched() { "yes" } else { "no" };
            let ttl = record.deadline().map_or(-1, |at| seconds_until(at, now) as i64);
            let idle = idle_seconds(record.access(), now.0 / 1_000);
            let size = record.string().map_or(0, |view| view.len());
            let key = written(record.key());
            let text =
                format!("type=eviction key={key} fetch={fetch} ttl={ttl} la={idle} clsid=1 size={size}");
            self.write(Topics::EVICTIONS, text);
        }
    }
}

/// An item was asked for, by whatever command.
#[inline]
pub(super) fn fetched(cx: &mut Cx<'_>, key: &[u8], len: Option<u64>) {
    let client = cx.watcher.client;
    let log = &mut cx.shard.ledger.log;
    if log.topics.meets(Topics::FETCHERS) {
        let (status, class) = if len.is_some() { ("found", 1) } else { ("not_found", 0) };
        let (key, len) = (written(key), len.unwrap_or(0));
        let text =
            format!("type=item_get key={key} status={status} clsid={class} cfd={} size={len}", client.0);
        log.write(Topics::FETCHERS, text);
    }
}

/// What was to be stored, before it was.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    client: ClientId,
    mode: Mode,
    ttl: u64,
    len: usize,
}

/// Remembers what is to be stored, if somebody wants to hear of it.
#[inline]
pub(super) fn attempt(cx: &Cx<'_>, store: &item::Store<'_>) -> Option<Attempt> {
    cx.shard.ledger.log.topics.meets(Topics::MUTATIONS).then(|| Attempt {
        client: cx.watcher.client,
        mode: store.mode,
        ttl: match store.expiry {
            item::Expiry::At(at) => seconds_until(at, cx.now),
            item::Expiry::Never | item::Expiry::Past => 0,
        },
        len: match &store.value {
            Value::Bytes(bytes) | Value::Raw(bytes) => bytes.len(),
            Value::Large(bytes) => bytes.len(),
            Value::Integer(number) => itoa::Buffer::new().format(*number).len(),
            Value::Container(_) => 0,
        },
    })
}

/// What became of it; `None`: it was too large.
#[cold]
pub(super) fn stored(cx: &mut Cx<'_>, key: &[u8], attempt: Attempt, stored: Option<Stored>) {
    let Attempt { client, mode, ttl, len } = attempt;
    let status = match stored {
        Some(Stored::Yes) => "stored",
        Some(Stored::No) => "not_stored",
        Some(Stored::Exists) => "exists",
        Some(Stored::NotFound) => "not_found",
        None => "too_large",
    };
    let command = match mode {
        Mode::Set => "set",
        Mode::Add => "add",
        Mode::Replace => "replace",
        Mode::Append => "append",
        Mode::Prepend => "prepend",
        Mode::Cas => "cas",
    };
    let len = match (stored, mode) {
        // Of what was added to, the whole is told.
        (Some(Stored::Yes), Mode::Append | Mode::Prepend) => cx
            .peek(crate::database::Key { bytes: key, hash: cx.shard.hasher().hash(key) })
            .and_then(Record::string)
            .map_or(len, |view| view.len()),
        _ => len,
    };
    let key = written(key);
    let text = format!(
        "type=item_store key={key} status={status} cmd={command} ttl={ttl} clsid=1 cfd={} size={len}",
        client.0
    );
    cx.shard.ledger.log.write(Topics::MUTATIONS, text);
}

/// The value of an item was larger than any may be.
pub(super) fn refused(cx: &mut Cx<'_>, key: &[u8]) {
    if cx.shard.ledger.log.topics.meets(Topics::MUTATIONS) {
        let attempt = Attempt { client: cx.watcher.client, mode: Mode::Set, ttl: 0, len: 0 };
        stored(cx, key, attempt, None);
    }
}

fn seconds_until(at: UnixMillis, now: UnixMillis) -> u64 {
    at.0.saturating_sub(now.0).div_ceil(1_000)
}

/// A key as lines have it: what is no letter, digit, `-`, `.`, `_` or `~` as `%` and two digits.
pub(super) fn written(key: &[u8]) -> String {
    let mut text = String::with_capacity(key.len() + 16);
    for &byte in key {
        match byte {
            b'-' | b'.' | b'_' | b'~' => text.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Where a client is from.
fn place(session: &Session) -> String {
    let peer = &session.peer;
    match (peer.origin, peer.address.rsplit_once(':')) {
        (Origin::Loopback | Origin::Remote, Some((address, port))) => {
            let address = address.trim_start_matches('[').trim_end_matches(']');
            format!("rip={address} rport={port} transport=tcp")
        }
        _ => "rip=unix rport=0 transport=local".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_so_that_a_line_stays_a_line() {
        assert_eq!(written(b"a-b.c_d~9"), "a-b.c_d~9");
        assert_eq!(written(b"n,#\r\n\xff"), "n%2C%23%0D%0A%FF");
    }

    #[test]
    fn a_log_is_bounded_and_says_how_much_it_has_left_out() {
        let mut log = Log { topics: Topics::FETCHERS, ..Log::new(1, 2) };
        let long = "x".repeat(LOG_BYTES_MAX / 2);
        (0..5).for_each(|_| log.write(Topics::FETCHERS, long.clone()));
        assert_eq!((log.written, log.dropped), (2, 3));
        let lines = log.take(1_700_000_000_000_007);
        assert_eq!((lines.len(), lines[0].left_out, lines[1].left_out), (2, 3, 0));
        assert!(lines[1].text.starts_with(b"ts=1700000000.000007 gid=5 xxx"));
        assert!(!log.has_lines());
    }
}

//! One client: who it is, what it may do, what it waits for, and its replies in order.
//!
//! It does not know what commands do, nor how bytes travel.

use std::hash::{Hash, Hasher};

use crate::awaited::Awaited;
use crate::block::Blocked;
use crate::command::CommandId;
use crate::config::OutputLimit;
use crate::event::{ConnId, CoreId, Peer};
use crate::feed::Topics;
use crate::memcached::crawl::Crawl;
use crate::memcached::parser::Parser;
use crate::memcached::watch::Ending;
use crate::protocol::chunks::Chunks;
use crate::protocol::outbox::Outbox;
use crate::protocol::reply::Resp;
use crate::protocol::request::RequestParser;
use crate::time::{Instant, Now};
use crate::txn::calls::Calls;
use crate::txn::intent::Fingerprint;

/// Names a client for as long as the process runs; never used twice. CLIENT ID shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// What CLIENT REPLY has chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReplyMode {
    /// Every request is answered.
    #[default]
    On,
    /// None is.
    Off,
    /// The next one is not; the one that says so is not either.
    SkipNext,
    /// This one is not.
    SkipThis,
}

/// Why a client's next request must wait. The request stays unconsumed and is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Another core owes so many answers that it takes no more questions for now.
    Credits,
    /// This client has as many unanswered requests at other cores as one may have.
    InFlight,
    /// What comes before it must be answered first.
    Order,
    /// It is far ahead of reading its replies.
    Output,
    /// As many transactions as may are asking other servers.
    Errand,
    /// CLIENT PAUSE.
    Pause,
    /// DEBUG SLEEP, until this moment.
    Sleep(Instant),
    /// A dump of all items is being answered.
    Crawl,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Closing {
    /// It does not.
    #[default]
    No,
    /// When all replies have left.
    AfterReplies,
    /// At once.
    Now,
}

/// What a client has queued since MULTI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Queued {
    /// The commands.
    pub calls: Calls,
    /// One of them was refused: EXEC will be too.
    pub failed: bool,
    /// One of them may change keys.
    pub writes: bool,
    /// One of them may need more memory.
    pub grows: bool,
}

/// One client.
#[derive(Clone, Debug)]
pub struct Session {
    /// The driver's name for it.
    pub conn: ConnId,
    /// Its own name.
    pub id: ClientId,
    /// Where it comes from.
    pub peer: Peer,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub library_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub library_version: Vec<u8>,
    /// HELLO.
    pub resp: Resp,
    /// SELECT.
    pub database: u16,
    /// AUTH, or no password is set.
    pub authenticated: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// What it listens to: requests after MONITOR, other topics after memcached's `watch`.
    pub listens: Topics,
    /// Lines of those that were left out since the last one, because it is slow.
    pub left_out: u64,
    /// What is left of a dump of all items that it has asked for.
    pub(crate) crawl: Option<Box<Crawl>>,
    /// Why its connection ends, if nobody else ends it.
    pub(crate) ending: Ending,
    /// Understands its bytes.
    pub parser: RequestParser,
    /// The same if it speaks memcached's protocol.
    pub(crate) memcached: Option<Box<Parser>>,
    /// Its replies on their way.
    pub outbox: Outbox,
    /// Why its next request waits.
    pub hold: Option<Hold>,
    /// True after `PauseRead` was said.
    pub read_paused: bool,
    /// Its bytes will be presented again, though nothing holds them.
    pub again: bool,
    /// It will send no more.
    pub ended: bool,
    /// Whether and how it ends.
    pub closing: Closing,
    /// True after `Close` was said.
    pub close_said: bool,
    /// Wall clock at the start, seconds.
    pub created_unix: u64,
    /// Clock at the start.
    pub created: Instant,
    /// The last bytes from it.
    pub last_active: Instant,
    /// The last command.
    pub last_command: Option<CommandId>,
    /// Bytes that it has sent and that are not consumed.
    pub unconsumed: usize,
    /// All bytes that it has sent.
    pub input_total: u64,
    /// Commands it has made.
    pub commands: u64,
    /// Since when its output is above the soft limit.
    pub above_soft_since: Option<Instant>,
    /// What it has queued since MULTI.
    pub queued: Option<Box<Queued>>,
    /// What it watches: the shard and the key of each.
    pub watched: Vec<(CoreId, Fingerprint)>,
    /// Counts the rounds of WATCH: EXEC, DISCARD and UNWATCH end one.
    pub watch_round: u64,
    /// It waits for something to be had.
    pub blocked: Option<Box<Blocked>>,
    /// Until when its output waits for more, if it does.
    pub(crate) waits_together: Option<Instant>,
    /// The one core that all awaited replies come from, if it is one.
    pub awaits_from: Option<CoreId>,
    /// Its next request waits until everything before it has been answered.
    pub waits_for_all: bool,
    /// Bytes of it that its core counts as used.
    counted_bytes: usize,
    awaited: Awaited,
}

impl Session {
    /// A client that has said nothing yet.
    pub fn new(conn: ConnId, id: ClientId, peer: Peer, now: Now, authenticated: bool) -> Session {
        Session {
            conn,
            id,
            peer,
            name: Vec::new(),
            library_name: Vec::new(),
            library_version: Vec::new(),
            resp: Resp::V2,
            database: 0,
            authenticated,
            reply_mode: ReplyMode::On,
            no_evict: false,
            no_touch: false,
            listens: Topics::NONE,
            left_out: 0,
            crawl: None,
            ending: Ending::default(),
            parser: RequestParser::default(),
            memcached: None,
            outbox: Outbox::default(),
            hold: None,
            read_paused: false,
            again: false,
            ended: false,
            closing: Closing::No,
            close_said: false,
            created_unix: now.unix_seconds(),
            created: now.mono,
            last_active: now.mono,
            last_command: None,
            unconsumed: 0,
            input_total: 0,
            commands: 0,
            above_soft_since: None,
            queued: None,
            watched: Vec::new(),
            watch_round: 0,
            blocked: None,
            waits_together: None,
            awaits_from: None,
            waits_for_all: false,
            counted_bytes: 0,
            awaited: Awaited::default(),
        }
    }

    /// Where the reply to the request now at hand is encoded: behind all earlier ones.
    #[inline]
    pub fn reply_end(&mut self) -> &mut Chunks {
        match self.awaited.end() {
            None => self.outbox.pending(),
            Some(end) => end,
        }
    }

    /// The sequence that the next awaited reply will have.
    pub fn next_sequence(&self) -> u64 {
        self.awaited.next_sequence()
    }

    /// Makes a place for a reply that other cores will give; its sequence.
    #[inline]
    pub fn await_reply(&mut self) -> u64 {
        self.awaited.push()
    }

    /// The same, with a buffer for what follows it.
    #[inline]
    pub fn await_reply_with(&mut self, spare: &mut Vec<Vec<u8>>) -> u64 {
        self.awaited.lend(spare);
        self.awaited.push()
    }

    /// The reply that was awaited last will not be heard (CLIENT REPLY).
    pub fn silence_last(&mut self) {
        self.awaited.silence_last();
    }

    /// Replies that are awaited.
    #[inline]
    pub fn in_flight(&self) -> usize {
        self.awaited.len()
    }

    /// The sequence of the reply that was awaited last.
    #[inline]
    pub fn last_awaited(&self) -> u64 {
        self.awaited.next_sequence() - 1
    }

    /// The reply that is awaited last will never come, nor what follows it.
    pub fn forget_last_awaited(&mut self) {
        self.awaited.forget_last();
    }

    /// True if a reply with this sequence is awaited.
    #[inline]
    pub fn awaits(&self, sequence: u64) -> bool {
        self.awaited.has(sequence)
    }

    /// The awaited reply has come. It leaves when all earlier ones have.
    pub fn arrived(&mut self, sequence: u64, reply: Chunks) {
        self.awaited.arrived(sequence, reply, self.outbox.pending());
    }

    /// The same of a reply that stands among others.
    #[inline]
    pub fn arrived_among(&mut self, sequence: u64, replies: &Chunks, start: usize, end: usize) {
        self.awaited.arrived_among(sequence, replies, start, end, self.outbox.pending());
    }

    /// The bytes to send now, oldest first: see [`Outbox::take`].
    pub fn take_output(&mut self, spare: &mut Vec<Vec<u8>>) -> Vec<&[u8]> {
        self.awaited.give_back(spare);
        self.outbox.take(spare)
    }

    /// Bytes of replies that the client has not read yet, as far as they are known.
    #[inline]
    pub fn output_len(&self) -> usize {
        self.outbox.len() + self.awaited.following()
    }

    /// What this client costs besides its unconsumed input.
    pub fn held_bytes(&self) -> usize {
        size_of::<Session>()
            + self.outbox.held_bytes()
            + self.parser.allocated_bytes()
            + self.memcached.as_ref().map_or(0, |parser| parser.allocated_bytes())
            + self.queued.as_ref().map_or(0, |queued| queued.calls.held_bytes())
            + self.awaited.held_bytes()
    }

    /// The same without what waits for replies of other cores, which is soon gone: what a core counts as used. It is told at once.
    #[inline]
    fn bytes_to_count(&self) -> usize {
        size_of::<Session>()
            + self.outbox.held_bytes()
            + self.awaited.following()
            + self.parser.allocated_bytes()
            + self.queued.as_ref().map_or(0, |queued| queued.calls.held_bytes())
    }

    /// Counts it anew; what it takes now, and what it took at the last time.
    #[inline]
    pub(crate) fn recount(&mut self) -> (usize, usize) {
        let now = self.bytes_to_count();
        (now, std::mem::replace(&mut self.counted_bytes, now))
    }

    /// Bytes of it that its core counts as used.
    #[inline]
    pub fn counted_bytes(&self) -> usize {
        self.counted_bytes
    }

    /// Judges the output against its class's limit; true if the client must go.
    pub fn is_over(&mut self, limit: OutputLimit, now: Instant) -> bool {
        let len = self.output_len() as u64;
        if limit.hard > 0 && len >= limit.hard {
            return true;
        }
        if limit.soft == 0 || len < limit.soft {
            self.above_soft_since = None;
            return false;
        }
        let since = *self.above_soft_since.get_or_insert(now);
        now.millis_since(since) >= limit.soft_seconds.saturating_mul(1_000)
    }

    /// Bytes of input that were taken of a request which has not run.
    pub fn taken_input(&self) -> usize {
        match &self.memcached {
            Some(parser) => parser.taken_input(),
            None => self.parser.taken_input(),
        }
    }

    /// What decides how it goes on; not its clocks and counters, and not its parser, which follows from the bytes that the
    /// driver still holds.
    pub(crate) fn digest(&self, hasher: &mut impl Hasher) {
        (self.conn, self.resp, self.database, self.authenticated, self.reply_mode, self.listens).hash(hasher);
        (self.hold, self.read_paused, self.again, self.ended, self.closing, self.close_said).hash(hasher);
        self.awaited.hash(hasher);
        (&self.queued, &self.watched, self.watch_round, self.waits_for_all).hash(hasher);
        self.awaits_from.hash(hasher);
        self.waits_together.hash(hasher);
        self.blocked.hash(hasher);
        (self.left_out, &self.crawl).hash(hasher);
        self.parser.digest(hasher);
        if let Some(parser) = &self.memcached {
            parser.digest(hasher);
        }
        self.outbox.digest(hasher);
    }

    /// Ends the connection, at least in this way.
    pub fn close(&mut self, how: Closing) {
        self.closing = self.closing.max(how);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Origin;

    fn session() -> Session {
        let peer = Peer {
            address: "127.0.0.1:1".into(),
            local: "127.0.0.1:6379".into(),
            origin: Origin::Loopback,
            descriptor: 7,
        };
        Session::new(ConnId::default(), ClientId(1), peer, Now::default(), true)
    }

    fn chunks(text: &str) -> Chunks {
        Chunks::with_buffer(Vec::new()).tap(|c| c.tail().extend_from_slice(text.as_bytes()))
    }

    trait Tap: Sized {
        fn tap(mut self, f: impl FnOnce(&mut Self)) -> Self {
            f(&mut self);
            self
        }
    }
    impl Tap for Chunks {}

    #[test]
    fn replies_leave_in_the_order_of_requests() {
        let mut session = session();
        session.reply_end().tail().extend_from_slice(b"1");
        let two = session.await_reply();
        session.reply_end().tail().extend_from_slice(b"3");
        let four = session.await_reply();
        let five = session.await_reply();
        session.silence_last();
        session.reply_end().tail().extend_from_slice(b"6");
        assert_eq!(session.outbox.pending().to_vec(), b"1");
        session.arrived(five, chunks("5"));
        session.arrived(four, chunks("4"));
        assert_eq!(session.outbox.pending().to_vec(), b"1");
        assert!(session.awaits(two) && !session.awaits(four) && !session.awaits(five + 1));
        session.arrived(two, chunks("2"));
        assert_eq!(session.outbox.pending().to_vec(), b"12346", "the silent one says nothing");
        assert_eq!(session.in_flight(), 0);
        session.reply_end().tail().extend_from_slice(b"7");
        assert_eq!(session.outbox.pending().to_vec(), b"123467");
    }

    #[test]
    fn unread_output_is_counted_whatever_is_awaited_or_forgotten() {
        let mut session = session();
        let one = session.await_reply();
        session.reply_end().tail().extend_from_slice(b"three");
        session.await_reply();
        session.reply_end().tail().extend_from_slice(b"gone");
        assert_eq!(session.output_len(), 9);
        session.forget_last_awaited();
        assert_eq!(session.output_len(), 5);
        session.arrived_among(one, &chunks("12two"), 2, 5);
        assert_eq!((session.output_len(), session.outbox.len()), (8, 8));
        assert_eq!(session.outbox.pending().to_vec(), b"twothree");
    }

    #[test]
    fn limits_are_hard_at_once_and_soft_after_a_while() {
        let mut session = session();
        session.reply_end().tail().extend_from_slice(&[0; 100]);
        let at = |seconds: u64| Instant(seconds * 1_000_000_000);
        let limit = OutputLimit { hard: 200, soft: 50, soft_seconds: 10 };
        assert!(!session.is_over(limit, at(1)));
        assert!(!session.is_over(limit, at(10)));
        assert!(session.is_over(limit, at(11)));
        assert!(session.is_over(OutputLimit { hard: 100, ..limit }, at(1)));
        assert!(!session.is_over(OutputLimit::default(), at(99)));
    }
}

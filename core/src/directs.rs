//! What the commands of a turn for one other shard travel in, and their replies on the way back: one message instead of one each.
//!
//! A core that sends a second command to a shard adds it to the message that leaves anyway, unless something else for that shard has been
//! sent since: the order between two cores is kept. The same holds for replies. It knows how they lie in memory. It does not know who
//! runs them, nor when messages leave.

use std::hash::{Hash, Hasher};

use crate::args::{Args, Joined, Packed};
use crate::command::CommandId;
use crate::hash::KeyHash;
use crate::message::{Request, Token};
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::Resp;
use crate::session::{ClientId, Session};
use crate::spare::Empty;
use crate::txn::work::Circumstances;

/// A buffer larger than this is not kept for the next turn.
const BUFFER_KEPT: usize = 256 << 10;
/// Bytes of arguments that travel together at the most: what is longer costs more to copy than a message of its own, and offsets have 32 bits.
pub const JOINED_MAX: usize = 64 << 10;

/// One command without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// Comes back.
    pub token: Token,
    /// Who asks.
    pub client: ClientId,
    /// Hash of the first key.
    pub first_hash: KeyHash,
    /// Which row of the table.
    pub command: CommandId,
    /// The client's selected database.
    pub database: u16,
    /// The protocol of its reply.
    pub resp: Resp,
    /// It asked not to count as a use of keys.
    pub no_touch: bool,
    /// Where its arguments end among those of all.
    args_end: u32,
}

/// Commands whose keys all lie on the receiver's shard, in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub struct Directs {
    /// The coordinator's wall clock, microseconds.
    unix_micros: u64,
    heads: Vec<Head>,
    args: Joined,
    /// For the receiver's replies.
    pub(crate) empty: Empty<Dones>,
}

impl Head {
    /// For whom it runs.
    pub fn circumstances(&self, unix_micros: u64) -> Circumstances {
        let Head { client, resp, no_touch, .. } = *self;
        Circumstances { client, resp, no_touch, unix_micros, clock: 0, round: 0 }
    }
}

impl Directs {
    /// Without any, to be judged by this instant; what was allocated is used again.
    pub(crate) fn begin(&mut self, unix_micros: u64, empty: Empty<Dones>) {
        self.unix_micros = unix_micros;
        self.empty = empty;
        self.heads.clear();
        self.args.clear(BUFFER_KEPT);
    }

    /// The instant by which all of them are judged.
    pub fn unix_micros(&self) -> u64 {
        self.unix_micros
    }

    /// True if a command may be added whose arguments have so many bytes.
    #[inline]
    pub fn has_room_for(&self, extent: usize) -> bool {
        self.args.bytes() + extent <= JOINED_MAX
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Their heads, in order.
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// Adds a command of this client.
    pub(crate) fn push(
        &mut self,
        session: &Session,
        command: CommandId,
        token: Token,
        first_hash: KeyHash,
        args: Args<'_>,
    ) {
        let args_end = self.args.push(args) as u32;
        self.heads.push(Head {
            token,
            client: session.id,
            first_hash,
            command,
            database: session.database,
            resp: session.resp,
            no_touch: session.no_touch,
            args_end,
        });
    }

    /// Adds a command that was to travel alone.
    pub fn push_request(&mut self, token: Token, request: &Request) {
        let args_end = self.args.push(request.args.unpack(&mut Vec::new())) as u32;
        self.heads.push(Head {
            token,
            client: request.client,
            first_hash: request.first_hash,
            command: request.command,
            database: request.database,
            resp: request.resp,
            no_touch: request.no_touch,
            args_end,
        });
    }

    /// The n-th.
    #[inline]
    pub fn at(&self, n: usize) -> (&Head, Args<'_>) {
        let head = &self.heads[n];
        let first = if n == 0 { 0 } else { self.heads[n - 1].args_end as usize };
        (head, self.args.between(first, head.args_end as usize))
    }

    /// All of them, each as it would have travelled alone.
    fn requests(&self) -> impl Iterator<Item = (Token, Request)> {
        (0..self.len()).map(|n| self.at(n)).map(|(head, args)| (head.token, self.request(head, args)))
    }

    /// A command as it would have travelled alone.
    pub fn request(&self, head: &Head, args: Args<'_>) -> Request {
        Request {
            command: head.command,
            database: head.database,
            resp: head.resp,
            no_touch: head.no_touch,
            client: head.client,
            unix_micros: self.unix_micros,
            clock: 0,
            first_hash: head.first_hash,
            args: Packed::new(args),
        }
    }
}

// How the arguments lie in memory does not matter.
impl PartialEq for Directs {
    fn eq(&self, other: &Directs) -> bool {
        self.unix_micros == other.unix_micros && self.requests().eq(other.requests())
    }
}

impl Eq for Directs {}

impl Hash for Directs {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.len().hash(hasher);
        self.requests().for_each(|request| request.hash(hasher));
    }
}

/// Replies to commands, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dones {
    /// To what, and where the reply ends.
    heads: Vec<(Token, usize)>,
    replies: Chunks,
    /// For the receiver's commands.
    pub(crate) empty: Empty<Directs>,
}

impl Dones {
    /// Without any; what was allocated is used again.
    pub(crate) fn begin(&mut self, empty: Empty<Directs>) {
        self.empty = empty;
        self.heads.clear();
        let mut buffer = std::mem::take(self.replies.tail());
        if buffer.capacity() > BUFFER_KEPT {
            buffer = Vec::new();
        }
        self.replies = Chunks::with_buffer(buffer);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Adds a reply.
    pub fn push(&mut self, token: Token, reply: Chunks) {
        self.replies.append(reply);
        self.end(token);
    }

    /// Where the next reply is encoded, to be ended by [`Dones::end`].
    pub fn replies(&mut self) -> &mut Chunks {
        &mut self.replies
    }

    /// Here ends the reply to this.
    pub fn end(&mut self, token: Token) {
        self.heads.push((token, self.replies.len()));
    }

    /// Each reply's token, and from where to where it stands in [`Dones::bytes`].
    pub fn each(&self) -> impl Iterator<Item = (Token, usize, usize)> {
        let starts = std::iter::once(0).chain(self.heads.iter().map(|(_, end)| *end));
        self.heads.iter().zip(starts).map(|((token, end), start)| (*token, start, *end))
    }

    /// All replies.
    pub fn bytes(&self) -> &Chunks {
        &self.replies
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;
    use crate::event::ConnId;
    use crate::testing::World;

    fn token(sequence: u64) -> Token {
        Token { conn: ConnId { index: 1, generation: 2 }, sequence }
    }

    fn request_of(words: &[&str], hash: u64) -> Request {
        Request {
            command: CommandId(3),
            database: 5,
            resp: Resp::V3,
            no_touch: true,
            client: ClientId(7),
            unix_micros: 11,
            clock: 0,
            first_hash: KeyHash(hash),
            args: Packed::new(OwnedArgs::new(words).view()),
        }
    }

    #[test]
    fn commands_come_out_as_they_went_in() {
        let words = [vec!["GET", "a"], vec!["SET", "b", "value"]];
        let request = request_of;
        let mut directs = Directs::default();
        for _ in 0..2 {
            directs.begin(11, Empty::default());
            (0..2).for_each(|n| directs.push_request(token(n), &request(&words[n as usize], n)));
            assert_eq!(directs.len(), 2);
            for (n, words) in words.iter().enumerate() {
                let (head, args) = directs.at(n);
                assert_eq!(head.token, token(n as u64));
                assert_eq!(directs.request(head, args), request(words, n as u64));
            }
        }
    }

    /// Keys of the shards of two cores, in the order of the cores.
    fn keys(world: &World) -> [String; 2] {
        let hasher = world.engines[0].node().shard.hasher();
        let of =
            |core| (0..).map(|n| format!("k{n}")).find(|key| hasher.hash(key.as_bytes()).shard(2) == core);
        [0, 1].map(|core| of(core).expect("every shard has keys"))
    }

    #[test]
    fn what_was_sent_in_between_keeps_its_place() {
        let mut world = World::new(2);
        let client = world.connect(0);
        let [own, other] = keys(&world);
        let lines = [
            format!("SET {other} 1"),
            format!("APPEND {other} 2"),
            format!("MSET {own} x {other} 3"),
            format!("APPEND {other} 4"),
            format!("GET {other}"),
        ];
        world.send(client, (lines.join("\r\n") + "\r\n").as_bytes());
        assert_eq!(world.receive(client), "+OK\r\n:2\r\n+OK\r\n:2\r\n$2\r\n34\r\n");
        assert_eq!(world.unfinished(), [""; 0]);
    }

    #[test]
    fn long_arguments_do_not_pile_up_in_one_message() {
        let mut directs = Directs::default();
        let value = "v".repeat(30_000);
        let words = OwnedArgs::new(&["SET", "k", &value]);
        let mut count = 0;
        while directs.has_room_for(words.view().extent()) {
            let request = Request { args: Packed::new(words.view()), ..request_of(&["GET", "k"], 0) };
            directs.push_request(token(count), &request);
            count += 1;
        }
        assert!((2..10).contains(&count), "{count}");
        assert!(
            Directs::default().has_room_for(JOINED_MAX) && !Directs::default().has_room_for(JOINED_MAX + 1)
        );
    }

    #[test]
    fn replies_come_out_as_they_went_in() {
        let mut dones = Dones::default();
        for _ in 0..2 {
            dones.begin(Empty::default());
            assert!(dones.is_empty());
            dones.replies().tail().extend_from_slice(b"+one");
            dones.end(token(4));
            dones.push(token(2), Chunks::default());
            dones.push(token(3), Chunks::with_buffer(Vec::new()));
            dones.replies().tail().extend_from_slice(b"three");
            dones.end(token(9));
            let found: Vec<(u64, usize, usize)> =
                dones.each().map(|(token, start, end)| (token.sequence, start, end)).collect();
            assert_eq!(found, [(4, 0, 4), (2, 4, 4), (3, 4, 4), (9, 4, 9)]);
            assert_eq!(dones.bytes().to_vec(), b"+onethree");
        }
    }
}

//! The keeper runs commands that Redis has written down: its files are read from their first command to their last, each command goes the way of
//! a client's, to the shards that own its keys now, and its reply is looked at.
//!
//! While that lasts nothing is taken for expired: Redis has written down what went. Commands of a file follow each other as those of one client,
//! so what MULTI begins takes effect whole, or not at all where the file is torn.
//!
//! It knows which commands such a file may hold. It does not know what they do.

use std::collections::VecDeque;

use crate::aof::commands::{Next, Script};
use crate::aof::inflow::READ_BYTES;
use crate::aof::manifest::DataFile;
use crate::aof::recover::Wrong;
use crate::args::Args;
use crate::command::is_select;
use crate::command::row::{Flags, Group, Run};
use crate::command::table::{self, CommandId, Found};
use crate::dispatch::Verdict;
use crate::engine::Engine;
use crate::event::{ConnId, DiskRequest, Effect, Effects, LogLevel, Origin, Peer};
use crate::files::Purpose;
use crate::session::{ClientId, Hold, Session};
use crate::time::Now;

/// No client: in its name the commands of a file run.
pub const READER: ConnId = ConnId { index: u32::MAX, generation: u32::MAX - 2 };

/// A file begins with a snapshot, and commands follow that.
pub const PREAMBLE: &[u8] = b"REDIS";

/// Which of the files that make up the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first.
    Base,
    /// What a generation adds.
    Generation(usize),
}

/// A file of commands on its way to the shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Adoption {
    pub(crate) place: Place,
    script: Script,
    /// Where the snapshot ends that the file begins with.
    from: u64,
    /// Where the group began that is not whole yet.
    group_at: Option<u64>,
    /// Where those commands begin whose replies have not come yet.
    said: VecDeque<u64>,
    /// It goes on when a reply has come.
    pub(crate) waits: bool,
    pub(crate) commands: u64,
}

impl Adoption {
    pub(crate) fn new(place: Place, path: String, from: u64, limit: Option<u64>) -> Adoption {
        Adoption {
            place,
            script: Script::new(path, from, limit.unwrap_or(u64::MAX)),
            from,
            group_at: None,
            said: VecDeque::new(),
            waits: false,
            commands: 0,
        }
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.script.add(bytes);
    }

    /// What was read counts up to here: it is written beside the file's name, unless it is all of a snapshot.
    pub(crate) fn note_size(&self, end: u64, torn: u64, file: &mut DataFile) {
        let is_plain = self.place == Place::Base && !file.is_beside && end == self.from && torn == 0;
        if !is_plain {
            file.size = Some(end);
        }
    }

    fn wrong(&self, at: u64, why: &str) -> Wrong {
        (self.script.file.path.clone(), format!("at byte {at}: {why}"))
    }
}

/// What is to be done with a command of a file.
enum Use {
    Run(CommandId),
    /// It is about what is not kept here.
    Skip,
}

impl Engine {
    /// The commands of a file are to be run: in the name of a client of their own, as Redis does.
    pub(crate) fn begin_adoption(&mut self, now: Now) {
        let peer =
            Peer { address: String::new(), local: String::new(), origin: Origin::Loopback, descriptor: -1 };
        self.sessions.reader = Some(Box::new(Session::new(READER, ClientId(u64::MAX), peer, now, true)));
    }

    pub(crate) fn read_commands(&mut self, adoption: &Adoption, out: &mut Effects) {
        let (path, at) = (adoption.script.file.path.clone(), adoption.script.file.read_to);
        self.files.begin(
            Purpose::Recover,
            DiskRequest::ReadAt { path, at, len: READ_BYTES, into: Vec::new() },
            out,
        );
    }

    /// Runs the next command.
    pub(crate) fn adopt_next(
        &mut self,
        adoption: &mut Adoption,
        now: Now,
        out: &mut Effects,
    ) -> Result<Step, Wrong> {
        let len = match adoption.script.look() {
            Next::Command(len) => len,
            Next::Read => return Ok(Step::Read),
            Next::Damaged(at, why) => return Err(adoption.wrong(at, why)),
            Next::End(torn) => {
                adoption.waits = !adoption.said.is_empty();
                let end = adoption.group_at.unwrap_or(adoption.script.file.at());
                let torn = torn + (adoption.script.file.at() - end);
                return Ok(if adoption.waits { Step::Done } else { Step::End { end, torn } });
            }
        };
        let at = adoption.script.file.at();
        if self.keeper.reload.is_active() {
            return Err(adoption.wrong(at, "commands are read at the start only"));
        }
        let args = adoption.script.args(len);
        let id = match use_of(args) {
            Ok(Use::Run(id)) => id,
            Ok(Use::Skip) => {
                let path = &adoption.script.file.path;
                let text = format!("{path}: a library of functions at byte {at} is not kept.");
                out.push(Effect::Log { level: LogLevel::Warning, text });
                adoption.script.pass(len);
                return Ok(Step::Done);
            }
            Err(why) => return Err(adoption.wrong(at, &why)),
        };
        let Some(session) = self.sessions.take(READER) else { return Ok(Step::Done) };
        let (session, verdict) = self.dispatch_row(session, id, args, now, out);
        let (is_grouped, waits) = (session.queued.is_some(), session.blocked.is_some());
        self.sessions.put_back(session);
        if verdict != Verdict::Held(Hold::Credits) {
            self.node.links.forget(READER);
        }
        if waits {
            return Err(adoption.wrong(at, "a command waits for something"));
        }
        match verdict {
            Verdict::Done => {
                adoption.said.push_back(at);
                adoption.group_at = adoption.group_at.or(Some(at)).filter(|_| is_grouped);
                adoption.script.pass(len);
                adoption.commands += 1;
            }
            // As long as replies are awaited, one of them will come.
            Verdict::Held(_) => {
                adoption.waits = self.sessions.get_mut(READER).is_some_and(|session| session.in_flight() > 0);
            }
        }
        self.hear_adopted(adoption)?;
        Ok(Step::Done)
    }

    /// Looks at the replies that have come.
    pub(crate) fn hear_adopted(&mut self, adoption: &mut Adoption) -> Result<(), Wrong> {
        let Some(session) = self.sessions.get_mut(READER) else { return Ok(()) };
        let pending = session.outbox.pending();
        let replies = pending.to_vec();
        pending.truncate(0);
        let mut rest = &replies[..];
        while !rest.is_empty() {
            let at = adoption.said.pop_front().unwrap_or_default();
            let mut failure = None;
            rest = pass_reply(rest, &mut failure);
            if let Some(failure) = failure {
                let failure = String::from_utf8_lossy(failure).into_owned();
                return Err(adoption.wrong(at, &format!("a command fails: {failure}")));
            }
        }
        Ok(())
    }
}

/// What has become of a step.
pub(crate) enum Step {
    Done,
    Read,
    /// The file is over: what counts ends here, and so many bytes behind it are no whole command or group.
    End {
        end: u64,
        torn: u64,
    },
}

/// Which command it is, if Redis may have written it down.
fn use_of(args: Args<'_>) -> Result<Use, String> {
    let name = || String::from_utf8_lossy(args.at(0)).into_owned();
    let id = match table::find(args) {
        Found::Command(id) if id.row().takes(args.len()) => id,
        _ if args.is(0, "function") => return Ok(Use::Skip),
        _ => return Err(format!("a command is not known: {}", name())),
    };
    let row = id.row();
    let is_of_keys =
        !matches!(row.run, Run::Abroad(_)) && (row.flags.has(Flags::WRITE) || row.flags.has(Flags::READONLY));
    let is_of_groups = matches!(row.run, Run::Exec)
        || row.group == Group::Transactions && row.flags.has(Flags::AT_ONCE)
        || is_select(id);
    match is_of_keys || is_of_groups {
        true => Ok(Use::Run(id)),
        false => Err(format!("a command does not belong there: {}", name())),
    }
}

/// Passes one reply; the first error in it.
fn pass_reply<'a>(bytes: &'a [u8], failure: &mut Option<&'a [u8]>) -> &'a [u8] {
    let mut rest = bytes;
    let mut left = 1_usize;
    while left > 0 && !rest.is_empty() {
        left -= 1;
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let line = rest[1..end].trim_ascii_end();
        let count = std::str::from_utf8(line).ok().and_then(|digits| digits.parse::<usize>().ok());
        match rest[0] {
            b'-' => *failure = failure.or(Some(line)),
            b'*' => left += count.unwrap_or(0),
            b'$' => {
                rest = rest.get(end + count.map_or(0, |len| len + 2)..).unwrap_or_default();
                continue;
            }
            _ => {}
        }
        rest = &rest[end..];
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found_among_replies_and_nowhere_else() {
        for (replies, left, failure) in [
            (&b"+OK\r\n:1\r\n"[..], &b":1\r\n"[..], None),
            (b"-ERR no\r\n", b"", Some(&b"ERR no"[..])),
            (b"*3\r\n+OK\r\n-WRONGTYPE x\r\n:1\r\n+OK\r\n", b"+OK\r\n", Some(b"WRONGTYPE x")),
            (b"$6\r\n-ERR\r\n\r\n+OK\r\n", b"+OK\r\n", None),
            (b"*2\r\n$-1\r\n*1\r\n$2\r\n-x\r\n-E\r\n", b"-E\r\n", None),
            (b"*-1\r\n+OK\r\n", b"+OK\r\n", None),
        ] {
            let mut found = None;
            assert_eq!(pass_reply(replies, &mut found), left);
            assert_eq!(found, failure);
        }
    }
}

//! The rows of the command table that run what memcached's clients ask for.
//!
//! They have names for statistics and for MONITOR, which no client can say.

use super::item::Mode;
use super::text::{self, Get};
use super::{binary, crawl, door, flush, limit, meta, stats, watch};
use crate::args::Args;
use crate::command::row::{Apply, Command, Flags, Group, Keys, Merge, Run, Tell, Touch};
use crate::command::table::{CommandId, unnamed};
use crate::txn::intent::Mode as Lock;

const ROW: Command = Command { group: Group::Memcached, flags: Flags::UNNAMED, ..Command::DEFAULT };
const READ: Flags = Flags::READONLY.or(Flags::FAST).or(Flags::UNNAMED);
const WRITE: Flags = Flags::WRITE.or(Flags::FAST).or(Flags::UNNAMED);
const STORE: Flags = WRITE.or(Flags::DENYOOM);
const CRAWL: Flags = Flags::READONLY.or(Flags::UNNAMED);
/// Requests of the binary protocol: header, extras, key, value.
const BINARY_KEY: Keys = Keys::Range { first: 2, last: 2, step: 1 };

const fn hop(name: &'static str, flags: Flags, run: Apply) -> Command {
    Command {
        name,
        arity: -2,
        flags,
        keys: Keys::ONE,
        touch: Touch::Update,
        run: Run::Hop(run),
        tell: text::tell,
        ..ROW
    }
}

const fn many(name: &'static str, flags: Flags, first: u16, apply: Apply) -> Command {
    Command {
        name,
        arity: -2,
        flags,
        keys: Keys::Range { first, last: -1, step: 1 },
        touch: if flags.has(Flags::WRITE) { Touch::Update } else { Touch::Read },
        run: Run::Spread { check: |_| Ok(()), apply, merge: Merge::Items },
        tell: text::tell,
        ..ROW
    }
}

const fn binary_hop(name: &'static str, flags: Flags, run: Apply) -> Command {
    Command { keys: BINARY_KEY, tell: binary::tell, ..hop(name, flags, run) }
}

const fn told(command: Command, tell: Tell) -> Command {
    Command { tell, ..command }
}

/// This family's rows.
pub(crate) const COMMANDS: &[Command] = &[Command {
    name: "memcached",
    run: Run::Container,
    subcommands: &[
        many("get", READ, 1, |cx, a, r| text::get(cx, a, r, Get { stamped: false, touches: false })),
        many("gets", READ, 1, |cx, a, r| text::get(cx, a, r, Get { stamped: true, touches: false })),
        many("gat", WRITE, 2, |cx, a, r| text::get(cx, a, r, Get { stamped: false, touches: true })),
        many("gats", WRITE, 2, |cx, a, r| text::get(cx, a, r, Get { stamped: true, touches: true })),
        hop("set", STORE, |cx, a, r| text::store(cx, a, r, Mode::Set)),
        hop("add", STORE, |cx, a, r| text::store(cx, a, r, Mode::Add)),
        hop("replace", STORE, |cx, a, r| text::store(cx, a, r, Mode::Replace)),
        hop("append", STORE, |cx, a, r| text::store(cx, a, r, Mode::Append)),
        hop("prepend", STORE, |cx, a, r| text::store(cx, a, r, Mode::Prepend)),
        hop("cas", STORE, |cx, a, r| text::store(cx, a, r, Mode::Cas)),
        hop("forget", WRITE, text::forget),
        hop("incr", STORE, |cx, a, r| text::delta(cx, a, r, true)),
        hop("decr", STORE, |cx, a, r| text::delta(cx, a, r, false)),
        hop("touch", WRITE, text::touch),
        hop("delete", WRITE, text::delete),
        hop("mg", WRITE, meta::get),
        hop("ms", STORE, meta::store),
        hop("md", WRITE, meta::delete),
        hop("ma", STORE, meta::arithmetic),
        hop("me", READ, meta::debug),
        binary_hop("binary-get", WRITE, binary::get),
        binary_hop("binary-store", STORE, binary::store),
        binary_hop("binary-forget", WRITE, binary::forget),
        binary_hop("binary-delete", WRITE, binary::delete),
        binary_hop("binary-delta", STORE, binary::delta),
        Command {
            name: "flush_all",
            flags: WRITE,
            touch: Touch::Delete,
            run: Run::Gather {
                whole: Some(Lock::Exclusive),
                check: |_, _| Ok(()),
                part: flush::part,
                merge: flush::done,
            },
            tell: text::tell,
            ..ROW
        },
        Command {
            name: "flush_all-later",
            flags: WRITE,
            run: Run::Gather { whole: None, check: |_, _| Ok(()), part: flush::later, merge: flush::done },
            tell: text::tell,
            ..ROW
        },
        Command {
            name: "flush_all-due",
            flags: WRITE,
            touch: Touch::Delete,
            whole: |_| Some(Lock::Exclusive),
            run: Run::Hop(flush::due),
            tell: text::tell,
            ..ROW
        },
        Command {
            name: "stats",
            run: Run::Gather { whole: None, check: |_, _| Ok(()), part: stats::part, merge: stats::merge },
            tell: text::tell,
            ..ROW
        },
        Command {
            name: "cache_memlimit",
            run: Run::Gather { whole: None, check: |_, _| Ok(()), part: limit::part, merge: limit::done },
            tell: text::tell,
            ..ROW
        },
        Command {
            name: "watch",
            flags: Flags::UNNAMED.or(Flags::AFTER_ALL),
            run: Run::Local(watch::watch),
            ..ROW
        },
        Command { name: "lru_crawler", flags: CRAWL, run: Run::Local(crawl::begin), ..ROW },
        Command {
            name: "lru_crawler-go-on",
            flags: CRAWL.or(Flags::SKIP_MONITOR).or(Flags::SKIP_SLOWLOG),
            run: Run::Gather { whole: None, check: |_, _| Ok(()), part: crawl::part, merge: crawl::merge },
            tell: text::tell,
            ..ROW
        },
        Command {
            name: "lru_crawler-switch",
            run: Run::Gather {
                whole: None,
                check: |_, _| Ok(()),
                part: crawl::switch,
                merge: crawl::switched,
            },
            tell: text::tell,
            ..ROW
        },
        Command { name: "auth", run: Run::Local(door::authenticate), ..told(ROW, text::tell) },
    ],
    ..ROW
}];

/// `get`.
pub(super) const GET: CommandId = unnamed("get");
/// `gets`.
pub(super) const GETS: CommandId = unnamed("gets");
/// `gat`.
pub(super) const GAT: CommandId = unnamed("gat");
/// `gats`.
pub(super) const GATS: CommandId = unnamed("gats");
/// `set`.
pub(super) const SET: CommandId = unnamed("set");
/// `add`.
pub(super) const ADD: CommandId = unnamed("add");
/// `replace`.
pub(super) const REPLACE: CommandId = unnamed("replace");
/// `append`.
pub(super) const APPEND: CommandId = unnamed("append");
/// `prepend`.
pub(super) const PREPEND: CommandId = unnamed("prepend");
/// `cas`.
pub(super) const CAS: CommandId = unnamed("cas");
/// What follows a value that is too large.
pub(super) const FORGET: CommandId = unnamed("forget");
/// `incr`.
pub(super) const INCR: CommandId = unnamed("incr");
/// `decr`.
pub(super) const DECR: CommandId = unnamed("decr");
/// `touch`.
pub(super) const TOUCH: CommandId = unnamed("touch");
/// `delete`.
pub(super) const DELETE: CommandId = unnamed("delete");
/// `mg`.
pub(super) const MG: CommandId = unnamed("mg");
/// `ms`.
pub(super) const MS: CommandId = unnamed("ms");
/// `md`.
pub(super) const MD: CommandId = unnamed("md");
/// `ma`.
pub(super) const MA: CommandId = unnamed("ma");
/// `me`.
pub(super) const ME: CommandId = unnamed("me");
/// Get, touch, and get and touch.
pub(super) const BINARY_GET: CommandId = unnamed("binary-get");
/// Set, add, replace, append, prepend.
pub(super) const BINARY_STORE: CommandId = unnamed("binary-store");
/// What follows a value that is too large.
pub(super) const BINARY_FORGET: CommandId = unnamed("binary-forget");
/// Delete.
pub(super) const BINARY_DELETE: CommandId = unnamed("binary-delete");
/// Increment, decrement.
pub(super) const BINARY_DELTA: CommandId = unnamed("binary-delta");
/// `flush_all`, at once.
pub(super) const FLUSH: CommandId = unnamed("flush_all");
/// `flush_all`, at a later moment.
pub(super) const FLUSH_LATER: CommandId = unnamed("flush_all-later");
/// What happens at that moment, on one shard.
pub(super) const FLUSH_DUE: CommandId = unnamed("flush_all-due");
/// `stats`.
pub(super) const STATS: CommandId = unnamed("stats");
/// `cache_memlimit`.
pub(super) const MEMORY_LIMIT: CommandId = unnamed("cache_memlimit");
/// `watch`.
pub(super) const WATCH: CommandId = unnamed("watch");
/// `lru_crawler` with classes.
pub(super) const CRAWL_BEGIN: CommandId = unnamed("lru_crawler");
/// The next piece of a dump.
pub(super) const CRAWL_ON: CommandId = unnamed("lru_crawler-go-on");
/// `lru_crawler enable`, `lru_crawler disable`.
pub(super) const CRAWL_SWITCH: CommandId = unnamed("lru_crawler-switch");
/// The first thing that is stored where a password is set.
pub(super) const AUTH: CommandId = unnamed("auth");

/// The row of a request to forget everything depends on when.
#[inline]
pub(super) fn in_time(command: CommandId, args: Args<'_>) -> CommandId {
    match command == FLUSH && flush::delay(args).is_some() {
        true => FLUSH_LATER,
        false => command,
    }
}

/// The answer to `version`.
pub(super) const VERSION_LINE: &str = "VERSION 1.6.18";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;

    #[test]
    fn nobody_can_name_these_rows_and_nothing_lists_them() {
        for name in ["memcached", "mg", "flush_all", "memcached|get"] {
            assert_eq!(table::find_name(name.as_bytes()), None, "{name}");
        }
        assert!(table::all().all(|id| id.row().group != Group::Memcached));
        assert_eq!(SET.full_name(), "memcached|set");
        assert!(VERSION_LINE.ends_with(super::super::COMPATIBLE_VERSION));
    }
}

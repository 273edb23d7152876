//! Values that go to another key, which may lie on another shard: RENAME, RENAMENX, COPY.
//!
//! In three steps: both shards look, the source gives, the target takes. What travels is the value with its deadline.

use super::generic::{SAME_OBJECT, database};
use super::row::{Next, Plan};
use crate::args::Args;
use crate::protocol::reply::{Failure, Reply};
use crate::shard::{Cx, Deadline};
use crate::time::UnixMillis;
use crate::txn::work::{Finding, Order};
use crate::value::record::Record;

/// Places of the keys among the arguments.
const SOURCE: u32 = 1;
const TARGET: u32 = 2;

/// Moves a value, over what is there.
pub const RENAME: Plan = Plan {
    check: |_, _| Ok(()),
    reads: |_| false,
    act: |cx, args, order| act(cx, args, order, true),
    next: |args, _, findings, reply| {
        next(args, findings, reply, &Rules { is_rename: true, overwrites: true })
    },
};

/// Moves a value to a key that is free.
pub const RENAMENX: Plan = Plan {
    check: |_, _| Ok(()),
    reads: |_| false,
    act: |cx, args, order| act(cx, args, order, true),
    next: |args, _, findings, reply| {
        next(args, findings, reply, &Rules { is_rename: true, overwrites: false })
    },
};

/// Copies a value.
pub const COPY: Plan = Plan {
    check: |args, settings| {
        CopyOptions::parse(args)?;
        // The database is looked at by its own rules.
        match CopyOptions::word(args) {
            Some(word) => database(settings, word, Failure::NOT_INTEGER).map(drop),
            None => Ok(()),
        }
    },
    reads: |n| n == 0,
    act: |cx, args, order| act(cx, args, order, false),
    next: |args, _, findings, reply| {
        let overwrites = CopyOptions::parse(args).is_ok_and(|options| options.replaces);
        next(args, findings, reply, &Rules { is_rename: false, overwrites })
    },
};

/// What COPY is told behind its keys.
pub struct CopyOptions {
    /// DB.
    pub database: Option<u16>,
    /// REPLACE.
    pub replaces: bool,
}

impl CopyOptions {
    /// Reads the words behind the keys; a number of a database that is none is left out.
    pub fn parse(args: Args<'_>) -> Result<CopyOptions, Failure> {
        let mut options = CopyOptions { database: None, replaces: false };
        let mut n = 3;
        while n < args.len() {
            if args.is(n, "replace") {
                options.replaces = true;
            } else if args.is(n, "db") && n + 1 < args.len() {
                let number = super::parse::integer(args.at(n + 1)).ok();
                options.database = number.and_then(|number| u16::try_from(number).ok());
                n += 1;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 1;
        }
        Ok(options)
    }

    /// The word that names the database.
    fn word(args: Args<'_>) -> Option<&[u8]> {
        let place = (3..args.len()).rev().find(|&n| args.is(n, "db") && n + 1 < args.len())?;
        args.get(place + 1)
    }
}

/// In what the three differ.
struct Rules {
    is_rename: bool,
    overwrites: bool,
}

fn target_database(cx: &Cx<'_>, args: Args<'_>) -> usize {
    let copies = CopyOptions::parse(args).ok();
    copies.and_then(|options| options.database).map_or(cx.database, usize::from)
}

fn act(cx: &mut Cx<'_>, args: Args<'_>, order: Order, takes: bool) -> Finding {
    let target = if takes { cx.database } else { target_database(cx, args) };
    match (order.given, order.key) {
        (Finding::Value(carried), _) => {
            let (value, deadline) = *carried;
            let deadline = deadline.map_or(Deadline::Clear, |at| Deadline::At(UnixMillis(at)));
            let key = cx.key_of(args.at(TARGET as usize));
            if takes {
                cx.remove(key);
            }
            cx.put(target, key, value, deadline);
            Finding::Nothing
        }
        (_, Some(_)) => {
            let key = cx.key_of(args.at(SOURCE as usize));
            let at = |record: &Record| record.deadline().map(|deadline| deadline.0);
            let value = match takes {
                true => cx.take(key).map(|record| {
                    let deadline = at(&record);
                    (record.detach(), deadline)
                }),
                false => cx.peek(key).map(|record| (record.copy(), at(record))),
            };
            value.map_or(Finding::Nothing, |value| Finding::Value(Box::new(value)))
        }
        // In the first step all look.
        (_, None) => {
            let own: Vec<(u32, bool)> = (0..cx.keys.len())
                .map(|n| {
                    let (place, key) = (cx.keys[n].place, cx.key(args, n));
                    let database = if place == TARGET { target } else { cx.database };
                    (place, cx.peek_in(database, key).is_some())
                })
                .collect();
            // A command that names the same key in the same database twice is refused before anything else is looked at, if it copies.
            let same = args.at(SOURCE as usize) == args.at(TARGET as usize) && target == cx.database;
            if same && !takes {
                return Finding::Failed(SAME_OBJECT);
            }
            Finding::Keys(own.into_iter().map(|(place, lives)| (place, Finding::Flag(lives))).collect())
        }
    }
}

fn next(args: Args<'_>, findings: Vec<Finding>, reply: &mut Reply<'_>, rules: &Rules) -> Next {
    let mut lives = [false; 3];
    for finding in findings {
        match finding {
            Finding::Failed(failure) => return Next::Failed(failure),
            Finding::Keys(keys) => {
                for (place, finding) in keys {
                    lives[place.min(2) as usize] = finding == Finding::Flag(true);
                }
            }
            // The source has given: the target takes.
            value @ Finding::Value(_) => {
                return Next::Step(vec![Order { step: 0, key: Some(TARGET), given: value }]);
            }
            // The target has taken.
            _ => {
                done(reply, rules, true);
                return Next::Done;
            }
        }
    }
    let is_same = rules.is_rename && args.at(SOURCE as usize) == args.at(TARGET as usize);
    if !lives[SOURCE as usize] {
        if rules.is_rename {
            return Next::Failed(Failure::NO_KEY);
        }
        done(reply, rules, false);
        return Next::Done;
    }
    if is_same || lives[TARGET as usize] && !rules.overwrites {
        done(reply, rules, is_same && rules.overwrites);
        return Next::Done;
    }
    Next::Step(vec![Order { step: 0, key: Some(SOURCE), given: Finding::Nothing }])
}

fn done(reply: &mut Reply<'_>, rules: &Rules, moved: bool) {
    match rules {
        Rules { is_rename: true, overwrites: true } => reply.ok(),
        _ => reply.integer(i64::from(moved)),
    }
}

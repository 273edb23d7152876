//! DEBUG: what tests and their authors need. Off unless `enable-debug-command` allows it.
//!
//! | file | knows |
//! |---|---|
//! | `mod.rs` | the container, and switches that are accepted without effect |
//! | `sleep.rs` | stopping all cores for a while |
//! | `populate.rs` | making many keys |
//! | `reload.rs` | values written and read again in memory |
//! | `loadaof.rs` | reading the log back |
//! | `show.rs` | looking at a key, at a pattern, at each kind of reply |

mod loadaof;
mod populate;
mod reload;
mod show;
mod sleep;

use super::gathered::{all_done, unchecked};
use super::help::HELP;
use super::row::{Command, Example, Flags, Run};
use crate::args::Args;
use crate::event::{Effect, LogLevel};
use crate::node::Local;
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome, Reply};

const FLAGS: Flags =
    Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE).or(Flags::PROTECTED);
const ROW: Command = Command { flags: FLAGS, ..Command::DEFAULT };

/// A switch of Redis's insides that mean nothing here; test suites set it and expect OK.
const fn accepted(name: &'static str, arity: i8, syntax: &'static str, summary: &'static str) -> Command {
    let run = Run::Local(|_, _, reply| {
        reply.ok();
        Ok(())
    });
    Command { name, arity, syntax, summary, run, ..ROW }
}

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "debug",
    arity: -2,
    summary: "A container for debugging commands.",
    complexity: "Depends on subcommand.",
    run: Run::Container,
    subcommands: &[
        sleep::SLEEP,
        show::OBJECT,
        populate::POPULATE,
        reload::RELOAD,
        loadaof::LOADAOF,
        Command {
            name: "set-active-expire",
            arity: 3,
            summary: "Switches the background removal of keys whose time has come.",
            syntax: "0/1",
            examples: &[Example { call: "DEBUG SET-ACTIVE-EXPIRE 1", reply: "OK" }],
            run: Run::Gather {
                whole: None,
                check: unchecked,
                part: |asked, args| {
                    // As in Redis, what is no number means 0.
                    let number = std::str::from_utf8(args.at(2)).ok().and_then(|text| text.parse().ok());
                    asked.node.shard.active_expire = number.unwrap_or(0_i64) != 0;
                    Part::Done
                },
                merge: all_done,
            },
            ..ROW
        },
        show::STRINGMATCH_LEN,
        show::PROTOCOL,
        Command {
            name: "error",
            arity: 3,
            summary: "Replies with an error of this text.",
            syntax: "text",
            examples: &[Example { call: "DEBUG ERROR \"MINE as given\"", reply: "MINE as given" }],
            run: Run::Local(|_, args, _| {
                Err(Failure::text(String::from_utf8_lossy(args.at(2)).into_owned()))
            }),
            ..ROW
        },
        Command {
            name: "log",
            arity: 3,
            summary: "Writes a line to the server's log.",
            syntax: "message",
            examples: &[Example { call: "DEBUG LOG hello", reply: "OK" }],
            run: Run::Local(log),
            ..ROW
        },
        accepted("change-repl-id", 2, "", "Accepted: there is no replication yet."),
        accepted(
            "quicklist-packed-threshold",
            3,
            "size",
            "Accepted: what is larger than a pack lies in one of its own.",
        ),
        accepted("set-skip-checksum-validation", 3, "0/1", "Accepted: there are no checksums yet."),
        accepted("set-disable-deny-scripts", 3, "0/1", "Accepted: there are no scripts yet."),
        accepted("pause-cron", 3, "0/1", "Accepted: no periodic job has to be stopped."),
        accepted("dict-resizing", 3, "0/1", "Accepted: tables grow and shrink a segment at a time."),
        accepted(
            "replybuffer",
            4,
            "setting value",
            "Accepted: reply buffers are shared and have no size of their own.",
        ),
        Command { flags: FLAGS, ..HELP },
    ],
    ..ROW
}];

fn log(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let text = String::from_utf8_lossy(args.at(2)).replace(['\r', '\n'], " ");
    local.out.push(Effect::Log { level: LogLevel::Warning, text: format!("DEBUG LOG: {text}") });
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::Access;
    use crate::event::{Effect, LogLevel, Origin};
    use crate::testing::World;

    #[test]
    fn it_is_off_unless_it_is_allowed() {
        for (access, origin, allowed) in [
            (Access::No, Origin::Loopback, false),
            (Access::Local, Origin::Remote, false),
            (Access::Local, Origin::Loopback, true),
            (Access::Yes, Origin::Remote, true),
        ] {
            let mut world = World::with(1, |settings| {
                settings.enable_debug_command = access;
                settings.protected_mode = false;
            });
            let client = world.connect_from(0, origin);
            for call in ["DEBUG SLEEP 0", "DEBUG CHANGE-REPL-ID", "DEBUG SET-ACTIVE-EXPIRE 1"] {
                let reply = world.say(client, call);
                assert_eq!(reply == "OK", allowed, "{call} {access:?} {origin:?}");
                assert_eq!(reply.starts_with("ERR DEBUG command not allowed."), !allowed, "{call}");
            }
        }
    }

    #[test]
    fn switches_and_errors() {
        let mut world = World::with(2, |settings| settings.enable_debug_command = Access::Yes);
        let client = world.connect(1);
        let unknown = |word: &str| {
            format!("ERR unknown subcommand or wrong number of arguments for '{word}'. Try DEBUG HELP.")
        };
        for (call, reply) in [
            ("DEBUG ERROR 'MINE x'", "MINE x".to_string()),
            ("DEBUG LOG hello", "OK".to_string()),
            ("DEBUG REPLYBUFFER RESIZING 0", "OK".to_string()),
            ("DEBUG JMAP", unknown("JMAP")),
            ("DEBUG sleep", unknown("sleep")),
            ("DEBUG", "ERR wrong number of arguments for 'debug' command".to_string()),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
        let line = Effect::Log { level: LogLevel::Warning, text: "DEBUG LOG: hello".into() };
        assert!(world.kept.iter().any(|(_, effect)| *effect == line));
        assert!(world.say(client, "DEBUG HELP").starts_with("DEBUG <subcommand>"));
    }

    #[test]
    fn keys_stay_until_somebody_looks_while_expiry_is_off() {
        let mut world = World::with(3, |settings| settings.enable_debug_command = Access::Yes);
        let client = world.connect(0);
        assert_eq!(world.say(client, "DEBUG SET-ACTIVE-EXPIRE 0"), "OK");
        for n in 0..30 {
            world.call(client, &format!("SET key:{n} x PX 10"));
        }
        world.pass(1_000);
        assert_eq!(world.say(client, "DBSIZE"), "30");
        assert_eq!(world.say(client, "DEBUG SET-ACTIVE-EXPIRE 1"), "OK");
        world.pass(1_000);
        assert_eq!(world.say(client, "DBSIZE"), "0");
    }
}

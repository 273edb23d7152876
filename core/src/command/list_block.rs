//! Lists: commands that wait until there is an element. How they wait is the engine's business: see `docs/TRANSACTIONS.md`.

use super::list_move::{Taking, act_move, act_take, next_move, next_take, sides};
use super::parse::seconds_to_wait;
use super::row::{Block, Command, Example, Flags, Group, Keys, Plan, Run, Touch};
use crate::value::container::Container;
use crate::value::pack::Side;
use crate::value::record::Record;

const FLAGS: Flags = Flags(Flags::WRITE.0 | Flags::NOSCRIPT.0 | Flags::BLOCKING.0);
const MOVE_FLAGS: Flags = Flags(FLAGS.0 | Flags::DENYOOM.0);
const POP_KEYS: Keys = Keys::Range { first: 1, last: -2, step: 1 };
const ROW: Command = Command { group: Group::List, flags: FLAGS, touch: Touch::Take, ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "blpop",
        arity: -3,
        keys: POP_KEYS,
        since: "2.0.0",
        summary: "Removes and returns the first element in a list. Blocks until an element is available otherwise. Deletes the list \
                  if the last element was popped.",
        complexity: "O(N) where N is the number of provided keys.",
        syntax: "key [key ...] timeout:double",
        examples: &[
            Example { call: "RPUSH {l}2 one two", reply: "2" },
            Example { call: "BLPOP {l}1 {l}2 1", reply: "{l}2\none" },
        ],
        run: Run::Block(&BLPOP),
        ..ROW
    },
    Command {
        name: "brpop",
        arity: -3,
        keys: POP_KEYS,
        since: "2.0.0",
        summary: "Removes and returns the last element in a list. Blocks until an element is available otherwise. Deletes the list \
                  if the last element was popped.",
        complexity: "O(N) where N is the number of provided keys.",
        syntax: "key [key ...] timeout:double",
        examples: &[
            Example { call: "RPUSH {l}2 one two", reply: "2" },
            Example { call: "BRPOP {l}1 {l}2 1", reply: "{l}2\ntwo" },
        ],
        run: Run::Block(&BRPOP),
        ..ROW
    },
    Command {
        name: "blmpop",
        arity: -5,
        flags: Flags(FLAGS.0 & !Flags::NOSCRIPT.0 | Flags::MOVABLE_KEYS.0),
        keys: Keys::Counted { count: 2, step: 1 },
        since: "7.0.0",
        summary: "Pops the first element from one of multiple lists. Blocks until an element is available otherwise. Deletes the list \
                  if the last element was popped.",
        complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        syntax: "timeout:double numkeys:integer key [key ...] where:<LEFT | RIGHT> [COUNT count:integer]",
        examples: &[
            Example { call: "RPUSH {l}2 one two three", reply: "3" },
            Example { call: "BLMPOP 1 2 {l}1 {l}2 LEFT COUNT 2", reply: "{l}2\none\ntwo" },
        ],
        run: Run::Block(&BLMPOP),
        ..ROW
    },
    Command {
        name: "blmove",
        arity: 6,
        flags: MOVE_FLAGS,
        keys: Keys::TWO,
        touch: Touch::Move,
        since: "6.2.0",
        summary: "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available \
                  otherwise. Deletes the list if the last element was moved.",
        syntax: "source:key destination:key wherefrom:<LEFT | RIGHT> whereto:<LEFT | RIGHT> timeout:double",
        examples: &[
            Example { call: "RPUSH {l}1 one two", reply: "2" },
            Example { call: "BLMOVE {l}1 {l}2 LEFT RIGHT 1", reply: "one" },
        ],
        run: Run::Block(&BLMOVE),
        ..ROW
    },
    Command {
        name: "brpoplpush",
        arity: 4,
        flags: MOVE_FLAGS,
        keys: Keys::TWO,
        touch: Touch::Move,
        since: "2.2.0",
        summary: "Pops an element from a list, pushes it to another list and returns it. Block until an element is available \
                  otherwise. Deletes the list if the last element was popped.",
        syntax: "source:key destination:key timeout:double",
        examples: &[
            Example { call: "RPUSH {l}1 one two", reply: "2" },
            Example { call: "BRPOPLPUSH {l}1 {l}2 1", reply: "two" },
        ],
        run: Run::Block(&BRPOPLPUSH),
        ..ROW
    },
];

fn is_list(record: &Record) -> bool {
    matches!(record.container(), Some(Container::List(_)))
}

/// Takes one element from the first list that is there, from this end.
const fn pop(plan: Plan) -> Block {
    Block {
        plan,
        timeout: |args| seconds_to_wait(args.at(args.len() - 1)),
        waits_for: |_| true,
        is_served_alone: true,
        is_ready: is_list,
        empty: |reply| reply.null_array(),
        waits: |_| true,
        reader: None,
    }
}

const BLPOP: Block = pop(Plan {
    check: |_, _| Ok(()),
    reads: |_| false,
    act: |cx, args, order| act_take(cx, args, order, Ok(Taking { side: Side::Left, count: 1 })),
    next: |args, _, findings, reply| next_take(args, findings, reply, false),
});

const BRPOP: Block = pop(Plan {
    check: |_, _| Ok(()),
    reads: |_| false,
    act: |cx, args, order| act_take(cx, args, order, Ok(Taking { side: Side::Right, count: 1 })),
    next: |args, _, findings, reply| next_take(args, findings, reply, false),
});

const BLMPOP: Block = Block {
    timeout: |args| seconds_to_wait(args.at(1)),
    ..pop(Plan {
        check: |args, _| Taking::parse(args, 2).map(drop),
        reads: |_| false,
        act: |cx, args, order| act_take(cx, args, order, Taking::parse(args, 2)),
        next: |args, _, findings, reply| next_take(args, findings, reply, true),
    })
};

/// Moves an element; only the source is waited for.
const fn carry(plan: Plan) -> Block {
    Block {
        plan,
        timeout: |args| seconds_to_wait(args.at(args.len() - 1)),
        waits_for: |n| n == 0,
        is_served_alone: false,
        is_ready: is_list,
        empty: |reply| reply.null(),
        waits: |_| true,
        reader: None,
    }
}

const BLMOVE: Block = carry(Plan {
    check: |args, _| sides(args).map(drop),
    reads: |_| false,
    act: |cx, args, order| match sides(args) {
        Ok((from, to)) => act_move(cx, args, order, from, to),
        Err(failure) => crate::txn::work::Finding::Failed(failure),
    },
    next: |args, _, findings, reply| next_move(args, findings, reply),
});

const BRPOPLPUSH: Block = carry(Plan {
    check: |_, _| Ok(()),
    reads: |_| false,
    act: |cx, args, order| act_move(cx, args, order, Side::Right, Side::Left),
    next: |args, _, findings, reply| next_move(args, findings, reply),
});

#[cfg(test)]
mod tests {
    use crate::testing::{Client, World};

    /// The same on one core and on three: who waits for keys on shards of its own, of others, of several.
    fn on_each(test: impl Fn(&mut World, &[Client])) {
        for cores in [1, 3] {
            let mut world = World::new(cores);
            let clients: Vec<Client> = (0..6).map(|n| world.connect(n % cores)).collect();
            test(&mut world, &clients);
            for client in clients {
                if world.is_open(client) {
                    world.hang_up(client);
                }
            }
            assert_eq!(world.unfinished(), [""; 0], "{cores} cores");
        }
    }

    #[test]
    fn who_waited_first_is_served_first() {
        on_each(|world, clients| {
            for key in ["a", "b", "c", "d"] {
                for client in &clients[..4] {
                    assert_eq!(world.call(*client, &format!("BLPOP {key} other:{key} 0")), "");
                }
                assert_eq!(world.call(clients[4], &format!("RPUSH {key} 1 2")), ":2\r\n");
                assert_eq!(world.receive(clients[0]), format!("*2\r\n$1\r\n{key}\r\n$1\r\n1\r\n"));
                assert_eq!(world.receive(clients[1]), format!("*2\r\n$1\r\n{key}\r\n$1\r\n2\r\n"));
                assert_eq!(world.call(clients[5], &format!("EXISTS {key}")), ":0\r\n");
                for line in ["MULTI", &format!("RPUSH {key} 3"), &format!("RPUSH other:{key} 4")] {
                    world.call(clients[5], line);
                }
                assert_eq!(world.call(clients[5], "EXEC"), "*2\r\n:1\r\n:1\r\n");
                let served = [world.receive(clients[2]), world.receive(clients[3])];
                assert!(served.iter().all(|reply| !reply.is_empty()), "one EXEC wakes two: {served:?}");
                assert_eq!(world.call(clients[4], &format!("EXISTS {key} other:{key}")), ":0\r\n");
            }
        });
    }

    #[test]
    fn waits_end_in_time_and_by_others() {
        on_each(|world, clients| {
            let [waiter, other, admin, ..] = *clients else { panic!("there are clients") };
            for (call, reply) in [
                ("BLPOP a x", "-ERR timeout is not a float or out of range\r\n"),
                ("BLPOP a -1", "-ERR timeout is negative\r\n"),
                ("BLPOP a 1e300", "-ERR timeout is out of range\r\n"),
                ("BLMOVE a b LEFT UP 0", "-ERR syntax error\r\n"),
                ("BLMPOP 0 0 a LEFT", "-ERR numkeys should be greater than 0\r\n"),
                ("BRPOP a b c 0.1", ""),
            ] {
                assert_eq!(world.call(waiter, call), reply, "{call}");
            }
            world.pass(99);
            assert_eq!(world.receive(waiter), "");
            world.pass(2);
            assert_eq!(world.receive(waiter), "*-1\r\n");
            assert_eq!(world.call(waiter, "BLMOVE a b LEFT LEFT 0.01"), "");
            world.pass(20);
            assert_eq!(world.receive(waiter), "$-1\r\n");
            let id = world.call(waiter, "CLIENT ID");
            let id = id.trim_matches([':', '\r', '\n']);
            assert_eq!(world.call(admin, &format!("CLIENT UNBLOCK {id}")), ":0\r\n");
            world.send(waiter, b"BLPOP a b c 0\r\nPING\r\n");
            assert_eq!(world.receive(waiter), "");
            assert_eq!(world.call(admin, &format!("CLIENT UNBLOCK {id}")), ":1\r\n");
            assert_eq!(world.receive(waiter), "*-1\r\n+PONG\r\n");
            world.call(waiter, "BLPOP a b c 0");
            assert_eq!(world.call(admin, &format!("CLIENT UNBLOCK {id} ERROR")), ":1\r\n");
            assert_eq!(world.receive(waiter), "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
            world.call(waiter, "BLPOP a b c 0");
            world.hang_up(waiter);
            assert_eq!(world.call(other, "RPUSH a 1"), ":1\r\n");
            assert_eq!(world.call(other, "LPOP a"), "$1\r\n1\r\n", "nobody has taken it");
        });
    }

    #[test]
    fn every_way_to_come_to_a_list_wakes() {
        on_each(|world, clients| {
            let [waiter, other, ..] = *clients else { panic!("there are clients") };
            let served = "*2\r\n$1\r\nk\r\n$1\r\nx\r\n";
            for causes in [
                &["RPUSH k x"][..],
                &["LPUSH k x"],
                &["RPUSH other x", "RENAME other k"],
                &["RPUSH other x", "COPY other k", "DEL other"],
                &["RPUSH other x", "LMOVE other k LEFT LEFT"],
                &["RPUSH other x", "RPOPLPUSH other k"],
                &["SELECT 1", "RPUSH k x", "MOVE k 0", "SELECT 0"],
                &["SET k x", "DEL k", "RPUSH k x"],
                &["MULTI", "RPUSH k x", "SET other y", "EXEC", "DEL other"],
            ] {
                assert_eq!(world.call(waiter, "BLPOP k 0"), "", "{causes:?}");
                for cause in causes {
                    world.call(other, cause);
                }
                assert_eq!(world.receive(waiter), served, "{causes:?}");
                assert_eq!(world.call(other, "DBSIZE"), ":0\r\n", "{causes:?}");
            }
        });
    }

    #[test]
    fn an_element_moves_on_through_those_who_wait() {
        on_each(|world, clients| {
            let [one, two, three, other, ..] = *clients else { panic!("there are clients") };
            assert_eq!(world.call(one, "BLMOVE a b LEFT RIGHT 0"), "");
            assert_eq!(world.call(two, "BRPOPLPUSH b c 0"), "");
            assert_eq!(world.call(three, "BLMPOP 0 2 nosuch c LEFT COUNT 5"), "");
            assert_eq!(world.call(other, "RPUSH a x"), ":1\r\n");
            assert_eq!(world.receive(one), "$1\r\nx\r\n");
            assert_eq!(world.receive(two), "$1\r\nx\r\n");
            assert_eq!(world.receive(three), "*2\r\n$1\r\nc\r\n*1\r\n$1\r\nx\r\n");
            assert_eq!(world.call(other, "DBSIZE"), ":0\r\n");
            // A target of another type is an error when there is something to move, and the element stays.
            world.call(other, "SET b text");
            assert_eq!(world.call(one, "BLMOVE a b LEFT RIGHT 0"), "");
            assert_eq!(world.call(other, "RPUSH a y"), ":1\r\n");
            assert_eq!(
                world.receive(one),
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
            );
            assert_eq!(world.call(other, "LRANGE a 0 -1"), "*1\r\n$1\r\ny\r\n");
        });
    }

    #[test]
    fn a_newcomer_looks_past_what_others_wait_for() {
        on_each(|world, clients| {
            let [one, two, three, other, ..] = *clients else { panic!("there are clients") };
            assert_eq!(world.call(one, "BLPOP a 0"), "");
            assert_eq!(world.call(other, "RPUSH b x"), ":1\r\n");
            assert_eq!(world.call(two, "BLPOP a b 0"), "*2\r\n$1\r\nb\r\n$1\r\nx\r\n");
            assert_eq!(world.call(two, "BLPOP a b 0"), "");
            // What is no list is no reason to wait; who waits already goes on.
            assert_eq!(world.call(other, "SET a text"), "+OK\r\n");
            let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
            assert_eq!(world.call(three, "BLPOP a c 0"), wrong);
            assert_eq!(world.call(other, "DEL a"), ":1\r\n");
            assert_eq!(world.call(other, "RPUSH a y z"), ":2\r\n");
            assert_eq!(world.receive(one), "*2\r\n$1\r\na\r\n$1\r\ny\r\n");
            assert_eq!(world.receive(two), "*2\r\n$1\r\na\r\n$1\r\nz\r\n");
        });
    }

    #[test]
    fn within_a_transaction_nobody_waits() {
        on_each(|world, clients| {
            let client = clients[0];
            for line in ["MULTI", "BLPOP a b c 0", "RPUSH b x", "BLPOP a b c 0", "BLMOVE a c LEFT LEFT 0"] {
                world.call(client, line);
            }
            assert_eq!(world.call(client, "EXEC"), "*4\r\n*-1\r\n:1\r\n*2\r\n$1\r\nb\r\n$1\r\nx\r\n$-1\r\n");
        });
    }
}

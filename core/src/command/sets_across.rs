//! Sets: what several of them have in common, have together, or have alone, wherever they lie.
//!
//! On one shard it is found at once. Over several shards only candidates travel: for what sets have in common those of the shard that has the
//! smallest, for a difference those that the first set has alone on its shard; the other shards say which of them stay. A union
//! has to travel whole.

use std::collections::BTreeSet;

use super::parse::ranged;
use super::row::{Command, Example, Flags, Group, Keys, Next, Plan, Run, Touch};
use super::sets::limits;
use crate::args::{Args, pack, read_packed};
use crate::database::Key;
use crate::protocol::reply::{Failure, Reply};
use crate::shard::{Cx, Deadline};
use crate::txn::work::{Finding, Order};
use crate::value::container::{Container, Held};
use crate::value::element::Element;
use crate::value::record::Value;
use crate::value::set::Set;

const ROW: Command = Command { group: Group::Set, ..Command::DEFAULT };
const READ: Command =
    Command { arity: -2, flags: Flags::READONLY, keys: Keys::ALL, syntax: "key [key ...]", ..ROW };
const STORE: Command = Command {
    arity: -3,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: Keys::ALL,
    touch: Touch::Overwrite,
    syntax: "destination:key key [key ...]",
    ..ROW
};
const COMMON_COST: &str =
    "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.";
const ALL_COST: &str = "O(N) where N is the total number of elements in all given sets.";

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "sinter",
        summary: "Returns the intersect of multiple sets.",
        complexity: COMMON_COST,
        examples: &[
            Example { call: "SADD {s}1 1 2 3", reply: "3" },
            Example { call: "SADD {s}2 3 4", reply: "2" },
            Example { call: "SINTER {s}1 {s}2", reply: "3" },
        ],
        run: Run::Plan(&SINTER),
        ..READ
    },
    Command {
        name: "sunion",
        summary: "Returns the union of multiple sets.",
        complexity: ALL_COST,
        examples: &[
            Example { call: "SADD {s}1 1 2", reply: "2" },
            Example { call: "SADD {s}2 2 3", reply: "2" },
            Example { call: "SUNION {s}1 {s}2", reply: "1\n2\n3" },
        ],
        run: Run::Plan(&SUNION),
        ..READ
    },
    Command {
        name: "sdiff",
        summary: "Returns the difference of multiple sets.",
        complexity: ALL_COST,
        examples: &[
            Example { call: "SADD {s}1 1 2 3", reply: "3" },
            Example { call: "SADD {s}2 3 4", reply: "2" },
            Example { call: "SDIFF {s}1 {s}2", reply: "1\n2" },
        ],
        run: Run::Plan(&SDIFF),
        ..READ
    },
    Command {
        name: "sinterstore",
        summary: "Stores the intersect of multiple sets in a key.",
        complexity: COMMON_COST,
        examples: &[
            Example { call: "SADD {s}1 1 2 3", reply: "3" },
            Example { call: "SADD {s}2 3 4", reply: "2" },
            Example { call: "SINTERSTORE {s}3 {s}1 {s}2", reply: "1" },
            Example { call: "SMEMBERS {s}3", reply: "3" },
        ],
        run: Run::Plan(&SINTERSTORE),
        ..STORE
    },
    Command {
        name: "sunionstore",
        summary: "Stores the union of multiple sets in a key.",
        complexity: ALL_COST,
        examples: &[
            Example { call: "SADD {s}1 1 2", reply: "2" },
            Example { call: "SADD {s}2 2 3", reply: "2" },
            Example { call: "SUNIONSTORE {s}3 {s}1 {s}2", reply: "3" },
        ],
        run: Run::Plan(&SUNIONSTORE),
        ..STORE
    },
    Command {
        name: "sdiffstore",
        summary: "Stores the difference of multiple sets in a key.",
        complexity: ALL_COST,
        examples: &[
            Example { call: "SADD {s}1 1 2 3", reply: "3" },
            Example { call: "SADD {s}2 3 4", reply: "2" },
            Example { call: "SDIFFSTORE {s}3 {s}1 {s}2", reply: "2" },
        ],
        run: Run::Plan(&SDIFFSTORE),
        ..STORE
    },
    Command {
        name: "sintercard",
        arity: -3,
        since: "7.0.0",
        flags: Flags::READONLY.or(Flags::MOVABLE_KEYS),
        keys: Keys::Counted { count: 1, step: 1 },
        summary: "Returns the number of members of the intersect of multiple sets.",
        complexity: COMMON_COST,
        syntax: "numkeys:integer key [key ...] [LIMIT limit:integer]",
        examples: &[
            Example { call: "SADD {s}1 1 2 3", reply: "3" },
            Example { call: "SADD {s}2 2 3 4", reply: "3" },
            Example { call: "SINTERCARD 2 {s}1 {s}2", reply: "2" },
            Example { call: "SINTERCARD 2 {s}1 {s}2 LIMIT 1", reply: "1" },
        ],
        run: Run::Plan(&SINTERCARD),
        ..ROW
    },
];

/// What is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sought {
    Common,
    All,
    Alone,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Shown,
    Stored,
    Counted,
}

/// One of the seven.
#[derive(Clone, Copy)]
struct Kind {
    sought: Sought,
    used: Use,
}

/// Where the sets stand among the arguments, and how many members are enough.
#[derive(Clone, Copy, Debug)]
struct Sources {
    first: usize,
    count: usize,
    enough: usize,
}

const fn plan(
    act: fn(&mut Cx<'_>, Args<'_>, Order) -> Finding,
    next: fn(Args<'_>, u8, Vec<Finding>, &mut Reply<'_>) -> Next,
    reads: fn(usize) -> bool,
) -> Plan {
    Plan { check: |_, _| Ok(()), reads, act, next }
}

/// The plan of a kind.
macro_rules! plans {
    ($($name:ident $sought:ident $used:ident $reads:expr;)*) => {$(
        const $name: Plan = plan(
            |cx, args, order| Kind { sought: Sought::$sought, used: Use::$used }.act(cx, args, order),
            |args, step, findings, reply| {
                Kind { sought: Sought::$sought, used: Use::$used }.next(args, step, findings, reply)
            },
            $reads,
        );
    )*};
}

plans! {
    SINTER Common Shown |_| true;
    SUNION All Shown |_| true;
    SDIFF Alone Shown |_| true;
    SINTERSTORE Common Stored |n| n > 0;
    SUNIONSTORE All Stored |n| n > 0;
    SDIFFSTORE Alone Stored |n| n > 0;
}

const SINTERCARD: Plan = Plan {
    check: |args, _| Kind { sought: Sought::Common, used: Use::Counted }.sources(args).map(drop),
    ..plan(
        |cx, args, order| Kind { sought: Sought::Common, used: Use::Counted }.act(cx, args, order),
        |args, step, findings, reply| {
            Kind { sought: Sought::Common, used: Use::Counted }.next(args, step, findings, reply)
        },
        |_| true,
    )
};

/// Where the key stands under which a result is stored.
const TARGET: u32 = 1;

impl Kind {
    fn sources(self, args: Args<'_>) -> Result<Sources, Failure> {
        let rest = |first: usize| Sources { first, count: args.len() - first, enough: usize::MAX };
        match self.used {
            Use::Shown => Ok(rest(1)),
            Use::Stored => Ok(rest(2)),
            Use::Counted => {
                let count = ranged(args.at(1), 1, "ERR numkeys should be greater than 0")?;
                let count = usize::try_from(count).ok().filter(|count| *count <= args.len() - 2);
                let count =
                    count.ok_or(Failure::new("ERR Number of keys can't be greater than number of args"))?;
                let (mut enough, mut n) = (usize::MAX, 2 + count);
                while n < args.len() {
                    if !args.is(n, "limit") || n + 1 == args.len() {
                        return Err(Failure::SYNTAX);
                    }
                    let limit = ranged(args.at(n + 1), 0, "ERR LIMIT can't be negative")?;
                    enough = if limit == 0 { usize::MAX } else { limit as usize };
                    n += 2;
                }
                Ok(Sources { first: 2, count, enough })
            }
        }
    }

    /// A shard's part: it looks at its own sets and tells the result if there are no others, or how many candidates it would have; or it gives
    /// these; or it says which of others' candidates stay; or it stores.
    fn act(self, cx: &mut Cx<'_>, args: Args<'_>, order: Order) -> Finding {
        let sources = match self.sources(args) {
            Ok(sources) => sources,
            Err(failure) => return Finding::Failed(failure),
        };
        if let (Some(TARGET), Use::Stored, Finding::Bytes(members)) = (order.key, self.used, &order.given) {
            return store(cx, args, members);
        }
        match self.act_on_own(cx, args, order, sources) {
            Ok(finding) => finding,
            Err(failure) => Finding::Failed(failure),
        }
    }

    fn act_on_own(
        self,
        cx: &mut Cx<'_>,
        args: Args<'_>,
        order: Order,
        sources: Sources,
    ) -> Result<Finding, Failure> {
        let keys: Vec<(u32, Key<'_>)> = (0..cx.keys.len())
            .map(|n| (cx.keys[n].place, cx.key(args, n)))
            .filter(|(place, _)| *place as usize >= sources.first)
            .collect();
        if order.key.is_none() {
            // Each counts as a use once, whatever the steps are.
            for (_, key) in &keys {
                cx.read_held::<Set>(*key)?;
            }
        }
        let Some((first, _)) = keys.first().copied() else { return Ok(Finding::Nothing) };
        let (now, database) = (cx.now, &cx.shard.databases[cx.database]);
        let sets: Vec<Option<&Set>> = keys
            .iter()
            .map(|(_, key)| database.get(*key).filter(|record| !record.is_due(now)))
            .map(|record| record.and_then(|record| record.container()).and_then(Set::within))
            .collect();
        let mut found = Members::default();
        // Of candidates for others all are wanted.
        let enough = if keys.len() == sources.count { sources.enough } else { usize::MAX };
        match (order.key, order.given) {
            // The candidates of others: who stays?
            (Some(_), Finding::Bytes(members)) => {
                let stays = |member: &[u8]| match self.sought {
                    Sought::Alone => !sets.iter().flatten().any(|set| set.has(member)),
                    _ => sets.iter().all(|set| set.is_some_and(|set| set.has(member))),
                };
                let mut spans = Vec::new();
                read_packed(&members, &mut spans).iter().filter(|member| stays(member)).for_each(|member| {
                    found.add(Element::Bytes(member));
                });
                Ok(Finding::Bytes(found.packed))
            }
            (None, _) if keys.len() < sources.count => match self.sought {
                Sought::Common => {
                    let least = sets.iter().map(|set| set.map_or(0, Set::len)).min().unwrap_or(0);
                    Ok(Finding::Keys(vec![(first, Finding::Count(least as u64))]))
                }
                Sought::Alone if first as usize != sources.first => {
                    Ok(Finding::Keys(vec![(first, Finding::Nothing)]))
                }
                _ => {
                    self.find(&sets, enough, &mut found);
                    Ok(Finding::Keys(vec![(first, Finding::Bytes(found.packed))]))
                }
            },
            // All of it, or the candidates that others are waiting for.
            (_, given) => {
                self.find(&sets, enough, &mut found);
                let count = found.count;
                let members = Finding::Bytes(found.packed);
                Ok(match (given, self.used) {
                    (Finding::List(others), _) => Finding::List([vec![members], others].concat()),
                    (_, Use::Counted) => Finding::Count(count as u64),
                    _ => members,
                })
            }
        }
    }

    /// What is sought of these sets alone.
    fn find(self, sets: &[Option<&Set>], enough: usize, found: &mut Members) {
        match self.sought {
            Sought::Common => {
                let all: Option<Vec<&Set>> = sets.iter().copied().collect();
                let Some(mut sets) = all else { return };
                sets.sort_by_key(|set| set.len());
                let Some((smallest, others)) = sets.split_first() else { return };
                let common =
                    smallest.iter().filter(|member| others.iter().all(|set| set.has_element(*member)));
                common.take(enough).for_each(|member| found.add(member));
            }
            Sought::Alone => {
                let Some((first, others)) = sets.split_first() else { return };
                let others: Vec<&Set> = others.iter().flatten().copied().collect();
                let alone = first.iter().flat_map(|set| set.iter());
                alone
                    .filter(|member| !others.iter().any(|set| set.has_element(*member)))
                    .for_each(|member| found.add(member));
            }
            Sought::All => {
                let sets: Vec<&Set> = sets.iter().flatten().copied().collect();
                for (n, set) in sets.iter().enumerate() {
                    // What an earlier set has was added with it.
                    set.iter()
                        .filter(|member| !sets[..n].iter().any(|earlier| earlier.has_element(*member)))
                        .for_each(|member| found.add(member));
                }
            }
        }
    }

    fn next(self, args: Args<'_>, step: u8, findings: Vec<Finding>, reply: &mut Reply<'_>) -> Next {
        let sources = match self.sources(args) {
            Ok(sources) => sources,
            Err(failure) => return Next::Failed(failure),
        };
        let mut told: Vec<(u32, Finding)> = Vec::new();
        let mut answers: Vec<Vec<u8>> = Vec::new();
        for finding in findings {
            match finding {
                Finding::Failed(failure) => return Next::Failed(failure),
                // Counted, or stored.
                Finding::Count(count) => {
                    reply.count(count as usize);
                    return Next::Done;
                }
                Finding::Keys(keys) => told.extend(keys),
                Finding::Bytes(members) => answers.push(members),
                // The candidates, and who is to be asked about them.
                Finding::List(mut list) => {
                    let candidates = list.remove(0);
                    return ask(candidates, &list);
                }
                _ => {}
            }
        }
        if told.is_empty() {
            return match answers.len() {
                1 => self.finish(args, answers.remove(0), sources, reply),
                _ => self.finish(args, in_all(&answers), sources, reply),
            };
        }
        assert_eq!(step, 0, "shards tell what they have in the first step");
        self.after_looking(args, told, sources, reply)
    }

    /// All have told what they have.
    fn after_looking(
        self,
        args: Args<'_>,
        mut told: Vec<(u32, Finding)>,
        sources: Sources,
        reply: &mut Reply<'_>,
    ) -> Next {
        let count = |finding: &Finding| if let Finding::Count(count) = finding { *count } else { 0 };
        match self.sought {
            Sought::All => {
                let part = |(_, part)| if let Finding::Bytes(part) = part { part } else { Vec::new() };
                let parts: Vec<Vec<u8>> = told.into_iter().map(part).collect();
                let mut spans = vec![Vec::new(); parts.len()];
                let (mut all, mut seen) = (Members::default(), BTreeSet::new());
                for (part, spans) in parts.iter().zip(&mut spans) {
                    for member in read_packed(part, spans).iter() {
                        if seen.insert(member) {
                            all.add(Element::Bytes(member));
                        }
                    }
                }
                self.finish(args, all.packed, sources, reply)
            }
            Sought::Alone => {
                let place = told.iter().position(|(place, _)| *place as usize == sources.first);
                let (_, candidates) = told.remove(place.expect("a shard has the first set"));
                if candidates == Finding::Bytes(Vec::new()) {
                    return self.finish(args, Vec::new(), sources, reply);
                }
                let others: Vec<Finding> =
                    told.iter().map(|(place, _)| Finding::Count(u64::from(*place))).collect();
                ask(candidates, &others)
            }
            Sought::Common => {
                let least = (0..told.len()).min_by_key(|n| count(&told[*n].1)).expect("shards have told");
                let (place, finding) = told.remove(least);
                if count(&finding) == 0 {
                    return self.finish(args, Vec::new(), sources, reply);
                }
                let others = told.iter().map(|(place, _)| Finding::Count(u64::from(*place))).collect();
                Next::Step(vec![Order { step: 0, key: Some(place), given: Finding::List(others) }])
            }
        }
    }

    /// These members are the result.
    fn finish(self, args: Args<'_>, members: Vec<u8>, sources: Sources, reply: &mut Reply<'_>) -> Next {
        let mut spans = Vec::new();
        match self.used {
            Use::Stored => {
                let given = Finding::Bytes(members);
                debug_assert_eq!(args.len(), sources.first + sources.count);
                return Next::Step(vec![Order { step: 0, key: Some(TARGET), given }]);
            }
            Use::Counted => reply.count(read_packed(&members, &mut spans).len().min(sources.enough)),
            Use::Shown => {
                let members = read_packed(&members, &mut spans);
                reply.set(members.len());
                members.iter().for_each(|member| reply.bulk(member));
            }
        }
        Next::Done
    }
}

/// Which of these candidates stay, say the owners of the keys at these places.
fn ask(candidates: Finding, others: &[Finding]) -> Next {
    let order = |other: &Finding| {
        let Finding::Count(place) = other else { unreachable!("places are numbers") };
        Order { step: 0, key: Some(*place as u32), given: candidates.clone() }
    };
    Next::Step(others.iter().map(order).collect())
}

/// Those of the same candidates, in the same order, that all answers have.
fn in_all(answers: &[Vec<u8>]) -> Vec<u8> {
    let mut spans: Vec<_> = answers.iter().map(|_| Vec::new()).collect();
    let mut lists: Vec<_> = answers
        .iter()
        .zip(&mut spans)
        .map(|(answer, spans)| read_packed(answer, spans).iter().peekable())
        .collect();
    let mut found = Members::default();
    let Some((first, others)) = lists.split_first_mut() else { return Vec::new() };
    let mut sought: BTreeSet<&[u8]> = first.by_ref().collect();
    for other in others {
        let has: BTreeSet<&[u8]> = other.by_ref().collect();
        sought.retain(|member| has.contains(member));
    }
    sought.iter().for_each(|member| found.add(Element::Bytes(member)));
    found.packed
}

/// Members on their way.
#[derive(Default)]
struct Members {
    packed: Vec<u8>,
    count: usize,
}

impl Members {
    #[inline]
    fn add(&mut self, member: Element<'_>) {
        self.count += 1;
        member.with(|bytes| pack(bytes, &mut self.packed));
    }
}

/// Puts a set of these members under the first key, or nothing if there are none; how many.
fn store(cx: &mut Cx<'_>, args: Args<'_>, members: &[u8]) -> Finding {
    let (limits, key) = (limits(cx), cx.key_of(args.at(TARGET as usize)));
    let mut spans = Vec::new();
    let members = read_packed(members, &mut spans);
    let mut set = Set::default();
    members.iter().for_each(|member| {
        set.add(member, &limits);
    });
    let count = set.len();
    match count {
        0 => {
            cx.remove(key);
        }
        _ => cx.store(key, Value::Container(Box::new(Container::Set(set))), Deadline::Clear),
    }
    Finding::Count(count as u64)
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    fn sorted(text: &str) -> String {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.join(" ")
    }

    #[test]
    fn sets_of_any_shards_are_compared() {
        for cores in [1, 2, 5] {
            let mut world = World::new(cores);
            let client = world.connect(0);
            for call in [
                "SADD a 1 2 3 4 5 x y",
                "SADD b 2 3 4 9 x",
                "SADD c 3 4 5 x z",
                "SADD d 77",
                "SADD e 4 q",
                "SET text x",
            ] {
                world.call(client, call);
            }
            for (call, reply) in [
                ("SINTER a b c", "3 4 x"),
                ("SINTER a", "1 2 3 4 5 x y"),
                ("SINTER a a a", "1 2 3 4 5 x y"),
                ("SINTER a b c e", "4"),
                ("SINTER a b nosuch", ""),
                ("SINTER a d", ""),
                ("SUNION b c d", "2 3 4 5 77 9 x z"),
                ("SUNION nosuch d", "77"),
                ("SUNION nosuch", ""),
                ("SDIFF a b c", "1 y"),
                ("SDIFF a nosuch", "1 2 3 4 5 x y"),
                ("SDIFF nosuch a", ""),
                ("SDIFF a a", ""),
                ("SDIFF a e d b", "1 5 y"),
                ("SINTERCARD 3 a b c", "3"),
                ("SINTERCARD 3 a b c LIMIT 2", "2"),
                ("SINTERCARD 3 a b c LIMIT 0", "3"),
                ("SINTERCARD 2 a nosuch", "0"),
                ("SINTERCARD 1 a LIMIT 3", "3"),
                ("SINTERSTORE r a b c", "3"),
                ("SMEMBERS r", "3 4 x"),
                ("SINTERSTORE r d e", "0"),
                ("EXISTS r", "0"),
                ("SUNIONSTORE text d nosuch", "1"),
                ("OBJECT ENCODING text", "intset"),
                ("SDIFFSTORE a a b c", "2"),
                ("SMEMBERS a", "1 y"),
                ("SUNIONSTORE d d e", "3"),
                ("SMEMBERS d", "4 77 q"),
            ] {
                assert_eq!(sorted(&world.say(client, call)), reply, "{cores} cores: {call}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut world = World::new(3);
        let client = world.connect(0);
        world.call(client, "SADD a x");
        world.call(client, "SET t x");
        for (call, reply) in [
            ("SINTERCARD 0 a", "ERR numkeys should be greater than 0"),
            ("SINTERCARD x a", "ERR numkeys should be greater than 0"),
            ("SINTERCARD 2 a", "ERR Number of keys can't be greater than number of args"),
            ("SINTERCARD 1 a LIMIT", "ERR syntax error"),
            ("SINTERCARD 1 a LIMIT -1", "ERR LIMIT can't be negative"),
            ("SINTERCARD 1 a LIMIT x", "ERR LIMIT can't be negative"),
            ("SINTERCARD 1 a b", "ERR syntax error"),
            ("SINTER nosuch t", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("SUNIONSTORE a a t", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("SDIFF t a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("SMEMBERS a", "x"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
        world.call(client, "HELLO 3");
        assert_eq!(world.call(client, "SINTER a"), "~1\r\n$1\r\nx\r\n");
    }
}

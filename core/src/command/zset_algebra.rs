//! Sorted sets: unions, intersections and differences of sets that may lie on several shards.
//!
//! Where all keys lie on one shard it computes there; else the shards send copies of the sources, which the coordinator puts together.

use super::parse::{integer, ranged, score};
use super::row::{Command, Example, Flags, Group, Keys, Next, Plan, Run, Touch};
use super::zset::reply_members;
use super::zset_store::{TARGET, act_store, carried, made_of, next_store};
use crate::args::Args;
use crate::protocol::reply::{Failure, Reply};
use crate::shard::Cx;
use crate::txn::work::{Finding, Order};
use crate::value::container::Container;
use crate::value::detached::Detached;
use crate::value::set::Set;
use crate::value::zset::{Limits, SortedSet};

const ROW: Command = Command {
    group: Group::SortedSet,
    flags: Flags::READONLY.or(Flags::MOVABLE_KEYS),
    keys: Keys::Counted { count: 1, step: 1 },
    arity: -3,
    since: "6.2.0",
    ..Command::DEFAULT
};
const STORE: Command = Command {
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLE_KEYS),
    keys: Keys::FirstAndCounted { count: 2 },
    touch: Touch::Overwrite,
    arity: -4,
    ..ROW
};
const UNION_COST: &str = "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements \
                          in the resulting sorted set.";
const INTER_COST: &str = "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted \
                          sets and M being the number of elements in the resulting sorted set.";
const DIFF_COST: &str = "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the \
                         first set, and K is the size of the result set.";

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "zunion",
        summary: "Returns the union of multiple sorted sets.",
        complexity: UNION_COST,
        syntax: "numkeys:integer key [key ...] [WEIGHTS weight:integer [weight:integer ...]] [AGGREGATE aggregate:<SUM | MIN | MAX>] \
                 [WITHSCORES]",
        examples: &[
            Example { call: "ZADD {z}1 1 one 2 two", reply: "2" },
            Example { call: "ZADD {z}2 1 one 3 three", reply: "2" },
            Example { call: "ZUNION 2 {z}1 {z}2 WITHSCORES", reply: "one\n2\ntwo\n2\nthree\n3" },
        ],
        run: Run::Plan(&UNION),
        ..ROW
    },
    Command {
        name: "zinter",
        summary: "Returns the intersect of multiple sorted sets.",
        complexity: INTER_COST,
        syntax: "numkeys:integer key [key ...] [WEIGHTS weight:integer [weight:integer ...]] [AGGREGATE aggregate:<SUM | MIN | MAX>] \
                 [WITHSCORES]",
        examples: &[
            Example { call: "ZADD {z}1 1 one 2 two", reply: "2" },
            Example { call: "ZADD {z}2 1 one 3 three", reply: "2" },
            Example { call: "ZINTER 2 {z}1 {z}2 WITHSCORES", reply: "one\n2" },
        ],
        run: Run::Plan(&INTER),
        ..ROW
    },
    Command {
        name: "zdiff",
        summary: "Returns the difference between multiple sorted sets.",
        complexity: DIFF_COST,
        syntax: "numkeys:integer key [key ...] [WITHSCORES]",
        examples: &[
            Example { call: "ZADD {z}1 1 one 2 two", reply: "2" },
            Example { call: "ZADD {z}2 1 one 3 three", reply: "2" },
            Example { call: "ZDIFF 2 {z}1 {z}2 WITHSCORES", reply: "two\n2" },
        ],
        run: Run::Plan(&DIFF),
        ..ROW
    },
    Command {
        name: "zintercard",
        touch: Touch::Read,
        since: "7.0.0",
        summary: "Returns the number of members of the intersect of multiple sorted sets.",
        complexity: "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
        syntax: "numkeys:integer key [key ...] [LIMIT limit:integer]",
        examples: &[
            Example { call: "ZADD {z}1 1 one 2 two", reply: "2" },
            Example { call: "ZADD {z}2 1 one 2 two 3 three", reply: "3" },
            Example { call: "ZINTERCARD 2 {z}1 {z}2", reply: "2" },
            Example { call: "ZINTERCARD 2 {z}1 {z}2 LIMIT 1", reply: "1" },
        ],
        run: Run::Plan(&INTERCARD),
        ..ROW
    },
    Command {
        name: "zunionstore",
        since: "2.0.0",
        summary: "Stores the union of multiple sorted sets in a key.",
        complexity: UNION_COST,
        syntax: "destination:key numkeys:integer key [key ...] [WEIGHTS weight:integer [weight:integer ...]] \
                 [AGGREGATE aggregate:<SUM | MIN | MAX>]",
        examples: &[
            Example { call: "ZADD {z}1 1 one 2 two", reply: "2" },
            Example { call: "ZUNIONSTORE {z}3 2 {z}1 {z}1 WEIGHTS 2 3", reply: "2" },
            Example { call: "ZRANGE {z}3 0 -1 WITHSCORES", reply: "one\n5\ntwo\n10" },
        ],
        run: Run::Plan(&UNIONSTORE),
        ..STORE
    },
    Command {
        name: "zinterstore",
        since: "2.0.0",
        summary: "Stores the intersect of multiple sorted sets in a key.",
        complexity: INTER_COST,
        syntax: "destination:key numkeys:integer key [key ...] [WEIGHTS weight:integer [weight:integer ...]] \
                 [AGGREGATE aggregate:<SUM | MIN | MAX>]",
        examples: &[
            Example { call: "ZADD {z}1 1 one 2 two", reply: "2" },
            Example { call: "ZADD {z}2 1 one 3 three", reply: "2" },
            Example { call: "ZINTERSTORE {z}3 2 {z}1 {z}2 AGGREGATE MAX", reply: "1" },
            Example { call: "ZRANGE {z}3 0 -1 WITHSCORES", reply: "one\n1" },
        ],
        run: Run::Plan(&INTERSTORE),
        ..STORE
    },
    Command {
        name: "zdiffstore",
        summary: "Stores the difference of multiple sorted sets in a key.",
        complexity: DIFF_COST,
        syntax: "destination:key numkeys:integer key [key ...]",
        examples: &[
            Example { call: "ZADD {z}1 1 one 2 two", reply: "2" },
            Example { call: "ZADD {z}2 1 one 3 three", reply: "2" },
            Example { call: "ZDIFFSTORE {z}3 2 {z}1 {z}2", reply: "1" },
            Example { call: "ZRANGE {z}3 0 -1", reply: "two" },
        ],
        run: Run::Plan(&DIFFSTORE),
        ..STORE
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// What becomes of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Reply,
    Count,
    Store,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    operation: Operation,
    result: Use,
}

macro_rules! plan {
    ($operation:ident, $result:ident) => {{
        const KIND: Kind = Kind { operation: Operation::$operation, result: Use::$result };
        Plan {
            check: |args, _| Request::parse(args, KIND).map(drop),
            reads: |n| !matches!(KIND.result, Use::Store) || n > 0,
            act: |cx, args, order| act(cx, args, order, KIND),
            next: |args, _, findings, reply| next(args, findings, reply, KIND),
        }
    }};
}

const UNION: Plan = plan!(Union, Reply);
const INTER: Plan = plan!(Inter, Reply);
const DIFF: Plan = plan!(Diff, Reply);
const INTERCARD: Plan = plan!(Inter, Count);
const UNIONSTORE: Plan = plan!(Union, Store);
const INTERSTORE: Plan = plan!(Inter, Store);
const DIFFSTORE: Plan = plan!(Diff, Store);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            // Opposite infinities cancel out.
            Aggregate::Sum => number(one + other),
            Aggregate::Min => {
                if other < one {
                    other
                } else {
                    one
                }
            }
            Aggregate::Max => {
                if other > one {
                    other
                } else {
                    one
                }
            }
        }
    }
}

/// No score is not a number.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What the words say.
struct Request {
    /// Place of the first source.
    first: usize,
    /// How many sources.
    count: usize,
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// Of the intersection no more are counted; 0: all are.
    limit: usize,
}

impl Request {
    fn parse(args: Args<'_>, kind: Kind) -> Result<Request, Failure> {
        let at = if kind.result == Use::Store { 2 } else { 1 };
        let count = integer(args.at(at))?;
        if count < 1 {
            let name = String::from_utf8_lossy(args.at(0)).to_lowercase();
            return Err(Failure::text(format!("ERR at least 1 input key is needed for '{name}' command")));
        }
        let first = at + 1;
        let behind = usize::try_from(count).ok().and_then(|count| first.checked_add(count));
        let mut n = behind.filter(|&behind| behind <= args.len()).ok_or(Failure::SYNTAX)?;
        let count = n - first;
        let (weights, aggregate) = (vec![1.0; count], Aggregate::Sum);
        let mut request = Request { first, count, weights, aggregate, with_scores: false, limit: 0 };
        let is_weighed = kind.operation != Operation::Diff && kind.result != Use::Count;
        while n < args.len() {
            if is_weighed && args.is(n, "weights") && n + count < args.len() {
                for weight in &mut request.weights {
                    n += 1;
                    *weight =
                        score(args.at(n)).map_err(|_| Failure::new("ERR weight value is not a float"))?;
                }
            } else if is_weighed && args.is(n, "aggregate") && n + 1 < args.len() {
                n += 1;
                request.aggregate = match () {
                    () if args.is(n, "sum") => Aggregate::Sum,
                    () if args.is(n, "min") => Aggregate::Min,
                    () if args.is(n, "max") => Aggregate::Max,
                    () => return Err(Failure::SYNTAX),
                };
            } else if kind.result == Use::Reply && args.is(n, "withscores") {
                request.with_scores = true;
            } else if kind.result == Use::Count && args.is(n, "limit") && n + 1 < args.len() {
                n += 1;
                request.limit = ranged(args.at(n), 0, "ERR LIMIT can't be negative")? as usize;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 1;
        }
        Ok(request)
    }
}

/// A source: a set of whatever type, whose members have scores. Members without scores of their own count as one each.
#[derive(Clone, Copy)]
enum Source<'a> {
    Nothing,
    Sorted(&'a SortedSet),
    Plain(&'a Set),
}

impl<'a> Source<'a> {
    /// A container of any type that members can be taken from.
    fn of(container: &'a Container) -> Result<Source<'a>, Failure> {
        match container {
            Container::SortedSet(set) => Ok(Source::Sorted(set)),
            Container::Set(set) => Ok(Source::Plain(set)),
            _ => Err(Failure::WRONG_TYPE),
        }
    }

    /// A copy that came from another shard.
    fn carried(finding: &'a Finding) -> Result<Source<'a>, Failure> {
        match finding {
            Finding::Value(value) => match &value.0 {
                Detached::Container(container) => Source::of(container),
                _ => Err(Failure::WRONG_TYPE),
            },
            _ => Ok(Source::Nothing),
        }
    }

    fn len(self) -> usize {
        match self {
            Source::Nothing => 0,
            Source::Sorted(set) => set.len(),
            Source::Plain(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Nothing => None,
            Source::Sorted(set) => set.score(member),
            Source::Plain(set) => set.has(member).then_some(1.0),
        }
    }

    /// Calls `emit` with each member until it says that this is enough.
    fn each(self, emit: &mut dyn FnMut(&[u8], f64) -> bool) {
        match self {
            Source::Nothing => {}
            Source::Sorted(set) => {
                let _ = set.iter().all(|(member, score)| member.with(|bytes| emit(bytes, score)));
            }
            Source::Plain(set) => {
                let _ = set.iter().all(|member| member.with(|bytes| emit(bytes, 1.0)));
            }
        }
    }
}

/// What the sources make together, in no order.
fn combine(request: &Request, kind: Kind, sources: &[Source<'_>]) -> Vec<(Vec<u8>, f64)> {
    // Redis adds the scores of small sets first, which decides the last digit of a sum.
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|&n| sources[n].len());
    let mut found: Vec<(Vec<u8>, f64)> = Vec::new();
    match kind.operation {
        Operation::Union => {
            for n in order {
                let weight = request.weights[n];
                sources[n].each(&mut |member, score| {
                    found.push((member.to_vec(), number(score * weight)));
                    true
                });
            }
            // A member's scores come together in the order of the sources.
            found.sort_by(|one, other| one.0.cmp(&other.0));
            found.dedup_by(|next, kept| {
                let is_again = next.0 == kept.0;
                if is_again {
                    kept.1 = request.aggregate.of(kept.1, next.1);
                }
                is_again
            });
        }
        Operation::Inter => {
            let (least, others) = order.split_first().expect("there is a source");
            let limit = if request.limit == 0 { usize::MAX } else { request.limit };
            sources[*least].each(&mut |member, score| {
                let mut sum = Some(number(score * request.weights[*least]));
                for other in others {
                    let score =
                        sources[*other].score(member).map(|score| number(score * request.weights[*other]));
                    sum = sum.zip(score).map(|(sum, score)| request.aggregate.of(sum, score));
                }
                found.extend(sum.map(|sum| (member.to_vec(), sum)));
                found.len() < limit
            });
        }
        Operation::Diff => {
            let (first, others) = sources.split_first().expect("there is a source");
            first.each(&mut |member, score| {
                if others.iter().all(|other| other.score(member).is_none()) {
                    found.push((member.to_vec(), score));
                }
                true
            });
        }
    }
    found
}

/// The result as a set.
fn as_set(mut pairs: Vec<(Vec<u8>, f64)>) -> SortedSet {
    SortedSet::order(&mut pairs);
    SortedSet::of_ordered(&pairs, Limits { entries: 128, value: 64 })
}

fn act(cx: &mut Cx<'_>, args: Args<'_>, order: Order, kind: Kind) -> Finding {
    if order.key.is_some() {
        return act_store(cx, args.at(TARGET as usize), order.given);
    }
    let request = match Request::parse(args, kind) {
        Ok(request) => request,
        Err(failure) => return Finding::Failed(failure),
    };
    let is_source = |cx: &Cx<'_>, n: usize| kind.result != Use::Store || cx.keys[n].place != TARGET;
    let places: Vec<usize> = (0..cx.keys.len()).filter(|&n| is_source(cx, n)).collect();
    // A look at each decides whether it lives; then all are borrowed together.
    let lives: Vec<bool> = places.iter().map(|&n| cx.read(cx.key(args, n)).is_some()).collect();
    let table = &cx.shard.databases[cx.database];
    let mut sources = Vec::new();
    for (&n, lives) in places.iter().zip(lives) {
        let record = table.get(cx.key(args, n)).filter(|_| lives);
        let source = record.map(|record| record.container().ok_or(Failure::WRONG_TYPE).and_then(Source::of));
        sources.push((cx.keys[n].place, source.unwrap_or(Ok(Source::Nothing)), record));
    }
    let is_whole = cx.keys.len() == request.count + usize::from(kind.result == Use::Store);
    let failed = sources.iter().find_map(|(_, source, _)| source.as_ref().err().cloned());
    if let Some(failure) = failed {
        return Finding::Failed(failure);
    }
    if !is_whole {
        let copies = sources.into_iter().map(|(place, _, record)| {
            let copy = record.map(|record| Finding::Value(Box::new((record.copy(), None))));
            (place, copy.unwrap_or_default())
        });
        return Finding::Keys(copies.collect());
    }
    let sources: Vec<Source<'_>> =
        sources.into_iter().map(|(_, source, _)| source.unwrap_or(Source::Nothing)).collect();
    let pairs = combine(&request, kind, &sources);
    match kind.result {
        Use::Count => Finding::Count(pairs.len() as u64),
        Use::Reply => carried(as_set(pairs)),
        Use::Store => made_of(cx, args, as_set(pairs)),
    }
}

fn next(args: Args<'_>, findings: Vec<Finding>, reply: &mut Reply<'_>, kind: Kind) -> Next {
    let request = match Request::parse(args, kind) {
        Ok(request) => request,
        Err(failure) => return Next::Failed(failure),
    };
    let mut carried_here = vec![Finding::Nothing; request.count];
    let mut made = None;
    for finding in findings {
        match finding {
            Finding::Failed(failure) => return Next::Failed(failure),
            Finding::Keys(keys) => {
                for (place, finding) in keys {
                    carried_here[place as usize - request.first] = finding;
                }
            }
            Finding::Count(count) => {
                reply.count(count as usize);
                return Next::Done;
            }
            Finding::Value(value) => {
                if let (Detached::Container(container), _) = *value
                    && let Container::SortedSet(set) = *container
                {
                    made = Some(set);
                }
            }
            _ => {}
        }
    }
    let made = match made {
        Some(made) => made,
        None => {
            let sources: Result<Vec<Source<'_>>, Failure> =
                carried_here.iter().map(Source::carried).collect();
            let pairs = match sources {
                Ok(sources) => combine(&request, kind, &sources),
                Err(failure) => return Next::Failed(failure),
            };
            if kind.result == Use::Count {
                reply.count(pairs.len());
                return Next::Done;
            }
            as_set(pairs)
        }
    };
    if kind.result == Use::Store {
        return next_store(vec![carried(made)], reply, TARGET);
    }
    reply_members(made.iter(), request.with_scores, reply);
    Next::Done
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    const WRONG: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn sets_are_put_together_on_any_shards() {
        for cores in [1, 3] {
            let mut world = World::new(cores);
            let client = world.connect(0);
            // Names that lie on several of three shards, and on one.
            for (a, b, c) in [("a", "b", "c"), ("{t}a", "{t}b", "{t}c")] {
                world.call(client, &format!("ZADD {a} 1 a 2 b 3 c"));
                world.call(client, &format!("ZADD {b} 1 b 2 c 3 d"));
                for target in ["x", "y", "{t}z", c] {
                    for (call, reply) in [
                        (format!("ZUNION 2 {a} {b} WITHSCORES"), "a 1 b 3 d 3 c 5"),
                        (format!("ZINTER 2 {a} {b} WITHSCORES"), "b 3 c 5"),
                        (format!("ZDIFF 2 {a} {b} WITHSCORES"), "a 1"),
                        (format!("ZDIFF 3 {a} nosuch {a}"), ""),
                        (format!("ZUNION 2 {a} nosuch"), "a b c"),
                        (format!("ZINTER 2 {a} nosuch"), ""),
                        (format!("ZINTER 2 {a} {a} WITHSCORES"), "a 2 b 4 c 6"),
                        (format!("ZINTERCARD 2 {a} {b}"), "2"),
                        (format!("ZINTERCARD 2 {a} {b} LIMIT 1"), "1"),
                        (format!("ZUNIONSTORE {target} 2 {a} {b} WEIGHTS 2 3 AGGREGATE MIN"), "4"),
                        (format!("ZRANGE {target} 0 -1 WITHSCORES"), "a 2 b 3 c 6 d 9"),
                        (format!("ZINTERSTORE {target} 2 {a} {b} WEIGHTS 2 3 AGGREGATE MAX"), "2"),
                        (format!("ZRANGE {target} 0 -1 WITHSCORES"), "b 4 c 6"),
                        (format!("ZDIFFSTORE {target} 2 {b} {a}"), "1"),
                        (format!("ZRANGE {target} 0 -1 WITHSCORES"), "d 3"),
                        (format!("ZINTERSTORE {target} 2 {a} nosuch"), "0"),
                        (format!("EXISTS {target}"), "0"),
                        (format!("ZUNIONSTORE {target} 2 {a} {target}"), "3"),
                        (format!("ZADD {target} inf i"), "1"),
                        (format!("ZUNION 2 {target} {target} WEIGHTS 1 -1 WITHSCORES"), "a 0 b 0 c 0 i 0"),
                        (format!("ZUNION 1 {target} WEIGHTS 0 WITHSCORES"), "a 0 b 0 c 0 i 0"),
                        (format!("SET {target} text"), "OK"),
                        (format!("ZUNIONSTORE {target} 1 {a}"), "3"),
                        (format!("DEL {target}"), "1"),
                    ] {
                        assert_eq!(world.say(client, &call).replace('\n', " "), reply, "{call} of {cores}");
                    }
                }
            }
            for (a, b) in [("p1", "q1"), ("p2", "q2"), ("{t}p", "{t}q")] {
                world.call(client, &format!("SADD {a} a b x"));
                world.call(client, &format!("ZADD {b} 1 b 2 c 3 x"));
                for (call, reply) in [
                    (format!("ZUNION 2 {a} {b} WEIGHTS 2 1 WITHSCORES"), "a 2 c 2 b 3 x 5"),
                    (format!("ZINTER 2 {b} {a} WITHSCORES"), "b 2 x 4"),
                    (format!("ZDIFF 2 {a} {b} WITHSCORES"), "a 1"),
                    (format!("ZDIFF 2 {b} {a} WITHSCORES"), "c 2"),
                    (format!("ZINTERCARD 2 {a} {b}"), "2"),
                    (format!("ZUNIONSTORE {a} 2 {a} {b} AGGREGATE MIN"), "4"),
                    (format!("ZRANGE {a} 0 -1 WITHSCORES"), "a 1 b 1 x 1 c 2"),
                    (format!("SINTER {a}"), WRONG),
                    (format!("SUNIONSTORE {b} {a} {b}"), WRONG),
                    (format!("SADD {a}h m"), "1"),
                    (format!("ZRANGESTORE {b} {a}h 0 -1"), WRONG),
                    (format!("HSET {a}i f v"), "1"),
                    (format!("ZUNION 2 {b} {a}i"), WRONG),
                ] {
                    assert_eq!(world.say(client, &call).replace('\n', " "), reply, "{call} of {cores}");
                }
            }
            for (call, reply) in [
                ("ZUNION 0 a", "ERR at least 1 input key is needed for 'zunion' command"),
                ("ZUNION x a", "ERR value is not an integer or out of range"),
                ("ZUNION 9223372036854775807 a", "ERR syntax error"),
                ("ZUNION 2 a", "ERR syntax error"),
                ("ZUNION 1 a WEIGHTS x", "ERR weight value is not a float"),
                ("ZUNION 1 a WEIGHTS", "ERR syntax error"),
                ("ZUNION 1 a AGGREGATE avg", "ERR syntax error"),
                ("ZDIFF 1 a WEIGHTS 1", "ERR syntax error"),
                ("ZUNIONSTORE d 1 a WITHSCORES", "ERR syntax error"),
                ("ZUNIONSTORE d 0 a", "ERR at least 1 input key is needed for 'zunionstore' command"),
                ("ZINTERCARD 1 a LIMIT -1", "ERR LIMIT can't be negative"),
                ("ZINTERCARD 1 a WITHSCORES", "ERR syntax error"),
            ] {
                assert_eq!(world.say(client, call), reply, "{call} of {cores}");
            }
        }
    }
}

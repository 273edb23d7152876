//! SORT: the elements of a list or a set in order, or what other keys say of them.
//!
//! Without patterns only the key itself is looked at, and the one under which the result is stored. Which keys a pattern means is known only when the
//! elements are: then all shards take part from the beginning and nothing changes on any of them, the elements are told first, then each
//! shard tells what it has of the keys that are asked for.

use super::list::fill;
use super::row::{Command, Example, Flags, Group, Keys, Next, Plan, Run, Touch};
use super::sort_order::{Kind, Pattern, Sorting, is_pattern};
use crate::args::{Args, pack, read_packed};
use crate::protocol::reply::{Failure, Reply};
use crate::shard::{Cx, Deadline};
use crate::txn::intent::Mode;
use crate::txn::work::{Finding, Order};
use crate::value::container::Container;
use crate::value::list::List;
use crate::value::pack::Side;
use crate::value::record::Value;

const ROW: Command = Command {
    arity: -2,
    group: Group::Generic,
    complexity: "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When \
                 the elements are not sorted, complexity is O(N).",
    whole: |args| {
        let sorting = parse(args).ok().filter(Sorting::looks_elsewhere)?;
        Some(if sorting.store.is_some() { Mode::Exclusive } else { Mode::Shared })
    },
    run: Run::Plan(&SORT),
    ..Command::DEFAULT
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "sort",
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLE_KEYS),
        keys: Keys::WithOption { word: "store", others: &[("limit", 2), ("get", 1), ("by", 1)] },
        touch: Touch::Read,
        summary: "Sorts the elements in a list, a set, or a sorted set, optionally storing the result.",
        syntax: "key [BY by-pattern:pattern] [LIMIT offset:integer count:integer] [GET get-pattern:pattern [get ...]] [ASC | DESC] \
                 [ALPHA] [STORE destination:key]",
        examples: &[
            Example { call: "RPUSH mylist 3 1 2", reply: "3" },
            Example { call: "SORT mylist DESC", reply: "3\n2\n1" },
            Example { call: "MSET w_1 c w_2 a w_3 b", reply: "OK" },
            Example { call: "SORT mylist BY w_* ALPHA GET # GET w_*", reply: "2\na\n3\nb\n1\nc" },
            Example { call: "SORT mylist LIMIT 0 2 STORE other", reply: "2" },
        ],
        ..ROW
    },
    Command {
        name: "sort_ro",
        flags: Flags::READONLY.or(Flags::MOVABLE_KEYS),
        keys: Keys::ONE,
        since: "7.0.0",
        summary: "Returns the sorted elements of a list, a set, or a sorted set.",
        syntax: "key [BY by-pattern:pattern] [LIMIT offset:integer count:integer] [GET get-pattern:pattern [get ...]] [ASC | DESC] \
                 [ALPHA]",
        examples: &[
            Example { call: "RPUSH mylist 3 1 2", reply: "3" },
            Example { call: "SORT_RO mylist", reply: "1\n2\n3" },
        ],
        ..ROW
    },
];

const SORT: Plan = Plan {
    check: |args, _| parse(args).map(drop),
    reads: |n| n == 0,
    act: |cx, args, order| act(cx, args, order).unwrap_or_else(Finding::Failed),
    next: |args, _, findings, reply| match next(args, findings, reply) {
        Ok(next) => next,
        Err(failure) => Next::Failed(failure),
    },
};

fn parse(args: Args<'_>) -> Result<Sorting<'_>, Failure> {
    Sorting::parse(args, !args.is(0, "sort_ro"))
}

/// Where the key stands whose elements are sorted.
const SOURCE: u32 = 1;

/// What a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The elements, as they lie there.
    Elements = 0,
    /// The weights of all of them.
    Weights = 1,
    /// What is told of those that are wanted, which are in order.
    Told = 2,
    /// The result is stored.
    Stored = 3,
}

/// What travels: to the shards what they are asked, from them what they have; elements and answers packed one behind the other.
#[derive(Clone, Debug)]
struct Word {
    stage: Stage,
    kind: Kind,
    /// `None`: somebody else has them.
    elements: Option<Vec<u8>>,
    /// Names of keys and fields; or values, each behind a sign, or nothing at all where there is none.
    others: Vec<u8>,
}

impl Word {
    fn into_finding(self) -> Finding {
        let code = self.stage as u64 * 2 + u64::from(self.kind == Kind::Unordered);
        let elements = self.elements.map_or(Finding::Nothing, Finding::Bytes);
        Finding::List(vec![Finding::Count(code), elements, Finding::Bytes(self.others)])
    }

    fn from_finding(finding: Finding) -> Option<Word> {
        let Finding::List(parts) = finding else { return None };
        let [Finding::Count(code), elements, Finding::Bytes(others)] =
            <[Finding; 3]>::try_from(parts).ok()?
        else {
            return None;
        };
        let stages = [Stage::Elements, Stage::Weights, Stage::Told, Stage::Stored];
        let elements = if let Finding::Bytes(elements) = elements { Some(elements) } else { None };
        let kind = if code % 2 == 1 { Kind::Unordered } else { Kind::Ordered };
        Some(Word { stage: *stages.get(code as usize / 2)?, kind, elements, others })
    }

    fn order(self, key: Option<u32>) -> Next {
        Next::Step(vec![Order { step: 0, key, given: self.into_finding() }])
    }
}

/// A shard's part.
fn act(cx: &mut Cx<'_>, args: Args<'_>, order: Order) -> Result<Finding, Failure> {
    let has_source = cx.keys.first().is_some_and(|key| key.place == SOURCE);
    let Some(mut word) = Word::from_finding(order.given) else {
        if !has_source {
            return Ok(Finding::Nothing);
        }
        return elements(cx, args).map(Word::into_finding);
    };
    if word.stage == Stage::Stored {
        let place = order.key.expect("a result is stored under a key");
        return Ok(store(cx, args.at(place as usize), &word.others));
    }
    let (mut answers, mut answer, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    let names = read_packed(&word.others, &mut spans);
    for n in (0..names.len()).step_by(2) {
        look(cx, names.at(n), names.at(n + 1), &mut answer);
        pack(&answer, &mut answers);
    }
    word.others = answers;
    if !has_source {
        word.elements = None;
    }
    Ok(word.into_finding())
}

/// The elements of the key, only those that are wanted where they stay in their order.
fn elements(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Word, Failure> {
    let sorting = parse(args)?;
    let mut packed = Vec::new();
    let kind;
    match cx.read(cx.key(args, 0)) {
        None => kind = Kind::Ordered,
        Some(record) => match record.container() {
            Some(Container::List(list)) => {
                kind = Kind::Ordered;
                let (from, to) =
                    if sorting.sorts(kind) { (0, list.len()) } else { sorting.range(list.len()) };
                list.iter()
                    .skip(from)
                    .take(to - from)
                    .for_each(|element| element.with(|bytes| pack(bytes, &mut packed)));
            }
            Some(Container::Set(set)) => {
                kind = Kind::Unordered;
                let (from, to) = if sorting.sorts(kind) { (0, set.len()) } else { sorting.range(set.len()) };
                set.iter()
                    .skip(from)
                    .take(to - from)
                    .for_each(|element| element.with(|bytes| pack(bytes, &mut packed)));
            }
            Some(Container::SortedSet(set)) => {
                kind = Kind::Ordered;
                let (from, to) = if sorting.sorts(kind) { (0, set.len()) } else { sorting.range(set.len()) };
                // The order of scores may be turned where no other is asked for.
                let members = match sorting.sorts(kind) || !sorting.is_descending() {
                    true => set.range(from, to),
                    false => set.range_back(set.len() - to, set.len() - from),
                };
                members.for_each(|(member, _)| member.with(|bytes| pack(bytes, &mut packed)));
            }
            _ => return Err(Failure::WRONG_TYPE),
        },
    }
    Ok(Word { stage: Stage::Elements, kind, elements: Some(packed), others: Vec::new() })
}

/// Writes what lies under a key or in its field, behind a sign; nothing if that is not here. It is no use of the key.
fn look(cx: &Cx<'_>, name: &[u8], field: &[u8], answer: &mut Vec<u8>) {
    answer.clear();
    let mut write = |bytes: &[u8]| {
        answer.push(b'+');
        answer.extend_from_slice(bytes);
    };
    let record = cx.shard.databases[cx.database].get(cx.key_of(name)).filter(|record| !record.is_due(cx.now));
    let Some(record) = record else { return };
    match (record.string(), record.container()) {
        (Some(view), _) if field.is_empty() => view.with(write),
        (None, Some(Container::Hash(hash))) if !field.is_empty() => {
            if let Some(field) = hash.live(field, cx.now) {
                field.value.with(&mut write);
            }
        }
        _ => {}
    }
}

/// Names of the keys that patterns mean for elements, and of the fields; no field is an empty one.
fn names<'a>(elements: impl Iterator<Item = &'a [u8]>, patterns: &[&[u8]]) -> Vec<u8> {
    let patterns: Vec<Pattern<'_>> = patterns.iter().filter_map(|pattern| Pattern::parse(pattern)).collect();
    let (mut names, mut key) = (Vec::new(), Vec::new());
    for element in elements {
        for pattern in &patterns {
            pattern.key(element, &mut key);
            pack(&key, &mut names);
            pack(pattern.field, &mut names);
        }
    }
    names
}

/// What follows from what the shards have told.
fn next(args: Args<'_>, findings: Vec<Finding>, reply: &mut Reply<'_>) -> Result<Next, Failure> {
    let sorting = parse(args)?;
    let (mut stage, mut kind, mut packed) = (Stage::Elements, Kind::Ordered, Vec::new());
    let mut answers: Vec<Vec<u8>> = Vec::new();
    for finding in findings {
        match finding {
            Finding::Failed(failure) => return Err(failure),
            Finding::Count(count) => {
                reply.count(count as usize);
                return Ok(Next::Done);
            }
            finding => {
                let Some(word) = Word::from_finding(finding) else { continue };
                answers.push(word.others);
                if let Some(elements) = word.elements {
                    (stage, kind, packed) = (word.stage, word.kind, elements);
                }
            }
        }
    }
    let mut spans = Vec::new();
    let mut elements: Vec<&[u8]> = read_packed(&packed, &mut spans).iter().collect();
    let mut answer_spans: Vec<_> = answers.iter().map(|_| Vec::new()).collect();
    let told = in_all(&answers, &mut answer_spans);
    if stage != Stage::Told && sorting.sorts(kind) {
        let weights = match (stage, sorting.weights()) {
            (Stage::Elements, Some(pattern)) => {
                let others = names(elements.iter().copied(), &[pattern]);
                let word = Word { stage: Stage::Weights, kind, elements: Some(packed), others };
                return Ok(word.order(None));
            }
            (_, Some(_)) => Some(&told[..]),
            (_, None) => None,
        };
        sorting.sort(&mut elements, kind, weights)?;
    }
    let patterns: Vec<&[u8]> = sorting.patterns().collect();
    if stage != Stage::Told && !patterns.is_empty() {
        let others = names(elements.iter().copied(), &patterns);
        let mut sorted = Vec::new();
        elements.iter().for_each(|element| pack(element, &mut sorted));
        return Ok(Word { stage: Stage::Told, kind, elements: Some(sorted), others }.order(None));
    }
    let mut told = told.into_iter();
    let mut result: Vec<Option<&[u8]>> = Vec::with_capacity(elements.len() * sorting.gets.len().max(1));
    for element in &elements {
        if sorting.gets.is_empty() {
            result.push(Some(element));
        }
        for get in &sorting.gets {
            result.push(match *get {
                b"#" => Some(element),
                get if is_pattern(get) => told.next().flatten(),
                // A key that is the same for all makes no sense, and is never there.
                _ => None,
            });
        }
    }
    let Some(place) = sorting.store else {
        reply.array(result.len());
        result.into_iter().for_each(|told| match told {
            Some(bytes) => reply.bulk(bytes),
            None => reply.null(),
        });
        return Ok(Next::Done);
    };
    let mut others = Vec::new();
    // What is not there is stored as nothing.
    result.into_iter().for_each(|told| pack(told.unwrap_or_default(), &mut others));
    Ok(Word { stage: Stage::Stored, kind, elements: None, others }.order(Some(place as u32)))
}

/// Of each answer that of the shard that has one.
fn in_all<'a>(answers: &'a [Vec<u8>], spans: &'a mut [Vec<crate::args::Span>]) -> Vec<Option<&'a [u8]>> {
    let mut all: Vec<Option<&[u8]>> = Vec::new();
    for (answers, spans) in answers.iter().zip(spans) {
        let answers = read_packed(answers, spans);
        all.resize(all.len().max(answers.len()), None);
        for (known, answer) in all.iter_mut().zip(answers.iter()) {
            *known = known.or(answer.strip_prefix(b"+"));
        }
    }
    all
}

/// Puts a list of these under a key, or nothing if there are none; how many.
fn store(cx: &mut Cx<'_>, key: &[u8], packed: &[u8]) -> Finding {
    let (key, fill) = (cx.key_of(key), fill(cx));
    let mut spans = Vec::new();
    let elements = read_packed(packed, &mut spans);
    if elements.is_empty() {
        cx.remove(key);
    } else {
        let mut list = List::default();
        list.expect(packed.len(), elements.len(), fill);
        elements.iter().for_each(|element| list.push(Side::Right, element, fill));
        cx.store(key, Value::Container(Box::new(Container::List(list))), Deadline::Clear);
    }
    Finding::Count(elements.len() as u64)
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn elements_are_sorted_whatever_shards_have_a_part_in_it() {
        for cores in [1, 2, 5] {
            let mut world = World::new(cores);
            let client = world.connect(0);
            for (call, reply) in [
                ("RPUSH l 3 1 2 10", "4"),
                ("SORT l", "1\n2\n3\n10"),
                ("SORT l DESC", "10\n3\n2\n1"),
                ("SORT l ALPHA", "1\n10\n2\n3"),
                ("SORT l LIMIT 1 2", "2\n3"),
                ("SORT l LIMIT -1 -1", "1\n2\n3\n10"),
                ("SORT l LIMIT 9 2", ""),
                ("SORT l BY nosort", "3\n1\n2\n10"),
                ("SORT l BY nosort LIMIT 1 2", "1\n2"),
                ("MSET w1 c w2 a w3 b o1 30 o2 10 o3 20", "OK"),
                ("HSET h1 f 5 g x", "2"),
                ("HSET h2 f 6", "1"),
                ("SORT l BY w* ALPHA", "10\n2\n3\n1"),
                ("SORT l BY w* ALPHA DESC", "1\n3\n2\n10"),
                ("SORT l BY o*", "10\n2\n3\n1"),
                ("SORT l BY o* LIMIT 1 2 GET w* GET # GET same", "a\n2\n\nb\n3\n"),
                ("SORT l BY h*->f GET h*->g GET h*->f", "\n\n\n\nx\n5\n\n6"),
                ("SORT l GET l*", "\n\n\n"),
                ("SORT l BY w*", "ERR One or more scores can't be converted into double"),
                ("SORT l BY o* GET w* STORE r", "4"),
                ("LRANGE r 0 -1", "\na\nb\nc"),
                ("SORT l STORE l", "4"),
                ("LRANGE l 0 -1", "1\n2\n3\n10"),
                ("SORT nosuch STORE r", "0"),
                ("EXISTS r", "0"),
                ("SADD s c a b", "3"),
                ("SORT s ALPHA DESC", "c\nb\na"),
                ("SORT s", "ERR One or more scores can't be converted into double"),
                ("SORT s BY nosort STORE r", "3"),
                ("LRANGE r 0 -1", "a\nb\nc"),
                ("SORT_RO s ALPHA", "a\nb\nc"),
                ("SORT_RO s ALPHA STORE x", "ERR syntax error"),
                ("SORT s LIMIT 1", "ERR syntax error"),
                ("SORT s LIMIT a 1", "ERR value is not an integer or out of range"),
                ("SORT w1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
                ("SORT h1 BY o*", "WRONGTYPE Operation against a key holding the wrong kind of value"),
                ("MULTI", "OK"),
                ("SORT l BY o* DESC GET w*", "QUEUED"),
                ("SET w1 changed", "QUEUED"),
                ("SORT l BY o* LIMIT 0 2 GET w* STORE r", "QUEUED"),
                ("LRANGE r 0 -1", "QUEUED"),
                ("EXEC", "c\nb\na\n\nOK\n2\n\na"),
                ("COMMAND GETKEYS SORT l LIMIT store 1 STORE x GET store STORE y", "l\ny"),
            ] {
                assert_eq!(world.say(client, call), reply, "{cores} cores: {call}");
            }
        }
    }
}

//! HyperLogLogs: strings that estimate how many different elements were added.
//!
//! It knows commands. How registers lie in a string is `value/hyperloglog.rs`.

use super::row::{Command, Example, Flags, Group, Keys, Next, Plan, Run, Touch};
use super::string::edit;
use crate::args::Args;
use crate::database::Key;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::{Cx, Deadline};
use crate::txn::work::{Finding, Order};
use crate::value::hyperloglog::{self as hll, Corrupted, REGISTERS};
use crate::value::record::{Record, Value, View};

const ROW: Command = Command { group: Group::Hyperloglog, since: "2.8.9", ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "pfadd",
        arity: -2,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: Keys::ONE,
        touch: Touch::Insert,
        summary: "Adds elements to a HyperLogLog key. Creates the key if it doesn't exist.",
        complexity: "O(1) to add every element.",
        syntax: "key [element [element ...]]",
        examples: &[
            Example { call: "PFADD hll a b c d", reply: "1" },
            Example { call: "PFADD hll a b", reply: "0" },
            Example { call: "PFCOUNT hll", reply: "4" },
        ],
        run: Run::Hop(pfadd),
        ..ROW
    },
    Command {
        name: "pfcount",
        arity: -2,
        flags: Flags::READONLY,
        keys: Keys::ALL,
        touch: Touch::Update,
        summary: "Returns the approximated cardinality of the set(s) observed by the HyperLogLog key(s).",
        complexity: "O(1) with a very small average constant time when called with a single key. O(N) with N being the number of keys, \
                     and much bigger constant times, when called with multiple keys.",
        syntax: "key [key ...]",
        examples: &[
            Example { call: "PFADD {h}1 a b c", reply: "1" },
            Example { call: "PFADD {h}2 c d", reply: "1" },
            Example { call: "PFCOUNT {h}1 {h}2", reply: "4" },
        ],
        run: Run::Plan(&PFCOUNT),
        ..ROW
    },
    Command {
        name: "pfmerge",
        arity: -2,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: Keys::ALL,
        touch: Touch::Insert,
        summary: "Merges one or more HyperLogLog values into a single key.",
        complexity: "O(N) to merge N HyperLogLogs, but with high constant times.",
        syntax: "destkey:key [sourcekey:key [sourcekey:key ...]]",
        examples: &[
            Example { call: "PFADD {h}1 a b c", reply: "1" },
            Example { call: "PFADD {h}2 c d", reply: "1" },
            Example { call: "PFMERGE {h}3 {h}1 {h}2", reply: "OK" },
            Example { call: "PFCOUNT {h}3", reply: "4" },
        ],
        run: Run::Plan(&PFMERGE),
        ..ROW
    },
    Command {
        name: "pfdebug",
        arity: 3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::ADMIN),
        keys: Keys::Range { first: 2, last: 2, step: 1 },
        touch: Touch::Update,
        summary: "Internal commands for debugging HyperLogLog values.",
        complexity: "N/A",
        syntax: "subcommand:string key",
        examples: &[
            Example { call: "PFADD hll a", reply: "1" },
            Example { call: "PFDEBUG ENCODING hll", reply: "sparse" },
            Example { call: "PFDEBUG DECODE hll", reply: "Z:12711 v:2,1 Z:3672" },
            Example { call: "PFDEBUG TODENSE hll", reply: "1" },
        ],
        run: Run::Hop(pfdebug),
        ..ROW
    },
    Command {
        name: "pfselftest",
        flags: Flags::ADMIN,
        summary: "An internal command for testing HyperLogLog values.",
        complexity: "N/A",
        examples: &[Example { call: "PFSELFTEST", reply: "OK" }],
        run: Run::Local(|_, _, reply| self_test(reply)),
        ..ROW
    },
];

const NOT_ONE: Failure = Failure::new("WRONGTYPE Key is not a valid HyperLogLog string value.");
const CORRUPTED: Failure = Failure::new("INVALIDOBJ Corrupted HLL object detected");

impl From<Corrupted> for Failure {
    fn from(_: Corrupted) -> Failure {
        CORRUPTED
    }
}

/// What lies under a key must be such a string.
fn check(view: View<'_>) -> Result<(), Failure> {
    let is_one = match view {
        View::Integer(_) => false,
        View::Bytes(bytes) => hll::is_one(bytes),
        View::Large(bytes) => hll::is_one(bytes),
    };
    if is_one { Ok(()) } else { Err(NOT_ONE) }
}

fn sparse_max(cx: &Cx<'_>) -> usize {
    usize::try_from(cx.settings.hll_sparse_max_bytes).unwrap_or(usize::MAX)
}

/// Lets `change` work on the one under a key; on an empty one if there is no key. It says whether it has changed anything.
fn change(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    change: impl FnOnce(&mut Vec<u8>) -> Result<bool, Corrupted>,
) -> Result<bool, Failure> {
    let Some(view) = cx.peek_string(key)? else {
        let mut bytes = hll::empty();
        let changed = change(&mut bytes);
        cx.store(key, Value::Raw(&bytes), Deadline::Clear);
        return Ok(changed?);
    };
    check(view)?;
    let mut outcome = Ok(false);
    cx.change_if(key, |record| {
        outcome = change_record(record, change);
        (outcome == Ok(true)).then_some(())
    });
    Ok(outcome?)
}

/// The same on the one in a record.
fn change_record(
    record: &mut Record,
    change: impl FnOnce(&mut Vec<u8>) -> Result<bool, Corrupted>,
) -> Result<bool, Corrupted> {
    edit(record, |bytes| {
        // Only the sparse form can turn out to be corrupted on the way: then nothing was changed.
        let before = (!hll::is_dense(bytes)).then(|| bytes.clone());
        let changed = change(bytes);
        if let (Err(_), Some(before)) = (&changed, before) {
            *bytes = before;
        }
        changed
    })
}

/// How many elements, from the first on, say nothing new.
fn known<'a>(bytes: &[u8], elements: impl Iterator<Item = &'a [u8]>) -> Result<usize, Corrupted> {
    let mut known = 0;
    for element in elements {
        let (index, value) = hll::place(element);
        if hll::register(bytes, index)? < value {
            break;
        }
        known += 1;
    }
    Ok(known)
}

fn pfadd(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, max) = (cx.key(args, 0), sparse_max(cx));
    let elements = args.skip(2);
    let raise = |bytes: &mut Vec<u8>, known: usize| {
        for element in args.skip(2 + known).iter() {
            let (index, value) = hll::place(element);
            hll::raise(bytes, index, value, max)?;
        }
        hll::forget_estimate(bytes);
        Ok(true)
    };
    // The key is looked for once: mostly it is there, and mostly an element has been added before. Then nothing is copied, but it counts as a
    // use.
    let mut outcome = None;
    cx.change_if(key, |record| {
        outcome = Some(add_to(record, elements, raise));
        (outcome == Some(Ok(true))).then_some(())
    });
    let added = match outcome {
        Some(added) => added?,
        None => change(cx, key, |bytes| raise(bytes, 0))?,
    };
    reply.integer(i64::from(added));
    Ok(())
}

/// Adds elements to the one in a record by `raise`, which is told how many of them, from the first on, say nothing new; false if none does.
fn add_to(
    record: &mut Record,
    elements: Args<'_>,
    raise: impl FnOnce(&mut Vec<u8>, usize) -> Result<bool, Corrupted>,
) -> Result<bool, Failure> {
    let view = record.string().ok_or(Failure::WRONG_TYPE)?;
    check(view)?;
    let known = view.with(|bytes| known(bytes, elements.iter()))?;
    if known == elements.len() {
        return Ok(false);
    }
    Ok(change_record(record, |bytes| raise(bytes, known))?)
}

const PFCOUNT: Plan = Plan {
    check: |_, _| Ok(()),
    // The estimate is kept in the string, if it is one alone.
    reads: |_| false,
    act: |cx, args, _| {
        if args.len() > 2 { count_all(cx, args) } else { count(cx, args).unwrap_or_else(Finding::Failed) }
    },
    next: |_, _, findings, reply| {
        if let Some(failure) = first_failure(&findings) {
            return Next::Failed(failure);
        }
        let mut all: Option<Vec<u8>> = None;
        for finding in findings {
            match finding {
                Finding::Count(count) => {
                    reply.count(count as usize);
                    return Next::Done;
                }
                finding => add_registers(&mut all, finding),
            }
        }
        reply.count(all.map_or(0, |registers| hll::estimate_of(&registers)) as usize);
        Next::Done
    },
};

/// Registers of several shards together.
fn add_registers(all: &mut Option<Vec<u8>>, finding: Finding) {
    let Finding::Bytes(registers) = finding else { return };
    match all {
        None => *all = Some(registers),
        Some(all) => all.iter_mut().zip(registers).for_each(|(ours, theirs)| *ours = (*ours).max(theirs)),
    }
}

/// A shard's part of PFCOUNT of several keys.
fn count_all(cx: &mut Cx<'_>, args: Args<'_>) -> Finding {
    match union(cx, args) {
        Ok(found) => found.map_or(Finding::Nothing, |(registers, _)| Finding::Bytes(registers)),
        Err(refused) => refused,
    }
}

/// PFCOUNT of one key.
fn count(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Finding, Failure> {
    let key = cx.key(args, 0);
    let Some(view) = cx.read_string(key)? else { return Ok(Finding::Count(0)) };
    check(view)?;
    let cached = view.with(hll::cached);
    if let Some(count) = cached {
        return Ok(Finding::Count(count));
    }
    let count = view.with(hll::estimate)?;
    cx.change(key, |record| {
        edit(record, |bytes| hll::keep_estimate(bytes, count));
    });
    Ok(Finding::Count(count))
}

/// The registers of all keys that lie here, and whether one of them is dense; `None` if there are none.
/// Who is wrong is told with the place of the key: the first one among all arguments counts.
fn union(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Option<(Vec<u8>, bool)>, Finding> {
    let mut found: Option<(Vec<u8>, bool)> = None;
    for n in 0..cx.keys.len() {
        let refused = |failure| Finding::Keys(vec![(cx.keys[n].place, Finding::Failed(failure))]);
        let view = cx.read_string(cx.key(args, n));
        let merged = view.and_then(|view| {
            let Some(view) = view else { return Ok(()) };
            check(view)?;
            let (registers, is_dense) = found.get_or_insert_with(|| (vec![0; REGISTERS], false));
            view.with(|bytes| {
                *is_dense |= hll::is_dense(bytes);
                hll::merge(bytes, registers)
            })?;
            Ok(())
        });
        merged.map_err(refused)?;
    }
    Ok(found)
}

/// The failure of the first key of which one is told.
fn first_failure(findings: &[Finding]) -> Option<Failure> {
    let failures = findings.iter().filter_map(|finding| match finding {
        Finding::Failed(failure) => Some((0, failure)),
        Finding::Keys(keys) => match &keys[..] {
            [(place, Finding::Failed(failure))] => Some((*place, failure)),
            _ => None,
        },
        _ => None,
    });
    failures.min_by_key(|(place, _)| *place).map(|(_, failure)| failure.clone())
}

const PFMERGE: Plan = Plan {
    check: |_, _| Ok(()),
    reads: |n| n > 0,
    act: |cx, args, order| merge(cx, args, order).unwrap_or_else(Finding::Failed),
    next: |_, step, findings, reply| {
        if let Some(failure) = first_failure(&findings) {
            return Next::Failed(failure);
        }
        let (mut all, mut is_dense) = (None, false);
        for finding in findings {
            if let Finding::List(mut parts) = finding {
                is_dense |= parts.pop() == Some(Finding::Flag(true));
                add_registers(&mut all, parts.pop().unwrap_or_default());
            }
        }
        if step > 0 {
            reply.ok();
            return Next::Done;
        }
        let given =
            Finding::List(vec![all.map_or(Finding::Nothing, Finding::Bytes), Finding::Flag(is_dense)]);
        Next::Step(vec![Order { step: 0, key: Some(TARGET), given }])
    },
};

/// Where the key stands into which others are merged.
const TARGET: u32 = 1;

/// A shard's part of PFMERGE: what it has, or putting all of it into the target.
fn merge(cx: &mut Cx<'_>, args: Args<'_>, order: Order) -> Result<Finding, Failure> {
    let Some(target) = order.key else {
        return Ok(match union(cx, args) {
            Ok(None) => Finding::Nothing,
            Ok(Some((registers, is_dense))) => {
                Finding::List(vec![Finding::Bytes(registers), Finding::Flag(is_dense)])
            }
            Err(refused) => refused,
        });
    };
    let (registers, is_dense) = match order.given {
        Finding::List(mut parts) => {
            let is_dense = parts.pop() == Some(Finding::Flag(true));
            (if let Some(Finding::Bytes(registers)) = parts.pop() { registers } else { Vec::new() }, is_dense)
        }
        _ => (Vec::new(), false),
    };
    let (key, max) = (cx.key_of(args.at(target as usize)), sparse_max(cx));
    change(cx, key, |bytes| {
        if is_dense {
            hll::make_dense(bytes)?;
        }
        for (index, value) in registers.iter().enumerate().filter(|(_, value)| **value > 0) {
            hll::raise(bytes, index, *value, max)?;
        }
        hll::forget_estimate(bytes);
        Ok(true)
    })?;
    Ok(Finding::Nothing)
}

fn pfdebug(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.is(1, "simd") {
        // There is one way only in which registers are merged.
        if !args.is(2, "on") && !args.is(2, "off") {
            return Err(Failure::new("ERR Argument must be ON or OFF"));
        }
        reply.ok();
        return Ok(());
    }
    let key = cx.key(args, 0);
    let view = cx.peek_string(key)?.ok_or(Failure::new("ERR The specified key does not exist"))?;
    check(view)?;
    if args.is(1, "getreg") {
        change(cx, key, hll::make_dense)?;
        let mut registers = vec![0; REGISTERS];
        if let Some(view) = cx.peek_string(key)? {
            view.with(|bytes| hll::merge(bytes, &mut registers))?;
        }
        reply.array(REGISTERS);
        registers.iter().for_each(|register| reply.integer(i64::from(*register)));
    } else if args.is(1, "decode") {
        if view.with(hll::is_dense) {
            return Err(Failure::new("ERR HLL encoding is not sparse"));
        }
        let shown = |run: hll::Run| match (run.value, run.is_wide) {
            (0, false) => format!("z:{}", run.len),
            (0, true) => format!("Z:{}", run.len),
            (value, _) => format!("v:{value},{}", run.len),
        };
        let runs: Vec<String> = view.with(|bytes| hll::runs(bytes).map(shown).collect());
        reply.text(&runs.join(" "));
    } else if args.is(1, "encoding") {
        reply.simple(if view.with(hll::is_dense) { "dense" } else { "sparse" });
    } else if args.is(1, "todense") {
        let changed = change(cx, key, hll::make_dense)?;
        reply.integer(i64::from(changed));
    } else {
        let word = String::from_utf8_lossy(args.at(1)).into_owned();
        return Err(Failure::text(format!("ERR Unknown PFDEBUG subcommand '{word}'")));
    }
    Ok(())
}

/// Both forms hold what they are told, and estimates are as good as they must be.
fn self_test(reply: &mut Reply<'_>) -> Outcome {
    const ELEMENTS: u64 = 20_000;
    let failed = |what: &str| Failure::text(format!("ERR TESTFAILED {what}"));
    let (mut dense, mut sparse) = (hll::empty(), hll::empty());
    hll::make_dense(&mut dense)?;
    for n in 0..ELEMENTS {
        let (index, value) = hll::place(&n.to_le_bytes());
        let raised = hll::raise(&mut dense, index, value, 0)?;
        if raised != hll::raise(&mut sparse, index, value, 3_000)? {
            return Err(failed("both forms do not say the same of an element"));
        }
        if hll::register(&dense, index)? < value {
            return Err(failed("a register is lower than it was set"));
        }
        if n % 1_000 == 999 {
            let (one, other) = (hll::estimate(&dense)?, hll::estimate(&sparse)?);
            if one != other {
                return Err(failed("both forms do not estimate the same"));
            }
            // Four times the standard error.
            if (one as f64 - n as f64 - 1.0).abs() > 4.0 * 0.0081 * (n + 1) as f64 {
                return Err(failed("an estimate is too far away"));
            }
        }
    }
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::testing::World;

    #[test]
    fn elements_of_any_shards_are_counted_and_merged() {
        for cores in [1, 3] {
            let mut world = World::new(cores);
            let client = world.connect(0);
            for (call, reply) in [
                ("PFADD a x y z", "1"),
                ("PFADD a x y z", "0"),
                ("PFADD a", "0"),
                ("PFADD none", "1"),
                ("PFADD none", "0"),
                ("PFCOUNT none", "0"),
                ("PFCOUNT a", "3"),
                ("PFCOUNT nosuch", "0"),
                ("PFADD b z w", "1"),
                ("PFCOUNT a b nosuch", "4"),
                ("PFMERGE c a b", "OK"),
                ("PFCOUNT c", "4"),
                ("PFDEBUG ENCODING c", "sparse"),
                ("PFDEBUG TODENSE a", "1"),
                ("PFDEBUG TODENSE a", "0"),
                ("PFDEBUG DECODE a", "ERR HLL encoding is not sparse"),
                ("PFMERGE c a", "OK"),
                ("PFDEBUG ENCODING c", "dense"),
                ("STRLEN c", "12304"),
                ("PFCOUNT c", "4"),
                ("PFMERGE d", "OK"),
                ("PFCOUNT d", "0"),
                ("SET text hello", "OK"),
                ("PFADD text x", "WRONGTYPE Key is not a valid HyperLogLog string value."),
                ("PFCOUNT text", "WRONGTYPE Key is not a valid HyperLogLog string value."),
                ("PFCOUNT a text", "WRONGTYPE Key is not a valid HyperLogLog string value."),
                ("PFMERGE a text", "WRONGTYPE Key is not a valid HyperLogLog string value."),
                ("PFMERGE text a", "WRONGTYPE Key is not a valid HyperLogLog string value."),
                ("RPUSH l 1", "1"),
                ("PFADD l x", "WRONGTYPE Operation against a key holding the wrong kind of value"),
                ("APPEND b x", "25"),
                ("PFADD b new", "1"),
                ("PFCOUNT b", "INVALIDOBJ Corrupted HLL object detected"),
                ("PFCOUNT b c", "INVALIDOBJ Corrupted HLL object detected"),
                ("PFDEBUG GETREG b", "INVALIDOBJ Corrupted HLL object detected"),
                ("PFDEBUG NOSUCH a", "ERR Unknown PFDEBUG subcommand 'NOSUCH'"),
                ("PFDEBUG ENCODING nosuch", "ERR The specified key does not exist"),
                ("PFDEBUG SIMD on", "OK"),
                ("PFSELFTEST", "OK"),
            ] {
                assert_eq!(world.say(client, call), reply, "{cores} cores: {call}");
            }
        }
    }

    #[test]
    fn the_estimate_is_kept_in_the_string() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for (call, reply) in [
            ("PFADD a x y", "1"),
            ("GETBIT a 120", "1"),
            ("WATCH a", "OK"),
            ("PFCOUNT a", "2"),
            ("MULTI", "OK"),
            ("PING", "QUEUED"),
            ("EXEC", ""),
            ("GETBIT a 120", "0"),
            ("WATCH a", "OK"),
            ("PFCOUNT a", "2"),
            ("PFADD a x", "0"),
            ("MULTI", "OK"),
            ("PING", "QUEUED"),
            ("EXEC", "PONG"),
            ("CONFIG SET hll-sparse-max-bytes 20", "OK"),
            ("PFADD a z", "1"),
            ("PFDEBUG ENCODING a", "dense"),
            ("PFCOUNT a", "3"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_a_string_holds_nothing_breaks(
            head in 0usize..3,
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            place in 0usize..30,
        ) {
            let mut world = World::new(2);
            let client = world.connect(0);
            let text: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            let head = ["", "HYLL\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80", "HYLL"][head];
            world.call(client, &format!("SET a \"{head}{text}\""));
            world.call(client, "PFADD b 1 2 3 4 5 6 7 8");
            world.call(client, &format!("SETRANGE b {place} \"{text}\""));
            for call in ["PFADD a x y", "PFCOUNT a", "PFCOUNT a b", "PFMERGE c a b", "PFMERGE a b", "PFDEBUG DECODE a",
                "PFDEBUG TODENSE a", "PFDEBUG GETREG b", "PFADD b z", "PFCOUNT b"] {
                let reply = world.say(client, call);
                let is_known = !reply.contains("ERR") && !reply.contains("WRONGTYPE") && !reply.contains("INVALIDOBJ")
                    || reply == "WRONGTYPE Key is not a valid HyperLogLog string value."
                    || reply == "INVALIDOBJ Corrupted HLL object detected"
                    || reply == "ERR The specified key does not exist"
                    || reply == "ERR HLL encoding is not sparse";
                prop_assert!(is_known, "{}: {}", call, reply);
            }
        }
    }
}

//! Strings as bits: several of them combined into one, wherever they lie.
//!
//! Each shard combines what it has of the sources; the client's core combines these, and the shard of the target stores the result. A shorter
//! string is one with zeroes behind it.

use std::sync::Arc;

use super::row::{Command, Example, Flags, Group, Keys, Next, Plan, Run, Touch};
use crate::args::Args;
use crate::protocol::reply::{Failure, Reply};
use crate::shard::{Cx, Deadline};
use crate::txn::work::{Finding, Order};
use crate::value::record::Value;

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "bitop",
    arity: -4,
    group: Group::Bitmap,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: Keys::Range { first: 2, last: -1, step: 1 },
    touch: Touch::Overwrite,
    since: "2.6.0",
    summary: "Performs bitwise operations on multiple strings, and stores the result.",
    complexity: "O(N)",
    syntax: "operation:<AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE> destkey:key key [key ...]",
    examples: &[
        Example { call: "SET {b}1 foobar", reply: "OK" },
        Example { call: "SET {b}2 abcdef", reply: "OK" },
        Example { call: "BITOP AND {b}3 {b}1 {b}2", reply: "6" },
        Example { call: "GET {b}3", reply: "`bc`ab" },
    ],
    run: Run::Plan(&BITOP),
    ..Command::DEFAULT
}];

const BITOP: Plan = Plan {
    check: |args, _| Operation::parse(args).map(drop),
    reads: |n| n > 0,
    act: |cx, args, order| act(cx, args, order).unwrap_or_else(Finding::Failed),
    next,
};

/// Where the key stands under which the result is stored.
const TARGET: usize = 2;
const FIRST_SOURCE: usize = 3;

/// How bits are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
    /// In the first and in none of the others.
    Diff,
    /// In one of the others and not in the first.
    Diff1,
    /// In the first and in one of the others.
    AndOr,
    /// In exactly one.
    One,
}

impl Operation {
    fn parse(args: Args<'_>) -> Result<Operation, Failure> {
        let names = [
            ("and", Operation::And),
            ("or", Operation::Or),
            ("xor", Operation::Xor),
            ("not", Operation::Not),
            ("diff", Operation::Diff),
            ("diff1", Operation::Diff1),
            ("andor", Operation::AndOr),
            ("one", Operation::One),
        ];
        let found = names.into_iter().find(|(name, _)| args.is(1, name));
        let (name, operation) = found.ok_or(Failure::SYNTAX)?;
        let sources = args.len() - FIRST_SOURCE;
        if operation == Operation::Not && sources != 1 {
            return Err(Failure::new("ERR BITOP NOT must be called with a single source key."));
        }
        if operation.sets_first_apart() && sources < 2 {
            return Err(Failure::text(format!(
                "ERR BITOP {} must be called with at least two source keys.",
                name.to_uppercase()
            )));
        }
        Ok(operation)
    }

    fn sets_first_apart(self) -> bool {
        matches!(self, Operation::Diff | Operation::Diff1 | Operation::AndOr)
    }
}

/// What is known of some of the sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Combined {
    /// The first, where it stands apart.
    apart: Vec<u8>,
    /// The others; `None`: there are none among these.
    bits: Option<Vec<u8>>,
    /// Bits that more than one has, where that counts.
    twice: Vec<u8>,
}

impl Combined {
    /// One source alone.
    fn of(operation: Operation, is_first: bool, bytes: Vec<u8>) -> Combined {
        match is_first && operation.sets_first_apart() {
            true => Combined { apart: bytes, ..Combined::default() },
            false => Combined { bits: Some(bytes), ..Combined::default() },
        }
    }

    /// With more of the sources.
    fn with(&mut self, operation: Operation, other: Combined) {
        if !other.apart.is_empty() {
            self.apart = other.apart;
        }
        let Some(theirs) = other.bits else { return };
        let Some(mut ours) = self.bits.take() else {
            (self.bits, self.twice) = (Some(theirs), other.twice);
            return;
        };
        if operation == Operation::One {
            let mut both = ours.clone();
            combine(&mut both, &theirs, |a, b| a & b);
            combine(&mut both, &other.twice, |a, b| a | b);
            combine(&mut self.twice, &both, |a, b| a | b);
        }
        match operation {
            Operation::And => combine(&mut ours, &theirs, |a, b| a & b),
            Operation::Xor => combine(&mut ours, &theirs, |a, b| a ^ b),
            _ => combine(&mut ours, &theirs, |a, b| a | b),
        }
        self.bits = Some(ours);
    }

    /// What comes of it when these were all.
    fn result(self, operation: Operation) -> Vec<u8> {
        let mut bits = self.bits.unwrap_or_default();
        match operation {
            Operation::Not => bits.iter_mut().for_each(|byte| *byte = !*byte),
            Operation::Diff => combine(&mut bits, &self.apart, |others, first| first & !others),
            Operation::Diff1 => combine(&mut bits, &self.apart, |others, first| others & !first),
            Operation::AndOr => combine(&mut bits, &self.apart, |others, first| others & first),
            Operation::One => combine(&mut bits, &self.twice, |once, twice| once & !twice),
            Operation::And | Operation::Or | Operation::Xor => {}
        }
        bits
    }

    fn into_finding(self) -> Finding {
        let bits = self.bits.map_or(Finding::Nothing, Finding::Bytes);
        Finding::List(vec![Finding::Bytes(self.apart), bits, Finding::Bytes(self.twice)])
    }

    fn from_finding(finding: Finding) -> Option<Combined> {
        let Finding::List(parts) = finding else { return None };
        let mut parts = parts.into_iter().map(|part| match part {
            Finding::Bytes(bytes) => Some(bytes),
            _ => None,
        });
        let mut next = || parts.next().flatten();
        let (apart, bits, twice) = (next(), next(), next());
        Some(Combined { apart: apart.unwrap_or_default(), bits, twice: twice.unwrap_or_default() })
    }
}

/// Byte by byte; the shorter one has zeroes behind it.
#[inline]
fn combine(into: &mut Vec<u8>, other: &[u8], with: impl Fn(u8, u8) -> u8) {
    if into.len() < other.len() {
        into.resize(other.len(), 0);
    }
    let (both, rest) = into.split_at_mut(other.len());
    both.iter_mut().zip(other).for_each(|(byte, other)| *byte = with(*byte, *other));
    rest.iter_mut().for_each(|byte| *byte = with(*byte, 0));
}

/// A shard's part: it combines its own sources, or stores the result.
fn act(cx: &mut Cx<'_>, args: Args<'_>, order: Order) -> Result<Finding, Failure> {
    if let Finding::Bytes(result) = order.given {
        let (key, len) = (cx.key_of(args.at(TARGET)), result.len());
        match len {
            0 => {
                cx.remove(key);
            }
            _ if len > crate::value::record::EMBEDDED_MAX => {
                cx.store(key, Value::Large(Arc::new(result)), Deadline::Clear);
            }
            _ => cx.store(key, Value::Raw(&result), Deadline::Clear),
        }
        return Ok(Finding::Count(len as u64));
    }
    let operation = Operation::parse(args)?;
    let mut all = Combined::default();
    for n in 0..cx.keys.len() {
        let place = cx.keys[n].place as usize;
        if place < FIRST_SOURCE {
            continue;
        }
        let bytes = cx.read_string(cx.key(args, n))?.map(|view| view.to_vec()).unwrap_or_default();
        all.with(operation, Combined::of(operation, place == FIRST_SOURCE, bytes));
    }
    Ok(all.into_finding())
}

fn next(args: Args<'_>, _: u8, findings: Vec<Finding>, reply: &mut Reply<'_>) -> Next {
    let operation = match Operation::parse(args) {
        Ok(operation) => operation,
        Err(failure) => return Next::Failed(failure),
    };
    let mut all = Combined::default();
    for finding in findings {
        match finding {
            Finding::Failed(failure) => return Next::Failed(failure),
            Finding::Count(len) => {
                reply.count(len as usize);
                return Next::Done;
            }
            finding => all.with(operation, Combined::from_finding(finding).unwrap_or_default()),
        }
    }
    let given = Finding::Bytes(all.result(operation));
    Next::Step(vec![Order { step: 0, key: Some(TARGET as u32), given }])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::World;

    const ALL: [(&str, Operation); 8] = [
        ("AND", Operation::And),
        ("OR", Operation::Or),
        ("XOR", Operation::Xor),
        ("NOT", Operation::Not),
        ("DIFF", Operation::Diff),
        ("DIFF1", Operation::Diff1),
        ("ANDOR", Operation::AndOr),
        ("ONE", Operation::One),
    ];

    /// One bit of the result by the bits of the sources.
    fn bit(operation: Operation, bits: &[bool]) -> bool {
        let others = bits[1..].iter().any(|bit| *bit);
        match operation {
            Operation::And => bits.iter().all(|bit| *bit),
            Operation::Or => bits[0] || others,
            Operation::Xor => bits.iter().filter(|bit| **bit).count() % 2 == 1,
            Operation::Not => !bits[0],
            Operation::Diff => bits[0] && !others,
            Operation::Diff1 => !bits[0] && others,
            Operation::AndOr => bits[0] && others,
            Operation::One => bits.iter().filter(|bit| **bit).count() == 1,
        }
    }

    proptest! {
        #[test]
        fn sources_of_any_shards_are_combined_bit_by_bit(
            sources in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..12), 0usize..3), 1..6),
            kind in 0usize..8,
        ) {
            let operation = ALL[kind].1;
            prop_assume!(!operation.sets_first_apart() || sources.len() > 1);
            prop_assume!(operation != Operation::Not || sources.len() == 1);
            let len = sources.iter().map(|(bytes, _)| bytes.len()).max().unwrap_or(0);
            // Each of three shards combines what it has.
            let mut shards = [Combined::default(), Combined::default(), Combined::default()];
            for (n, (bytes, shard)) in sources.iter().enumerate() {
                shards[*shard].with(operation, Combined::of(operation, n == 0, bytes.clone()));
            }
            let mut all = Combined::default();
            for shard in shards {
                let travelled = Combined::from_finding(shard.into_finding()).expect("it is such a one");
                all.with(operation, travelled);
            }
            let expected: Vec<u8> = (0..len)
                .map(|n| {
                    (0..8).fold(0, |byte, place| {
                        let bits: Vec<bool> =
                            sources.iter().map(|(bytes, _)| bytes.get(n).is_some_and(|b| b >> place & 1 == 1)).collect();
                        byte | u8::from(bit(operation, &bits)) << place
                    })
                })
                .collect();
            prop_assert_eq!(all.result(operation), expected);
        }
    }

    #[test]
    fn strings_of_any_shards_are_combined() {
        for cores in [1, 3] {
            let mut world = World::new(cores);
            let client = world.connect(0);
            for (call, reply) in [
                ("SET a \"\\xff\\x0f\"", "OK"),
                ("SET b \"\\xf0\\xff\\xff\"", "OK"),
                ("SET c 12", "OK"),
                ("BITOP AND r a b", "3"),
                ("BITCOUNT r", "8"),
                ("BITOP OR r a b nosuch", "3"),
                ("BITCOUNT r", "24"),
                ("BITOP XOR r a b", "3"),
                ("BITCOUNT r", "16"),
                ("BITOP NOT r c", "2"),
                ("BITOP NOT r r", "2"),
                ("GET r", "12"),
                ("OBJECT ENCODING r", "raw"),
                ("BITOP DIFF r a b", "3"),
                ("BITCOUNT r", "4"),
                ("BITOP DIFF1 r a b", "3"),
                ("BITCOUNT r", "12"),
                ("BITOP ANDOR r a b c", "3"),
                ("BITOP ONE r a b c", "3"),
                ("BITOP AND r nosuch nosuch2", "0"),
                ("EXISTS r", "0"),
                ("BITOP NOT r a b", "ERR BITOP NOT must be called with a single source key."),
                ("BITOP diff r a", "ERR BITOP DIFF must be called with at least two source keys."),
                ("BITOP NAND r a", "ERR syntax error"),
                ("RPUSH l 1", "1"),
                ("BITOP OR r a l", "WRONGTYPE Operation against a key holding the wrong kind of value"),
                ("BITOP OR l a", "2"),
                ("TYPE l", "string"),
            ] {
                assert_eq!(world.say(client, call), reply, "{cores} cores: {call}");
            }
        }
    }
}

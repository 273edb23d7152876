//! Strings as fields of bits: integers of any width at any place.
//!
//! It knows widths and what happens to a number that does not fit. How a string lies in memory is the record's business.

use super::bit::offset;
use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use super::string::overwrite;
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::protocol::request::parse_integer;
use crate::shard::Cx;

const ROW: Command = Command {
    arity: -2,
    group: Group::Bitmap,
    keys: Keys::ONE,
    complexity: "O(1) for each subcommand specified",
    ..Command::DEFAULT
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "bitfield",
        flags: Flags::WRITE.or(Flags::DENYOOM),
        touch: Touch::Fields,
        since: "3.2.0",
        summary: "Performs arbitrary bitfield integer operations on strings.",
        syntax: "key [operation:<GET encoding offset | OVERFLOW behaviour | SET encoding offset value:integer | INCRBY encoding \
                 offset increment:integer> [operation ...]]",
        examples: &[
            Example { call: "BITFIELD mykey INCRBY i5 100 1 GET u4 0", reply: "1\n0" },
            Example { call: "BITFIELD mykey OVERFLOW SAT INCRBY u2 102 5", reply: "3" },
            Example { call: "BITFIELD mykey OVERFLOW FAIL INCRBY u2 102 1", reply: "" },
        ],
        run: Run::Hop(|cx, args, reply| bitfield(cx, args, reply, false)),
        ..ROW
    },
    Command {
        name: "bitfield_ro",
        flags: Flags::READONLY.or(Flags::FAST),
        since: "6.0.0",
        summary: "Performs arbitrary read-only bitfield integer operations on strings.",
        syntax: "key [GET encoding offset [get ...]]",
        examples: &[
            Example { call: "BITFIELD mykey SET u8 #1 255", reply: "0" },
            Example { call: "BITFIELD_RO mykey GET i8 8", reply: "-1" },
        ],
        run: Run::Hop(|cx, args, reply| bitfield(cx, args, reply, true)),
        ..ROW
    },
];

/// What becomes of a number that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// A whole number of so many bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Width {
    bits: u32,
    signed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Get,
    Set(i64),
    Add(i64),
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    deed: Deed,
    width: Width,
    offset: usize,
    overflow: Overflow,
}

impl Width {
    fn parse(word: &[u8]) -> Result<Width, Failure> {
        const WRONG: Failure = Failure::new(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        );
        let (signed, digits) = match word {
            [b'i', digits @ ..] => (true, digits),
            [b'u', digits @ ..] => (false, digits),
            _ => return Err(WRONG),
        };
        let max = if signed { 64 } else { 63 };
        let bits = parse_integer(digits).filter(|bits| (1..=max).contains(bits)).ok_or(WRONG)?;
        Ok(Width { bits: bits as u32, signed })
    }

    fn range(self) -> (i128, i128) {
        match self.signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        }
    }

    /// The number that is kept of an exact one; `None` if it does not fit and shall fail.
    fn fit(self, exact: i128, overflow: Overflow) -> Option<i128> {
        let (least, most) = self.range();
        match overflow {
            _ if (least..=most).contains(&exact) => Some(exact),
            Overflow::Fail => None,
            Overflow::Saturate => Some(exact.clamp(least, most)),
            Overflow::Wrap => Some(self.of_bits(exact as u64 & self.mask())),
        }
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// The number that these bits are.
    fn of_bits(self, bits: u64) -> i128 {
        match self.signed && bits >> (self.bits - 1) & 1 == 1 {
            true => i128::from(bits) - (1 << self.bits),
            false => i128::from(bits),
        }
    }
}

/// The field at this place; what lies behind the end of the string is zero.
fn field(bytes: &[u8], offset: usize, width: Width) -> i128 {
    // A field lies in nine bytes at the most.
    let word =
        (0..9).fold(0u128, |word, n| word << 8 | u128::from(bytes.get(offset / 8 + n).copied().unwrap_or(0)));
    let below = 72 - (offset % 8) as u32 - width.bits;
    width.of_bits((word >> below) as u64 & width.mask())
}

fn set_field(bytes: &mut [u8], offset: usize, width: Width, number: i128) {
    let below = 72 - (offset % 8) as u32 - width.bits;
    let mask = u128::from(width.mask()) << below;
    let word = (u128::from(number as u64 & width.mask())) << below;
    for n in 0..9 {
        let shift = 64 - 8 * n;
        let (mask, word) = ((mask >> shift) as u8, (word >> shift) as u8);
        // Bytes behind the end have nothing of the field.
        if let Some(byte) = bytes.get_mut(offset / 8 + n as usize).filter(|_| mask != 0) {
            *byte = *byte & !mask | word;
        }
    }
}

fn parse(cx: &Cx<'_>, args: Args<'_>) -> Result<Vec<Operation>, Failure> {
    let mut operations = Vec::new();
    let (mut overflow, mut n) = (Overflow::Wrap, 2);
    while n < args.len() {
        let rest = args.len() - n - 1;
        let words = match () {
            () if args.is(n, "get") && rest >= 2 => 2,
            () if (args.is(n, "set") || args.is(n, "incrby")) && rest >= 3 => 3,
            () if args.is(n, "overflow") && rest >= 1 => {
                overflow = match () {
                    () if args.is(n + 1, "wrap") => Overflow::Wrap,
                    () if args.is(n + 1, "sat") => Overflow::Saturate,
                    () if args.is(n + 1, "fail") => Overflow::Fail,
                    () => return Err(Failure::new("ERR Invalid OVERFLOW type specified")),
                };
                n += 2;
                continue;
            }
            () => return Err(Failure::SYNTAX),
        };
        let width = Width::parse(args.at(n + 1))?;
        let offset = offset(cx, args.at(n + 2), Some(width.bits))?;
        let deed = match words {
            2 => Deed::Get,
            _ if args.is(n, "set") => Deed::Set(integer(args.at(n + 3))?),
            _ => Deed::Add(integer(args.at(n + 3))?),
        };
        operations.push(Operation { deed, width, offset, overflow });
        n += 1 + words;
    }
    Ok(operations)
}

/// Carries out an operation: its reply, and whether it has written another number than was there.
fn apply(bytes: &mut [u8], operation: &Operation) -> (Option<i128>, bool) {
    let Operation { deed, width, offset, overflow } = *operation;
    let before = field(bytes, offset, width);
    let (exact, shows_before) = match deed {
        Deed::Get => return (Some(before), false),
        // Of unsigned ones a negative number is a large one, as in Redis.
        Deed::Set(number) if !width.signed => (i128::from(number as u64), true),
        Deed::Set(number) => (i128::from(number), true),
        Deed::Add(number) => (before + i128::from(number), false),
    };
    let Some(after) = width.fit(exact, overflow) else { return (None, false) };
    set_field(bytes, offset, width, after);
    (Some(if shows_before { before } else { after }), before != after)
}

fn bitfield(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>, only_reads: bool) -> Outcome {
    let operations = parse(cx, args)?;
    let key = cx.key(args, 0);
    let end = |operation: &Operation| match operation.deed {
        Deed::Get => 0,
        _ => operation.offset + operation.width.bits as usize,
    };
    let bits = operations.iter().map(end).max().unwrap_or(0);
    if bits == 0 {
        let view = cx.read_string(key)?;
        reply.array(operations.len());
        let mut answer = |bytes: &[u8]| {
            operations.iter().for_each(|get| reply.integer(field(bytes, get.offset, get.width) as i64));
        };
        match view {
            Some(view) => view.with(answer),
            None => answer(b""),
        }
        return Ok(());
    }
    if only_reads {
        return Err(Failure::new("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    let answers = overwrite(cx, key, bits.div_ceil(8), |bytes| {
        let mut is_changed = false;
        let answers: Vec<Option<i128>> = operations
            .iter()
            .map(|operation| {
                let (answer, is_other) = apply(bytes, operation);
                is_changed |= is_other;
                answer
            })
            .collect();
        (answers, is_changed)
    })?;
    reply.array(answers.len());
    for answer in answers {
        match answer {
            Some(number) => reply.integer(number as i64),
            None => reply.null(),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::World;

    fn width() -> impl Strategy<Value = Width> {
        prop_oneof![
            (1u32..=64).prop_map(|bits| Width { bits, signed: true }),
            (1u32..=63).prop_map(|bits| Width { bits, signed: false }),
        ]
    }

    proptest! {
        #[test]
        fn fields_are_read_and_written_bit_by_bit(
            mut bytes in proptest::collection::vec(any::<u8>(), 10..30),
            width in width(),
            at in 0usize..1_000,
            number: i64,
        ) {
            let offset = at % (bytes.len() * 8 - width.bits as usize + 1);
            let bit = |bytes: &[u8], n: usize| bytes[n / 8] >> (7 - n % 8) & 1;
            let naive = |bytes: &[u8]| {
                let bits = (offset..offset + width.bits as usize)
                    .fold(0u64, |word, n| word << 1 | u64::from(bit(bytes, n)));
                width.of_bits(bits)
            };
            prop_assert_eq!(field(&bytes, offset, width), naive(&bytes));
            let before = bytes.clone();
            let kept = width.fit(i128::from(number), Overflow::Wrap).expect("wrapping never fails");
            set_field(&mut bytes, offset, width, kept);
            prop_assert_eq!(naive(&bytes), kept);
            for n in (0..bytes.len() * 8).filter(|n| !(offset..offset + width.bits as usize).contains(n)) {
                prop_assert_eq!(bit(&bytes, n), bit(&before, n));
            }
        }

        #[test]
        fn what_does_not_fit_is_wrapped_cut_or_refused(width in width(), exact in any::<i64>(), more: i64) {
            let exact = i128::from(exact) + i128::from(more);
            let (least, most) = width.range();
            let fits = exact >= least && exact <= most;
            prop_assert_eq!(width.fit(exact, Overflow::Fail), fits.then_some(exact));
            prop_assert_eq!(width.fit(exact, Overflow::Saturate), Some(exact.max(least).min(most)));
            let wrapped = (exact - least).rem_euclid(1 << width.bits) + least;
            prop_assert_eq!(width.fit(exact, Overflow::Wrap), Some(wrapped));
        }
    }

    #[test]
    fn fields_are_those_of_redis() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for (call, reply) in [
            ("BITFIELD a", ""),
            ("BITFIELD a GET u8 0 GET i64 100", "0\n0"),
            ("EXISTS a", "0"),
            ("BITFIELD a SET u8 0 255 GET i8 0", "0\n-1"),
            ("BITFIELD a SET u8 #1 -1 GET u16 0", "0\n65535"),
            (
                "BITFIELD a OVERFLOW FAIL INCRBY u8 0 1 OVERFLOW SAT INCRBY u8 0 1 OVERFLOW WRAP INCRBY u8 0 1",
                "\n255\n0",
            ),
            ("BITFIELD a SET i64 0 -9223372036854775808", "71776119061217280"),
            ("BITFIELD a OVERFLOW SAT INCRBY i64 0 -1", "-9223372036854775808"),
            ("BITFIELD a INCRBY i64 0 -1", "9223372036854775807"),
            (
                "BITFIELD a SET u63 1 9223372036854775807 GET u63 1",
                "9223372036854775807\n9223372036854775807",
            ),
            ("STRLEN a", "8"),
            ("BITFIELD_RO a GET u4 62", "12"),
            ("BITFIELD_RO a SET u4 62 1", "ERR BITFIELD_RO only supports the GET subcommand"),
            (
                "BITFIELD a GET u64 0",
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            ),
            (
                "BITFIELD a GET i65 0",
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            ),
            ("BITFIELD a GET u8 -1", "ERR bit offset is not an integer or out of range"),
            ("BITFIELD a GET u8 #-1", "ERR bit offset is not an integer or out of range"),
            ("BITFIELD a GET u8 #9223372036854775807", "ERR bit offset is not an integer or out of range"),
            ("BITFIELD a SET u8 0 x", "ERR value is not an integer or out of range"),
            ("BITFIELD a OVERFLOW x", "ERR Invalid OVERFLOW type specified"),
            ("BITFIELD a GET u8", "ERR syntax error"),
            ("RPUSH l 1", "1"),
            ("BITFIELD l GET u8 0", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("BITFIELD l SET u8 0 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
    }
}

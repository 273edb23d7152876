//! Strings as bits: one bit, how many are set, where the first is.
//!
//! Bit 0 is the highest of the first byte. It knows bits; how a string lies in memory is the record's business.

use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use super::string::overwrite;
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::protocol::request::parse_integer;
use crate::shard::Cx;

const ROW: Command = Command { group: Group::Bitmap, keys: Keys::ONE, ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "setbit",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        touch: Touch::Update,
        since: "2.2.0",
        summary: "Sets or clears the bit at offset of the string value. Creates the key if it doesn't exist.",
        syntax: "key offset:integer value:integer",
        examples: &[
            Example { call: "SETBIT mykey 7 1", reply: "0" },
            Example { call: "SETBIT mykey 7 0", reply: "1" },
            Example { call: "STRLEN mykey", reply: "1" },
        ],
        run: Run::Hop(setbit),
        ..ROW
    },
    Command {
        name: "getbit",
        arity: 3,
        flags: Flags::READONLY.or(Flags::FAST),
        since: "2.2.0",
        summary: "Returns a bit value by offset.",
        syntax: "key offset:integer",
        examples: &[
            Example { call: "SETBIT mykey 7 1", reply: "0" },
            Example { call: "GETBIT mykey 7", reply: "1" },
            Example { call: "GETBIT mykey 100", reply: "0" },
        ],
        run: Run::Hop(getbit),
        ..ROW
    },
    Command {
        name: "bitcount",
        arity: -2,
        flags: Flags::READONLY,
        since: "2.6.0",
        summary: "Counts the number of set bits (population counting) in a string.",
        complexity: "O(N)",
        syntax: "key [start:integer end:integer [BYTE | BIT]]",
        examples: &[
            Example { call: "SET mykey foobar", reply: "OK" },
            Example { call: "BITCOUNT mykey", reply: "26" },
            Example { call: "BITCOUNT mykey 1 1 BYTE", reply: "6" },
            Example { call: "BITCOUNT mykey 5 30 BIT", reply: "17" },
        ],
        run: Run::Hop(bitcount),
        ..ROW
    },
    Command {
        name: "bitpos",
        arity: -3,
        flags: Flags::READONLY,
        since: "2.8.7",
        summary: "Finds the first set (1) or clear (0) bit in a string.",
        complexity: "O(N)",
        syntax: "key bit:integer [start:integer [end:integer [BYTE | BIT]]]",
        examples: &[
            Example { call: "SET mykey \"\\xff\\xf0\\x00\"", reply: "OK" },
            Example { call: "BITPOS mykey 0", reply: "12" },
            Example { call: "BITPOS mykey 1 2", reply: "-1" },
            Example { call: "BITPOS mykey 1 7 15 BIT", reply: "7" },
        ],
        run: Run::Hop(bitpos),
        ..ROW
    },
];

const WRONG_BIT: Failure = Failure::new("ERR bit is not an integer or out of range");
const WRONG_OFFSET: Failure = Failure::new("ERR bit offset is not an integer or out of range");

/// The place of a bit, within what a string may be long; `#n` is the n-th integer of so many bits, where that is allowed.
pub(super) fn offset(cx: &Cx<'_>, word: &[u8], bits: Option<u32>) -> Result<usize, Failure> {
    let (digits, unit) = match (bits, word) {
        (Some(bits), [b'#', rest @ ..]) => (rest, i64::from(bits)),
        _ => (word, 1),
    };
    let offset = parse_integer(digits).and_then(|number| number.checked_mul(unit)).ok_or(WRONG_OFFSET)?;
    let offset = u64::try_from(offset).map_err(|_| WRONG_OFFSET)?;
    if offset >> 3 >= cx.settings.proto_max_bulk_len {
        return Err(WRONG_OFFSET);
    }
    Ok(offset as usize)
}

fn setbit(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let offset = offset(cx, args.at(2), None)?;
    let on = match parse_integer(args.at(3)) {
        Some(on @ (0 | 1)) => on as u8,
        _ => return Err(WRONG_BIT),
    };
    let key = cx.key(args, 0);
    let before = overwrite(cx, key, (offset >> 3) + 1, |bytes| {
        let byte = &mut bytes[offset >> 3];
        let place = 7 - (offset & 7);
        let before = *byte >> place & 1;
        *byte = *byte & !(1 << place) | on << place;
        (before, before != on)
    })?;
    reply.integer(i64::from(before));
    Ok(())
}

fn getbit(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let offset = offset(cx, args.at(2), None)?;
    let view = cx.read_string(cx.key(args, 0))?;
    let bit =
        view.and_then(|view| view.with(|bytes| Some(bytes.get(offset >> 3)? >> (7 - (offset & 7)) & 1)));
    reply.integer(i64::from(bit.unwrap_or(0)));
    Ok(())
}

/// True if a unit is bits, not bytes.
fn is_bits(args: Args<'_>, n: usize) -> Result<bool, Failure> {
    match args.len() > n {
        true if args.is(n, "bit") => Ok(true),
        true if !args.is(n, "byte") => Err(Failure::SYNTAX),
        _ => Ok(false),
    }
}

/// A range of bits as its ends are given, both included and perhaps counted from the end of `len` bytes; in bits. `None` if it is empty.
fn bit_range(start: i64, end: i64, len: usize, in_bits: bool) -> Option<(usize, usize)> {
    let total = if in_bits { len as i64 * 8 } else { len as i64 };
    let place = |n: i64| if n < 0 { n.saturating_add(total).max(0) } else { n };
    let (start, end) = (place(start), place(end).min(total - 1));
    if start > end {
        return None;
    }
    let (start, end) = (start as usize, end as usize + 1);
    Some(if in_bits { (start, end) } else { (start * 8, end * 8) })
}

fn bitcount(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let range = match args.len() {
        2 => None,
        4 | 5 => Some((integer(args.at(2))?, integer(args.at(3))?)),
        _ => return Err(Failure::SYNTAX),
    };
    let in_bits = is_bits(args, 4)?;
    let view = cx.read_string(cx.key(args, 0))?;
    let (start, end) = range.unwrap_or((0, -1));
    // Redis's special case: both counted from the end and crossed is empty even where clamping would meet.
    let is_crossed = start < 0 && end < 0 && start > end;
    let count = view.filter(|_| !is_crossed).map_or(0, |view| {
        view.with(|bytes| {
            bit_range(start, end, bytes.len(), in_bits).map_or(0, |(start, end)| count(bytes, start, end))
        })
    });
    reply.count(count);
    Ok(())
}

fn bitpos(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let sought = match integer(args.at(2))? {
        0 => false,
        1 => true,
        _ => return Err(Failure::new("ERR The bit argument must be 1 or 0.")),
    };
    let start = if args.len() > 3 { integer(args.at(3))? } else { 0 };
    let in_bits = match args.len() {
        3..=5 => false,
        6 => is_bits(args, 5)?,
        _ => return Err(Failure::SYNTAX),
    };
    let end = if args.len() > 4 { Some(integer(args.at(4))?) } else { None };
    let found = cx.read_string(cx.key(args, 0))?.map(|view| {
        view.with(|bytes| {
            let (start, until) = bit_range(start, end.unwrap_or(-1), bytes.len(), in_bits)?;
            // Behind a string without an end that was asked for there are zeroes for ever.
            position(bytes, start, until, sought).or_else(|| (!sought && end.is_none()).then_some(until))
        })
    });
    match found {
        None => reply.integer(if sought { -1 } else { 0 }),
        Some(place) => reply.integer(place.map_or(-1, |place| place as i64)),
    }
    Ok(())
}

/// A byte, of which only the bits from `start` up to `end` stay, the others zero; both counted from the beginning of all bytes.
fn masked(byte: u8, n: usize, start: usize, end: usize) -> u8 {
    let (from, to) = (start.saturating_sub(n * 8).min(8), end.saturating_sub(n * 8).min(8));
    let mask = (0xff_u16 >> from) as u8 & !((0xff_u16 >> to) as u8);
    byte & mask
}

/// How many bits are set from `start` up to `end`, which is not included.
fn count(bytes: &[u8], start: usize, end: usize) -> usize {
    let (first, last) = (start / 8, (end - 1) / 8);
    let ones = |n: usize| masked(bytes[n], n, start, end).count_ones() as usize;
    if first == last {
        return ones(first);
    }
    let (words, rest) = bytes[first + 1..last].as_chunks::<8>();
    let within: usize = words.iter().map(|word| u64::from_ne_bytes(*word).count_ones() as usize).sum();
    let odd: usize = rest.iter().map(|byte| byte.count_ones() as usize).sum();
    ones(first) + within + odd + ones(last)
}

/// The first bit like this from `start` up to `end`, which is not included.
fn position(bytes: &[u8], start: usize, end: usize, sought: bool) -> Option<usize> {
    // What is sought is one after this.
    let turn = if sought { 0 } else { 0xff };
    let (first, last) = (start / 8, (end - 1) / 8);
    let within = |n: usize| {
        let byte = masked(bytes[n] ^ turn, n, start, end);
        (byte != 0).then(|| n * 8 + byte.leading_zeros() as usize)
    };
    within(first)
        .or_else(|| {
            let middle = bytes.get(first + 1..last)?;
            let (words, _) = middle.as_chunks::<8>();
            let other = u64::from_ne_bytes([turn; 8]);
            let skipped = words.iter().take_while(|word| u64::from_ne_bytes(**word) == other).count() * 8;
            (first + 1 + skipped..last).find_map(within)
        })
        .or_else(|| within(last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::World;

    proptest! {
        #[test]
        fn bits_are_counted_and_found_as_one_by_one(
            bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 1..90),
            a in 0usize..720,
            b in 0usize..720,
            sought: bool,
        ) {
            let total = bytes.len() * 8;
            let (start, end) = (a.min(b) % total, (a.max(b) % total).max(a.min(b) % total) + 1);
            let bit = |n: usize| bytes[n / 8] >> (7 - n % 8) & 1 == 1;
            prop_assert_eq!(count(&bytes, start, end), (start..end).filter(|n| bit(*n)).count());
            prop_assert_eq!(position(&bytes, start, end, sought), (start..end).find(|n| bit(*n) == sought));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_bitmap_is_a_row_of_bits_whatever_form_its_string_has(
            steps in proptest::collection::vec((0u8..12, 0usize..40_000, 0usize..200, any::<bool>()), 1..60),
        ) {
            let mut world = World::new(1);
            let client = world.connect(0);
            let mut model: Vec<u8> = Vec::new();
            let bit = |model: &[u8], n: usize| model.get(n / 8).is_some_and(|byte| byte >> (7 - n % 8) & 1 == 1);
            for (what, far, near, one) in steps {
                // A number, a short string within its record, a long one in a buffer of its own: each becomes another.
                match what {
                    0 => {
                        let number = (far * near).to_string();
                        world.call(client, &format!("SET b {number}"));
                        model = number.into_bytes();
                    }
                    1 => {
                        let text = "x".repeat(near * 15);
                        world.call(client, &format!("SETRANGE b {near} {text}x"));
                        model.resize(model.len().max(near), 0);
                        let end = model.len().min(near + text.len() + 1);
                        model.splice(near..end, vec![b'x'; text.len() + 1]);
                    }
                    2 => {
                        world.call(client, &format!("APPEND b {near}"));
                        model.extend_from_slice(near.to_string().as_bytes());
                    }
                    3 => {
                        world.call(client, "DEL b");
                        model.clear();
                    }
                    _ => {
                        let n = if what < 6 { far } else { near };
                        let before = format!(":{}\r\n", u8::from(bit(&model, n)));
                        prop_assert_eq!(world.call(client, &format!("SETBIT b {n} {}", u8::from(one))), before);
                        model.resize(model.len().max(n / 8 + 1), 0);
                        let mask = 1 << (7 - n % 8);
                        if one { model[n / 8] |= mask } else { model[n / 8] &= !mask }
                    }
                }
                let is = |bits: u32| format!(":{bits}\r\n");
                prop_assert_eq!(world.call(client, "STRLEN b"), is(model.len() as u32));
                prop_assert_eq!(world.call(client, "BITCOUNT b"), is(model.iter().map(|byte| byte.count_ones()).sum()));
                for n in [near, far, model.len() * 8] {
                    prop_assert_eq!(world.call(client, &format!("GETBIT b {n}")), is(bit(&model, n).into()));
                }
            }
        }
    }

    #[test]
    fn one_bit_is_set_wherever_the_string_lies() {
        let mut world = World::with(2, |settings| settings.proto_max_bulk_len = 1 << 20);
        let client = world.connect(0);
        for (call, reply) in [
            ("SETBIT a 9 1", "0"),
            ("SETBIT a 9 1", "1"),
            ("GETBIT a 9", "1"),
            ("GETBIT a 10", "0"),
            ("GETBIT nosuch 10", "0"),
            ("STRLEN a", "2"),
            ("OBJECT ENCODING a", "raw"),
            ("SET n 12", "OK"),
            ("GETBIT n 2", "1"),
            ("SETBIT n 7 0", "1"),
            ("GET n", "02"),
            ("SETBIT a 79999 1", "0"),
            ("STRLEN a", "10000"),
            ("BITCOUNT a", "2"),
            ("BITPOS a 1 2", "79999"),
            ("SETBIT a 8388608 1", "ERR bit offset is not an integer or out of range"),
            ("SETBIT a 8388607 1", "0"),
            ("SETBIT a -1 1", "ERR bit offset is not an integer or out of range"),
            ("SETBIT a #1 1", "ERR bit offset is not an integer or out of range"),
            ("SETBIT a 1 2", "ERR bit is not an integer or out of range"),
            ("SETBIT a 1 x", "ERR bit is not an integer or out of range"),
            ("RPUSH l x", "1"),
            ("SETBIT l 1 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("GETBIT l 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
    }

    #[test]
    fn ranges_are_those_of_redis() {
        let mut world = World::new(1);
        let client = world.connect(0);
        world.call(client, "SET s foobar");
        world.call(client, "SET ones \"\\xff\\xff\\xff\"");
        world.call(client, "SET empty \"\"");
        for (call, reply) in [
            ("BITCOUNT s 0 0", "4"),
            ("BITCOUNT s -2 -1", "7"),
            ("BITCOUNT s -1 -2", "0"),
            ("BITCOUNT s 0 -100", "4"),
            ("BITCOUNT s 10 20", "0"),
            ("BITCOUNT s 5 30 BIT", "17"),
            ("BITCOUNT s 5 30 BITS", "ERR syntax error"),
            ("BITCOUNT s 5", "ERR syntax error"),
            ("BITCOUNT s a 5", "ERR value is not an integer or out of range"),
            ("BITCOUNT nosuch 0 -1 BIT", "0"),
            ("BITPOS ones 0", "24"),
            ("BITPOS ones 0 1", "24"),
            ("BITPOS ones 0 0 -1", "-1"),
            ("BITPOS ones 0 3", "-1"),
            ("BITPOS ones 1 9 20 BIT", "9"),
            ("BITPOS empty 0", "-1"),
            ("BITPOS nosuch 0", "0"),
            ("BITPOS nosuch 1", "-1"),
            ("BITPOS ones 2", "ERR The bit argument must be 1 or 0."),
            ("BITPOS ones x", "ERR value is not an integer or out of range"),
            ("BITPOS ones 0 0 0 0 0", "ERR syntax error"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
    }
}

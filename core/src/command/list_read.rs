//! Lists: looking at their elements.

use super::list::reply_element;
use super::parse::{integer, ranged};
use super::row::{Command, Example, Flags, Group, Keys, Run};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::element::Element;
use crate::value::list::List;
use crate::value::pack::Side;

const ROW: Command =
    Command { group: Group::List, keys: Keys::ONE, flags: Flags::READONLY, ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "lrange",
        arity: 4,
        summary: "Returns a range of elements from a list.",
        complexity: "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or TAIL) for \
                     large lists; and N is the number of elements in the specified range.",
        syntax: "key start:integer stop:integer",
        examples: &[
            Example { call: "RPUSH mylist one two three", reply: "3" },
            Example { call: "LRANGE mylist 0 0", reply: "one" },
            Example { call: "LRANGE mylist -2 -1", reply: "two\nthree" },
            Example { call: "LRANGE mylist 5 10", reply: "" },
        ],
        run: Run::Hop(range),
        ..ROW
    },
    Command {
        name: "lindex",
        arity: 3,
        summary: "Returns an element from a list by its index.",
        complexity: "O(N) where N is the number of elements to traverse to get to the element at index. This makes asking for the \
                     first or the last element of the list O(1).",
        syntax: "key index:integer",
        examples: &[
            Example { call: "RPUSH mylist hello world", reply: "2" },
            Example { call: "LINDEX mylist 0", reply: "hello" },
            Example { call: "LINDEX mylist -1", reply: "world" },
            Example { call: "LINDEX mylist 3", reply: "" },
        ],
        run: Run::Hop(index),
        ..ROW
    },
    Command {
        name: "lpos",
        arity: -3,
        since: "6.0.6",
        summary: "Returns the index of matching elements in a list.",
        complexity: "O(N) where N is the number of elements in the list, for the average case. When searching for elements near the \
                     head or the tail of the list, or when the MAXLEN option is provided, the command may run in constant time.",
        syntax: "key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]",
        examples: &[
            Example { call: "RPUSH mylist a b c d 1 2 3 4 3 3 3", reply: "11" },
            Example { call: "LPOS mylist 3", reply: "6" },
            Example { call: "LPOS mylist 3 COUNT 0 RANK 2", reply: "8\n9\n10" },
        ],
        run: Run::Hop(positions),
        ..ROW
    },
];

/// The places from `start` to `stop`, both included and counted from the end if negative, that a list of `len` elements has: from, and
/// before which.
pub(super) fn places(start: i64, stop: i64, len: usize) -> Option<(usize, usize)> {
    let len = len as i64;
    let from = if start < 0 { (len + start).max(0) } else { start };
    let last = if stop < 0 { len + stop } else { stop.min(len - 1) };
    (from <= last && from < len).then(|| (from as usize, last as usize + 1))
}

/// A place that is counted from the end if negative.
pub(super) fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(len as i64)? } else { index };
    usize::try_from(index).ok().filter(|&index| index < len)
}

/// Bytes of a bulk besides the text's, about.
const BULK_FRAME: usize = 8;

fn range(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, stop) = (integer(args.at(2))?, integer(args.at(3))?);
    let list = cx.read_held::<List>(cx.key(args, 0))?;
    let cut = list.and_then(|list| Some((list, places(start, stop, list.len())?)));
    let Some((list, (from, to))) = cut else {
        reply.array(0);
        return Ok(());
    };
    // So that a long reply is not copied again and again while it grows.
    reply.reserve((to - from) * (list.owned_bytes() / list.len() + BULK_FRAME));
    reply.array(to - from);
    list.range(from, to).for_each(|element| reply_element(element, reply));
    Ok(())
}

fn index(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(list) = cx.read_held::<List>(cx.key(args, 0))? else {
        reply.null();
        return Ok(());
    };
    let index = integer(args.at(2))?;
    match place(index, list.len()).and_then(|place| list.get(place)) {
        Some(element) => reply_element(element, reply),
        None => reply.null(),
    }
    Ok(())
}

/// What LPOS was asked for.
struct Search {
    /// From which end.
    side: Side,
    /// Matches that are passed over.
    skipped: u64,
    /// How many matches; 0: all. `None`: one, and not in an array.
    count: Option<u64>,
    /// How many elements are looked at; 0: all.
    len_max: u64,
}

impl Search {
    fn parse(args: Args<'_>) -> Result<Search, Failure> {
        let mut search = Search { side: Side::Left, skipped: 0, count: None, len_max: 0 };
        let mut n = 3;
        while n < args.len() {
            let Some(operand) = args.get(n + 1) else { return Err(Failure::SYNTAX) };
            if args.is(n, "rank") {
                search.rank(integer(operand)?)?;
            } else if args.is(n, "count") {
                search.count = Some(ranged(operand, 0, "ERR COUNT can't be negative")? as u64);
            } else if args.is(n, "maxlen") {
                search.len_max = ranged(operand, 0, "ERR MAXLEN can't be negative")? as u64;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 2;
        }
        Ok(search)
    }

    fn rank(&mut self, rank: i64) -> Outcome {
        self.side = if rank < 0 { Side::Right } else { Side::Left };
        self.skipped = match rank {
            0 => {
                return Err(Failure::new(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                     or use negative to start from the end of the list",
                ));
            }
            i64::MIN => {
                return Err(Failure::new(
                    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
                ));
            }
            _ => rank.unsigned_abs() - 1,
        };
        Ok(())
    }

    /// The places where `sought` stands, in the order in which they are met.
    fn places(&self, list: &List, sought: Element<'_>) -> Vec<usize> {
        let len = list.len();
        let elements = match self.side {
            Side::Left => list.range(0, len),
            Side::Right => list.range_back(0, len),
        };
        let looked_at = if self.len_max == 0 { len } else { clamp(self.len_max) };
        let matches = match self.count {
            None => 1,
            Some(0) => usize::MAX,
            Some(count) => clamp(count),
        };
        elements
            .take(looked_at)
            .enumerate()
            .filter(|(_, element)| *element == sought)
            .map(|(n, _)| if self.side == Side::Left { n } else { len - 1 - n })
            .skip(clamp(self.skipped))
            .take(matches)
            .collect()
    }
}

fn clamp(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn positions(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let search = Search::parse(args)?;
    let list = cx.read_held::<List>(cx.key(args, 0))?;
    let places = list.map(|list| search.places(list, Element::of(args.at(2)))).unwrap_or_default();
    match (search.count, places.first()) {
        (Some(_), _) => {
            reply.array(places.len());
            places.iter().for_each(|&place| reply.count(place));
        }
        (None, Some(&place)) => reply.count(place),
        (None, None) => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn places_are_cut_to_what_exists() {
        for (start, stop, len, cut) in [
            (0, -1, 5, Some((0, 5))),
            (-3, -2, 5, Some((2, 4))),
            (1, 100, 5, Some((1, 5))),
            (0, -100, 5, None),
            (-100, -5, 5, Some((0, 1))),
            (5, 9, 5, None),
            (3, 1, 5, None),
            (0, 0, 0, None),
            (i64::MIN, i64::MAX, 3, Some((0, 3))),
            (i64::MAX, i64::MIN, 3, None),
        ] {
            assert_eq!(places(start, stop, len), cut, "{start} {stop} {len}");
        }
        for (index, found) in
            [(0, Some(0)), (-1, Some(2)), (2, Some(2)), (3, None), (-4, None), (i64::MIN, None)]
        {
            assert_eq!(place(index, 3), found, "{index}");
        }
    }

    #[test]
    fn elements_are_looked_at() {
        let mut world = World::new(3);
        let client = world.connect(1);
        world.call(client, "RPUSH l a b c 1 2 3 c c");
        for (call, reply) in [
            ("LRANGE l 1 -6", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
            ("LRANGE l 3 2", "*0\r\n"),
            ("LRANGE nosuch 0 -1", "*0\r\n"),
            ("LRANGE nosuch x 1", "-ERR value is not an integer or out of range\r\n"),
            ("LINDEX l 3", "$1\r\n1\r\n"),
            ("LINDEX l -9", "$-1\r\n"),
            ("LINDEX nosuch x", "$-1\r\n"),
            ("LINDEX l x", "-ERR value is not an integer or out of range\r\n"),
            ("LPOS l c", ":2\r\n"),
            ("LPOS l c RANK 2", ":6\r\n"),
            ("LPOS l c RANK -1", ":7\r\n"),
            ("LPOS l c COUNT 0", "*3\r\n:2\r\n:6\r\n:7\r\n"),
            ("LPOS l c COUNT 2 RANK -1", "*2\r\n:7\r\n:6\r\n"),
            ("LPOS l c COUNT 0 MAXLEN 3", "*1\r\n:2\r\n"),
            ("LPOS l c MAXLEN 2", "$-1\r\n"),
            ("LPOS l c RANK 4", "$-1\r\n"),
            ("LPOS l c RANK 4 COUNT 1", "*0\r\n"),
            ("LPOS nosuch c COUNT 1", "*0\r\n"),
            ("LPOS nosuch c", "$-1\r\n"),
            ("LPOS l c COUNT -1", "-ERR COUNT can't be negative\r\n"),
            ("LPOS l c MAXLEN x", "-ERR MAXLEN can't be negative\r\n"),
            ("LPOS l c RANK", "-ERR syntax error\r\n"),
            ("LPOS l c FOO 1", "-ERR syntax error\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
        assert!(world.say(client, "LPOS l c RANK 0").starts_with("ERR RANK can't be zero: use 1 to start"));
        assert!(
            world
                .say(client, &format!("LPOS l c RANK {}", i64::MIN))
                .starts_with("ERR value is out of range")
        );
    }
}

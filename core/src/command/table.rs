//! All rows in one array, made at compile time, and a perfect hash over their names.
//!
//! A row's place in the array is its [`CommandId`]: what messages and statistics use. Nothing is registered at run time.

use super::FAMILIES;
use super::row::{Command, Flags};
use crate::args::Args;

/// A row's place in the table, the same in every core of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u16);

/// A row with its place in the tree.
#[derive(Clone, Copy)]
pub struct Placed {
    /// The row.
    pub command: &'static Command,
    /// Its container, for a subcommand.
    pub parent: Option<CommandId>,
    /// Where its own subcommands begin.
    first_child: u16,
    /// Of its name.
    word: u64,
    /// That says everything about the name.
    is_short: bool,
}

/// How many rows there are, subcommands included.
pub const COUNT: usize = count();

const ALL_ROWS: [Placed; COUNT] = flatten();
static ALL: [Placed; COUNT] = ALL_ROWS;

/// Slots of the perfect hash; at most half are taken.
const SLOTS: usize = 1024;
const BUCKETS: usize = 256;
const EMPTY: u16 = u16::MAX;

/// For each bucket of names the displacement that keeps them apart, and the table that results.
struct PerfectHash {
    displacement: [u8; BUCKETS],
    slots: [u16; SLOTS],
}

static NAMES: PerfectHash = perfect_hash();

impl CommandId {
    /// The row and its place.
    #[inline]
    pub fn placed(self) -> &'static Placed {
        &ALL[usize::from(self.0)]
    }

    /// The row.
    #[inline]
    pub fn row(self) -> &'static Command {
        self.placed().command
    }

    /// As an index into a list with one place per row.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The name, a subcommand's behind its container's and a bar, as in `config|get`.
    pub fn full_name(self) -> String {
        match self.placed().parent {
            Some(parent) => format!("{}|{}", parent.row().name, self.row().name),
            None => self.row().name.to_string(),
        }
    }

    /// Ids of its subcommands.
    pub fn children(self) -> impl Iterator<Item = CommandId> {
        let placed = self.placed();
        (0..placed.command.subcommands.len() as u16).map(move |n| CommandId(placed.first_child + n))
    }
}

/// Every row that clients can name, subcommands included, in the order of the table.
pub fn all() -> impl Iterator<Item = CommandId> {
    (0..COUNT as u16).map(CommandId).filter(|id| !id.row().flags.has(Flags::UNNAMED))
}

/// The one row that clients cannot name and that has this name.
pub(crate) const fn unnamed(name: &str) -> CommandId {
    let mut id = 0;
    let mut found = COUNT;
    while id < COUNT {
        if ALL_ROWS[id].command.flags.has(Flags::UNNAMED) && is_same(ALL_ROWS[id].command.name, name) {
            assert!(found == COUNT, "two rows that nobody can name have one name");
            found = id;
        }
        id += 1;
    }
    assert!(found < COUNT, "there is such a row");
    CommandId(found as u16)
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// Every command that is no subcommand.
pub fn top_level() -> impl Iterator<Item = CommandId> {
    all().filter(|id| id.placed().parent.is_none())
}

/// What the first words of a request name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// This row.
    Command(CommandId),
    /// A container, but no such subcommand of it.
    UnknownSubcommand(CommandId),
    /// Nothing.
    Unknown,
}

/// Finds the row of a request.
#[inline(always)]
pub fn find(args: Args<'_>) -> Found {
    let Some(id) = args.get(0).and_then(find_name) else { return Found::Unknown };
    let row = id.row();
    if row.subcommands.is_empty() || args.len() < 2 {
        return Found::Command(id);
    }
    find_child(id, args.at(1)).map_or(Found::UnknownSubcommand(id), Found::Command)
}

/// Finds a command by its name, whatever the case.
#[inline]
pub fn find_name(name: &[u8]) -> Option<CommandId> {
    let word = word(name);
    let hash = hash_of(word, name.len());
    let slot = NAMES.slots[slot_of(hash, NAMES.displacement[bucket_of(hash)])];
    if slot == EMPTY {
        return None;
    }
    let placed = &ALL[slot as usize];
    let is_it = match placed.is_short {
        true => placed.word == word && name.len() == placed.command.name.len(),
        false => placed.command.name.as_bytes().eq_ignore_ascii_case(name),
    };
    is_it.then_some(CommandId(slot))
}

/// The first and the last letters of a name in lower case, up to eight of each, which overlap in a short name.
#[inline]
const fn word(name: &[u8]) -> u64 {
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let len = name.len();
    if len >= 8 {
        let (first, last) = (eight(name, 0), eight(name, len - 8));
        return (first | LOWER) ^ (last | LOWER).rotate_left(29);
    }
    let mut word = 0;
    let mut at = 0;
    while at < len {
        word = word << 8 | name[at] as u64;
        at += 1;
    }
    // As many bytes as there are letters.
    word | LOWER >> (8 * (8 - len) as u32 % 64)
}

const fn eight(name: &[u8], at: usize) -> u64 {
    u64::from_le_bytes([
        name[at],
        name[at + 1],
        name[at + 2],
        name[at + 3],
        name[at + 4],
        name[at + 5],
        name[at + 6],
        name[at + 7],
    ])
}

/// True if [`word`] tells a name from every other of its length: less than eight bytes, all of them letters, for which setting a bit is
/// lower case.
const fn is_told_by_word(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        if !name[at].is_ascii_lowercase() {
            return false;
        }
        at += 1;
    }
    name.len() < 8
}

/// Finds a subcommand by its word, whatever the case.
pub fn find_child(container: CommandId, word: &[u8]) -> Option<CommandId> {
    container.children().find(|child| child.row().name.as_bytes().eq_ignore_ascii_case(word))
}

/// Finds `config|get` as well as `get`.
pub fn find_full_name(name: &[u8]) -> Option<CommandId> {
    match memchr::memchr(b'|', name) {
        Some(bar) => find_child(find_name(&name[..bar])?, &name[bar + 1..]),
        None => find_name(name),
    }
}

const fn count() -> usize {
    let (mut family, mut total) = (0, 0);
    while family < FAMILIES.len() {
        let mut row = 0;
        while row < FAMILIES[family].len() {
            total += 1 + FAMILIES[family][row].subcommands.len();
            row += 1;
        }
        family += 1;
    }
    total
}

const fn flatten() -> [Placed; COUNT] {
    let mut all = [placed(&Command::DEFAULT, None, 0); COUNT];
    let (mut family, mut next) = (0, 0);
    while family < FAMILIES.len() {
        let rows: &'static [Command] = FAMILIES[family];
        let mut row = 0;
        while row < rows.len() {
            let parent = next;
            all[parent] = placed(&rows[row], None, parent as u16 + 1);
            next += 1;
            let mut child = 0;
            while child < rows[row].subcommands.len() {
                let parent = Some(CommandId(parent as u16));
                all[next] = placed(&rows[row].subcommands[child], parent, 0);
                next += 1;
                child += 1;
            }
            row += 1;
        }
        family += 1;
    }
    all
}

const fn placed(command: &'static Command, parent: Option<CommandId>, first_child: u16) -> Placed {
    let name = command.name.as_bytes();
    Placed { command, parent, first_child, word: word(name), is_short: is_told_by_word(name) }
}

const fn hash(name: &[u8]) -> u64 {
    hash_of(word(name), name.len())
}

const fn hash_of(word: u64, len: usize) -> u64 {
    (word ^ (len as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

const fn bucket_of(hash: u64) -> usize {
    (hash >> 40) as usize % BUCKETS
}

const fn slot_of(hash: u64, displacement: u8) -> usize {
    ((hash ^ (displacement as u64)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 54) as usize % SLOTS
}

/// Hash and displace: the fullest buckets first, each with the first displacement under which its names fall on free slots.
const fn perfect_hash() -> PerfectHash {
    let mut made = PerfectHash { displacement: [0; BUCKETS], slots: [EMPTY; SLOTS] };
    let mut members = [[0u16; 8]; BUCKETS];
    let mut sizes = [0usize; BUCKETS];
    let mut id = 0;
    while id < COUNT {
        if ALL[id].parent.is_none() && !ALL[id].command.flags.has(Flags::UNNAMED) {
            let bucket = bucket_of(hash(ALL[id].command.name.as_bytes()));
            members[bucket][sizes[bucket]] = id as u16;
            sizes[bucket] += 1;
        }
        id += 1;
    }
    let mut size = 8;
    while size > 0 {
        let mut bucket = 0;
        while bucket < BUCKETS {
            if sizes[bucket] == size {
                let mut displacement = 0;
                while !place(&mut made.slots, &members[bucket], size, displacement) {
                    assert!(
                        displacement < u8::MAX,
                        "two commands have one name, or the hash needs more slots"
                    );
                    displacement += 1;
                }
                made.displacement[bucket] = displacement;
            }
            bucket += 1;
        }
        size -= 1;
    }
    made
}

/// Puts the members on their slots if all are free.
const fn place(slots: &mut [u16; SLOTS], members: &[u16; 8], size: usize, displacement: u8) -> bool {
    let mut done = 0;
    while done < size {
        let slot = slot_of(hash(ALL[members[done] as usize].command.name.as_bytes()), displacement);
        if slots[slot] != EMPTY {
            while done > 0 {
                done -= 1;
                slots[slot_of(hash(ALL[members[done] as usize].command.name.as_bytes()), displacement)] =
                    EMPTY;
            }
            return false;
        }
        slots[slot] = members[done];
        done += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;

    #[test]
    fn every_row_is_found_by_its_name_in_any_case() {
        for id in top_level() {
            let name = id.row().name;
            assert_eq!(find_name(name.as_bytes()), Some(id), "{name}");
            assert_eq!(find_name(name.to_uppercase().as_bytes()), Some(id), "{name}");
            for child in id.children() {
                let args = OwnedArgs::new(&[name, child.row().name]);
                assert_eq!(find(args.view()), Found::Command(child), "{}", child.full_name());
            }
        }
        for name in ["", "nosuch", "gett", "ge", "GET\0", &"x".repeat(1_000)] {
            assert_eq!(find_name(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn rows_are_whole() {
        for id in all() {
            let (name, row) = (id.full_name(), id.row());
            assert!(!row.summary.is_empty() && row.summary.ends_with('.'), "{name}: a summary is a sentence");
            assert_eq!(row.name, row.name.to_lowercase(), "{name}: names stand in lower case");
            assert!(
                !(row.flags.has(super::super::Flags::WRITE) && row.flags.has(super::super::Flags::READONLY)),
                "{name}"
            );
        }
    }
}

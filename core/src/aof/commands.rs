//! A file of commands, as Redis writes its own log: requests of bulks, one behind the other, and lines of notes that begin with `#`.
//!
//! ```text
//! file     command ...
//! command  "*" count CR LF | word ...
//! word     "$" length CR LF | bytes CR LF
//! note     "#" anything CR LF                       as `#TS:` with the second in which the next command ran
//! ```
//!
//! A command that is cut short by the end of the file is where it was torn. It knows bytes, not commands, and asks for bytes instead of reading
//! them.

use crate::aof::inflow::Inflow;
use crate::args::{Args, Span};

/// Bytes of a line that holds a number.
const LINE_MAX: usize = 32;
/// Bytes of a line that is a note.
const NOTE_MAX: usize = 64 << 10;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A command of so many bytes: see [`Script::args`].
    Command(usize),
    /// More must be read.
    Read,
    /// There is no more; so many bytes at the end are no whole command.
    End(u64),
    /// The file is damaged at this byte.
    Damaged(u64, &'static str),
}

/// What stands at the beginning of bytes of a file.
enum Found {
    Command(usize),
    Note(usize),
    /// At least so many bytes are needed to tell.
    Needs(usize),
    Wrong(usize, &'static str),
}

/// A file of commands that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What was read of it.
    pub file: Inflow,
    /// Bytes from here on do not count.
    limit: u64,
    spans: Vec<Span>,
}

impl Script {
    /// Before anything was read: commands begin at byte `from`, and end before `limit`.
    pub fn new(path: String, from: u64, limit: u64) -> Script {
        Script { file: Inflow::new(path, from), limit, spans: Vec::new() }
    }

    /// A piece was read; an empty one is the end.
    pub fn add(&mut self, bytes: &[u8]) {
        let room = usize::try_from(self.limit - self.file.read_to).unwrap_or(usize::MAX);
        self.file.add(&bytes[..bytes.len().min(room)]);
    }

    /// What comes next; a command stays until it is passed.
    pub fn look(&mut self) -> Next {
        loop {
            if self.file.lacks() {
                return Next::Read;
            }
            let rest = self.file.rest();
            if rest.is_empty() {
                return Next::End(0);
            }
            match find(rest, &mut self.spans) {
                Found::Command(len) => return Next::Command(len),
                Found::Note(len) => self.file.pass(len),
                Found::Needs(len) if !self.file.is_read() => {
                    self.file.need(len);
                    return Next::Read;
                }
                Found::Needs(_) if is_followed(rest) => {
                    return Next::Damaged(self.file.at(), "a command is not whole, and others follow it");
                }
                Found::Needs(_) => return Next::End(rest.len() as u64),
                Found::Wrong(at, why) => return Next::Damaged(self.file.at() + at as u64, why),
            }
        }
    }

    /// The words of the command that comes next.
    pub fn args(&self, len: usize) -> Args<'_> {
        Args::new(&self.file.rest()[..len], &self.spans)
    }

    /// Passes a command.
    pub fn pass(&mut self, len: usize) {
        self.file.pass(len);
    }
}

/// What stands there; of a command, where its words are.
fn find(bytes: &[u8], spans: &mut Vec<Span>) -> Found {
    if bytes.first() == Some(&b'#') {
        return match memchr::memchr(b'\n', &bytes[..bytes.len().min(NOTE_MAX)]) {
            Some(end) => Found::Note(end + 1),
            None if bytes.len() < NOTE_MAX => Found::Needs(bytes.len() + 1),
            None => Found::Wrong(0, "a note has no end"),
        };
    }
    match words(bytes, spans) {
        Ok(len) => Found::Command(len),
        Err(stop) => stop,
    }
}

fn words(bytes: &[u8], spans: &mut Vec<Span>) -> Result<usize, Found> {
    spans.clear();
    let (count, mut at) = number(bytes, 0, b'*', "a command begins with another byte than '*'")?;
    if count == 0 {
        return Err(Found::Wrong(0, "a command has no words"));
    }
    for _ in 0..count {
        let (len, start) = number(bytes, at, b'$', "a word begins with another byte than '$'")?;
        let end = start.saturating_add(len);
        if end > u32::MAX as usize {
            return Err(Found::Wrong(at, "a command has more than 4 GB"));
        }
        let Some(tail) = bytes.get(end..end + 2) else { return Err(Found::Needs(end + 2)) };
        if tail != b"\r\n" {
            return Err(Found::Wrong(end, "a word does not end where its length says"));
        }
        spans.push(Span { start: start as u32, len: len as u32 });
        at = end + 2;
    }
    Ok(at)
}

/// A number on a line that begins with a sign, and where the line ends.
fn number(bytes: &[u8], at: usize, sign: u8, wrong: &'static str) -> Result<(usize, usize), Found> {
    let rest = &bytes[at..];
    match rest.first() {
        None => return Err(Found::Needs(at + 1)),
        Some(first) if *first != sign => return Err(Found::Wrong(at, wrong)),
        Some(_) => {}
    }
    let Some(end) = memchr::memchr(b'\n', &rest[..rest.len().min(LINE_MAX)]) else {
        return Err(match rest.len() < LINE_MAX {
            true => Found::Needs(bytes.len() + 1),
            false => Found::Wrong(at, "a number has no end"),
        });
    };
    let digits = rest[1..end].strip_suffix(b"\r").unwrap_or(&rest[1..end]);
    let number = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'));
    let number = number.and_then(|digits| digits.parse().ok());
    number.map(|number| (number, at + end + 1)).ok_or(Found::Wrong(at, "a number is none"))
}

/// True if whole commands follow a command that is not whole: then it is its length that is wrong, not the end of the file.
fn is_followed(bytes: &[u8]) -> bool {
    let mut spans = Vec::new();
    memchr::memmem::find_iter(bytes, b"\r\n*").any(|at| words(&bytes[at + 2..], &mut spans).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(commands: &[Vec<Vec<u8>>], notes: bool) -> Vec<u8> {
        let mut file = Vec::new();
        for words in commands {
            if notes {
                file.extend_from_slice(b"#TS:1700000000\r\n");
            }
            file.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            for word in words {
                file.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                file.extend_from_slice(word);
                file.extend_from_slice(b"\r\n");
            }
        }
        file
    }

    type Commands = Vec<Vec<Vec<u8>>>;

    /// The commands of a file that comes in pieces, what ended it, and where.
    fn read(file: &[u8], piece: usize, from: u64, limit: u64) -> (Commands, Next, u64) {
        let (mut script, mut commands) = (Script::new("file".into(), from, limit), Vec::new());
        loop {
            match script.look() {
                Next::Command(len) => {
                    commands.push(script.args(len).iter().map(<[u8]>::to_vec).collect());
                    script.pass(len);
                }
                Next::Read => {
                    let at = script.file.read_to as usize;
                    script.add(&file[at..file.len().min(at + piece)]);
                }
                end => return (commands, end, script.file.at()),
            }
        }
    }

    proptest! {
        #[test]
        fn commands_are_found_in_any_pieces_up_to_where_the_file_is_torn(
            commands in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..4), 0..6),
            piece in 1usize..50, cut in any::<usize>(), notes in any::<bool>(), ahead in 0usize..9,
        ) {
            let mut whole = vec![b'x'; ahead];
            whole.extend_from_slice(&file(&commands, notes));
            let (from, len) = (ahead as u64, whole.len() as u64);
            prop_assert_eq!(read(&whole, piece, from, u64::MAX), (commands.clone(), Next::End(0), len));
            let cut = ahead + cut % (whole.len() + 1 - ahead);
            let (found, end, at) = read(&whole[..cut], piece, from, u64::MAX);
            prop_assert!(commands.starts_with(&found));
            prop_assert_eq!(end, Next::End(cut as u64 - at));
            // What lies behind a limit does not count.
            prop_assert_eq!(read(&whole, piece, from, at), (found, Next::End(0), at));
        }
    }

    #[test]
    fn damage_is_told_by_its_place() {
        for (bytes, at) in [
            (&b"*1\r\n$4\r\nPING\r\nPING\r\n"[..], 14),
            (b"*1\r\n$4\r\nPINGPONG\r\n", 12),
            (b"*0\r\n", 0),
            (b"*-1\r\n", 0),
            (b"*+1\r\n", 0),
            (b"*1\r\n:4\r\n", 4),
            (b"*1\r\n$99999999999\r\n", 4),
            (b"*1\r\n$1111111111111111111111111111111111111", 4),
            (b"\0\0\0\0", 0),
            // Its length was changed: what follows shows that this is not where the file was torn.
            (b"*2\r\n$3\r\nGET\r\n$9\r\nk\r\n*1\r\n$4\r\nPING\r\n", 28),
            (b"*2\r\n$3\r\nGET\r\n$99\r\nk\r\n*1\r\n$4\r\nPING\r\n", 0),
        ] {
            let (_, end, _) = read(bytes, 7, 0, u64::MAX);
            assert!(matches!(end, Next::Damaged(place, _) if place == at), "{end:?}");
        }
    }
}

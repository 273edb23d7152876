//! The manifest: which files make up the data, in which order.
//!
//! Its lines are those of Redis's, `file NAME seq NUMBER type LETTER`, so that a directory that Redis has written is understood: `b` is a snapshot,
//! `i` commands that follow it, `h` what may be removed. Logs of ours are of type `l`, with the core that wrote each, and either the machine's
//! start (`boot`), while they are written, or how many of their bytes count (`size`). Files of Redis's that were read get a `size`, too, and a `place`
//! if they lie elsewhere. Redis refuses a manifest with such lines, as it must. A remark
//! before the lines says how many there are and their sum: a manifest without its end would be one of less.
//!
//! It knows names. It does not know files.

use std::fmt::Write;

use crc_fast::{CrcAlgorithm, checksum};

/// Begins the remark.
const REMARK: &str = "# darter";

/// What the remark says of the lines behind it.
fn remark(lines: &str) -> String {
    let sum = checksum(CrcAlgorithm::Crc32Iscsi, lines.as_bytes());
    format!("{REMARK} {} {sum:08x}", lines.lines().count())
}

/// One core's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogFile {
    /// Within the directory.
    pub name: String,
    /// Which core wrote it.
    pub core: u16,
    /// How many bytes of it count; `None`: it was being written.
    pub size: Option<u64>,
    /// The start of the machine during which it was written, while it is.
    pub boot: String,
    /// The generation with which the process began that wrote it: names of transactions are those of one process.
    pub run: u32,
}

/// A snapshot, or commands as Redis writes them, or both, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DataFile {
    /// Within the directory.
    pub name: String,
    /// How many bytes of it count; `None`: all that it has.
    pub size: Option<u64>,
    /// It lies beside the directory, where Redis kept it before it had one.
    pub is_beside: bool,
}

impl DataFile {
    /// All of a file that lies in the directory.
    pub fn whole(name: String) -> DataFile {
        DataFile { name, size: None, is_beside: false }
    }
}

/// Files that follow the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Generation {
    /// Counts, from 1.
    pub number: u32,
    /// Of ours: one of each core.
    pub logs: Vec<LogFile>,
    /// Of Redis's: commands.
    pub commands: Option<DataFile>,
}

/// Everything that makes up the data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Manifest {
    /// The snapshot, and its number.
    pub base: Option<(DataFile, u32)>,
    /// What follows it, in order.
    pub generations: Vec<Generation>,
    /// What may be removed.
    pub history: Vec<String>,
}

impl Manifest {
    /// Reads a manifest; what is wrong, and in which line, if anything is.
    pub fn parse(text: &[u8]) -> Result<Manifest, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it is no text".to_string())?;
        let mut manifest = Manifest::default();
        if let Some((first, rest)) = text.split_once('\n').or(Some((text, "")))
            && first.starts_with(REMARK)
            && first != remark(rest)
        {
            return Err("it is not whole".into());
        }
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            manifest.take(line).ok_or_else(|| format!("line {} is not understood: {line}", number + 1))?;
        }
        if manifest == Manifest::default() {
            return Err("it names no file".into());
        }
        manifest.generations.sort_by_key(|generation| generation.number);
        Ok(manifest)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let words = words(line)?;
        let (mut name, mut seq, mut kind) = (None, None, None);
        let (mut core, mut size, mut boot, mut run) = (0, None, String::new(), None);
        let mut is_beside = false;
        for pair in words.chunks(2) {
            let [key, value] = pair else { return None };
            match &key[..] {
                "file" => name = Some(value.clone()),
                "seq" => seq = Some(value.parse::<u32>().ok()?),
                "type" => kind = Some(value.clone()),
                "core" => core = value.parse().ok()?,
                "size" => size = Some(value.parse().ok()?),
                "boot" => boot.clone_from(value),
                "run" => run = Some(value.parse().ok()?),
                "place" => is_beside = value == BESIDE,
                // Redis adds more with time, such as offsets.
                _ => {}
            }
        }
        let name = name.filter(|name| !name.is_empty() && !name.contains('/'))?;
        let seq = seq?;
        match &kind?[..] {
            "b" if self.base.is_none() => self.base = Some((DataFile { name, size, is_beside }, seq)),
            "h" => self.history.push(name),
            "i" if self.generation(seq).commands.is_none() => {
                self.generation(seq).commands = Some(DataFile { name, size, is_beside });
            }
            "l" => {
                self.generation(seq).logs.push(LogFile { name, core, size, boot, run: run.unwrap_or(seq) })
            }
            _ => return None,
        }
        Some(())
    }

    fn generation(&mut self, number: u32) -> &mut Generation {
        let place = self.generations.iter().position(|generation| generation.number == number);
        let place = place.unwrap_or_else(|| {
            self.generations.push(Generation { number, logs: Vec::new(), commands: None });
            self.generations.len() - 1
        });
        &mut self.generations[place]
    }

    /// The manifest as a file.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, seq: u32, kind: char, more: &str| {
            let _ = writeln!(text, "file {} seq {seq} type {kind}{more}", quoted(name));
        };
        let more = |file: &DataFile| {
            let size = file.size.map_or(String::new(), |size| format!(" size {size}"));
            if file.is_beside { format!("{size} place {BESIDE}") } else { size }
        };
        if let Some((file, number)) = &self.base {
            line(&file.name, *number, 'b', &more(file));
        }
        for name in &self.history {
            line(name, 0, 'h', "");
        }
        for Generation { number, logs, commands } in &self.generations {
            if let Some(file) = commands {
                line(&file.name, *number, 'i', &more(file));
            }
            for LogFile { name, core, size, boot, run } in logs {
                let more = match size {
                    Some(size) => format!(" core {core} run {run} size {size}"),
                    None => format!(" core {core} run {run} boot {}", quoted(boot)),
                };
                line(name, *number, 'l', &more);
            }
        }
        format!("{}\n{text}", remark(&text))
    }

    /// The highest number so far.
    pub fn last_number(&self) -> u32 {
        let base = self.base.as_ref().map_or(0, |(_, number)| *number);
        self.generations.iter().map(|generation| generation.number).fold(base, u32::max)
    }

    /// All files that are named, those that may be removed left out; and of each whether it lies beside the directory.
    pub fn files(&self) -> impl Iterator<Item = (&str, bool)> {
        let base = self.base.iter().map(|(file, _)| file);
        let commands = self.generations.iter().filter_map(|generation| generation.commands.as_ref());
        let logs = self.generations.iter().flat_map(|generation| &generation.logs);
        let data = base.chain(commands).map(|file| (&file.name[..], file.is_beside));
        data.chain(logs.map(|log| (&log.name[..], false)))
    }

    /// True if files of Redis's are among those that make up the data.
    pub fn has_commands(&self) -> bool {
        let has_size = self.base.as_ref().is_some_and(|(file, _)| file.size.is_some());
        has_size || self.generations.iter().any(|generation| generation.commands.is_some())
    }
}

/// Where a file lies that lies beside the directory.
const BESIDE: &str = "..";

/// A name as Redis writes it: in quotes if it has spaces or quotes.
fn quoted(name: &str) -> String {
    match name.is_empty()
        || name.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\".contains(c))
    {
        true => format!("{name:?}"),
        false => name.to_string(),
    }
}

/// Words between spaces, or within quotes.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (mut word, mut end) = (String::new(), rest.len());
        if let Some(inside) = rest.strip_prefix('"') {
            let mut chars = inside.char_indices();
            let mut is_closed = false;
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        (is_closed, end) = (true, at + 2);
                        break;
                    }
                    '\\' => word.push(chars.next()?.1),
                    c => word.push(c),
                }
            }
            if !is_closed {
                return None;
            }
        } else {
            end = rest.find(char::is_whitespace).unwrap_or(end);
            word.push_str(&rest[..end]);
        }
        words.push(word);
        rest = rest[end..].trim_start();
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_of_redis_is_understood() {
        let text = b"file appendonly.aof.3.base.rdb seq 3 type b\n\
                     file \"my log.2.incr.aof\" seq 2 type h\n\
                     file appendonly.aof.7.incr.aof seq 7 type i startoffset 12\n\
                     file appendonly.aof.6.incr.aof seq 6 type i\n";
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.base, Some((DataFile::whole("appendonly.aof.3.base.rdb".into()), 3)));
        assert_eq!(manifest.history, ["my log.2.incr.aof"]);
        let names: Vec<_> = manifest.generations.iter().filter_map(|g| g.commands.as_ref()).collect();
        let names: Vec<_> = names.iter().map(|file| &file.name[..]).collect();
        assert_eq!(names, ["appendonly.aof.6.incr.aof", "appendonly.aof.7.incr.aof"]);
        assert_eq!(manifest.last_number(), 7);
    }

    #[test]
    fn what_is_no_manifest_is_refused_by_its_line() {
        for (text, why) in [
            (
                &b"file a seq 1 type b\nfile b seq x type i"[..],
                "line 2 is not understood: file b seq x type i",
            ),
            (b"file ../a seq 1 type b", "line 1 is not understood: file ../a seq 1 type b"),
            (b"file a seq 1 type b\nfile b seq 1 type b", "line 2 is not understood: file b seq 1 type b"),
            (b"file a seq 1 type i\nfile b seq 1 type i", "line 2 is not understood: file b seq 1 type i"),
            (b"file a seq 1", "line 1 is not understood: file a seq 1"),
            (b"file \"a seq 1 type b", "line 1 is not understood: file \"a seq 1 type b"),
            (b"\xff", "it is no text"),
            (b"", "it names no file"),
        ] {
            assert_eq!(Manifest::parse(text).unwrap_err(), why);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(names in prop::collection::vec("[a-z \"]{1,8}", 1..5), boot in "[a-f0-9-]{0,9}", size in any::<u64>(), is_beside in any::<bool>()) {
            let logs = names.iter().enumerate().map(|(n, name)| LogFile {
                name: name.clone(),
                core: n as u16,
                size: (n % 2 == 0).then_some(size),
                run: n as u32,
                boot: if n % 2 == 0 { String::new() } else { boot.clone() },
            });
            let file = DataFile { name: names[0].clone(), size: (size % 2 == 0).then_some(size), is_beside };
            let commands = Generation { number: 5, logs: Vec::new(), commands: Some(file.clone()) };
            let manifest = Manifest {
                base: Some((file, 4)),
                generations: vec![commands, Generation { number: 6, logs: logs.collect(), commands: None }],
                history: names.clone(),
            };
            let text = manifest.text();
            for cut in 1..text.len() {
                prop_assert!(Manifest::parse(&text.as_bytes()[..cut]).is_err(), "its end is missing");
            }
            prop_assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
        }
    }
}

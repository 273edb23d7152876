//! A command with places to fill in, made once and rendered for each request without any allocation. It knows how requests look in
//! each protocol, not what answers them.
//!
//! `__key__` becomes the name of a key that is drawn, `__value__` a value of the key drawn last, `__value:SIZE__` one of another size,
//! `__int__` a number below a million, `__int:N__` one below N. In Memcached's protocols a value stands where its length stands in the
//! line, and its bytes follow the line.

use std::collections::VecDeque;
use std::str::FromStr;

use super::draw::{Dice, Keys};
use super::protocol::Protocol;
use super::value::{Sizes, Values};

/// How keys are called: a prefix and the number, with zeros in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNames {
    zero: Vec<u8>,
    digits: usize,
}

/// Digits of the largest key.
const DIGITS_MAX: usize = 20;

impl KeyNames {
    /// Names of exactly `len` bytes for `count` keys.
    pub fn new(prefix: &str, len: usize, count: u64) -> Result<KeyNames, String> {
        let digits = count.saturating_sub(1).to_string().len();
        if prefix.is_empty() || prefix.bytes().any(|byte| byte <= b' ' || byte == 127) {
            return Err("a prefix of keys has no spaces and is not empty".into());
        }
        if len < prefix.len() + digits || len > 250 {
            return Err(format!(
                "a key of {len} bytes has no room for {prefix:?} and {digits} digits, or has more than 250"
            ));
        }
        let zeros = len - prefix.len();
        Ok(KeyNames { zero: [prefix.as_bytes(), &vec![b'0'; zeros]].concat(), digits: zeros.min(DIGITS_MAX) })
    }

    /// Bytes of a name.
    #[expect(clippy::len_without_is_empty, reason = "no name is empty")]
    pub fn len(&self) -> usize {
        self.zero.len()
    }

    /// Appends the name of a key.
    pub fn append(&self, mut key: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.zero);
        let len = out.len();
        for digit in out[len - self.digits..].iter_mut().rev() {
            if key == 0 {
                break;
            }
            *digit = b'0' + (key % 10) as u8;
            key /= 10;
        }
    }

    /// The key of this name.
    pub fn number(&self, name: &[u8]) -> Option<u64> {
        let prefix = self.zero.len() - self.digits;
        if name.len() != self.zero.len() || name[..prefix] != self.zero[..prefix] {
            return None;
        }
        std::str::from_utf8(&name[prefix..]).ok()?.parse().ok()
    }
}

/// One step of rendering.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Literal(Vec<u8>),
    /// Draws a key and writes its name.
    Key,
    /// Writes a value of this size.
    Value(usize),
    /// Draws what has a length of its own each time, for the steps below.
    Draw(Varying),
    /// Writes the length of what was drawn, and so much more.
    Length(usize),
    /// Writes what was drawn.
    Drawn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Varying {
    Value(Sizes),
    Integer(u64),
}

/// What stands in a word of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Key,
    Value(Sizes),
    Integer(u64),
}

/// A command to render.
#[derive(Clone, Debug)]
pub struct Template {
    steps: Vec<Step>,
    keys: usize,
    value_min: Option<usize>,
    value_max: usize,
}

/// What rendering needs of a generator.
#[derive(Debug)]
pub struct Source<'a> {
    /// How keys are called.
    pub names: &'a KeyNames,
    /// All values.
    pub values: &'a Values,
    /// Draws keys.
    pub keys: &'a mut Keys,
    /// Draws anything else.
    pub dice: &'a mut Dice,
}

impl Template {
    /// Reads a command's words, separated by spaces. `\r\n` in one of Memcached ends a line.
    pub fn new(protocol: Protocol, line: &str, names: &KeyNames, sizes: Sizes) -> Result<Template, String> {
        let words: Vec<Vec<Piece>> =
            line.split_whitespace().map(|word| pieces(word, sizes)).collect::<Result<_, _>>()?;
        if words.is_empty() {
            return Err("a command has words".into());
        }
        let all = || words.iter().flatten();
        let keys = all().filter(|piece| **piece == Piece::Key).count();
        let sizes =
            || all().filter_map(|piece| if let Piece::Value(sizes) = piece { Some(sizes) } else { None });
        let value_min = sizes().map(|sizes| sizes.min).min();
        let value_max = sizes().map(|sizes| sizes.max).max().unwrap_or(0);
        let mut template = Template { steps: Vec::new(), keys, value_min, value_max };
        match protocol {
            Protocol::Resp => template.resp(&words, names)?,
            Protocol::Memcached | Protocol::Meta => template.memcached(&words)?,
        }
        Ok(template)
    }

    /// How many keys a request draws.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// The size of the smallest value in it, if there are any.
    pub fn value_min(&self) -> Option<usize> {
        self.value_min
    }

    /// The size of the largest value in it.
    pub fn value_max(&self) -> usize {
        self.value_max
    }

    /// Appends a request. The keys in it are appended to `drawn`.
    pub fn render(&self, source: &mut Source, out: &mut Vec<u8>, mut drawn: Option<&mut VecDeque<u64>>) {
        let mut key = 0;
        let mut varying = Varying::Integer(0);
        for step in &self.steps {
            match step {
                Step::Literal(bytes) => out.extend_from_slice(bytes),
                Step::Key => {
                    key = source.keys.draw(source.dice);
                    source.names.append(key, out);
                    if let Some(drawn) = &mut drawn {
                        drawn.push_back(key);
                    }
                }
                Step::Value(len) => source.values.append(key, *len, out),
                Step::Draw(Varying::Value(sizes)) => {
                    varying = Varying::Value(Sizes::of(sizes.draw(source.dice)));
                }
                Step::Draw(Varying::Integer(below)) => {
                    varying = Varying::Integer(source.dice.below(*below));
                }
                Step::Length(more) => {
                    let len = match varying {
                        Varying::Value(size) => size.max,
                        Varying::Integer(number) => number.checked_ilog10().unwrap_or(0) as usize + 1,
                    };
                    decimal((len + more) as u64, out);
                }
                Step::Drawn => match varying {
                    Varying::Value(size) => source.values.append(key, size.max, out),
                    Varying::Integer(number) => decimal(number, out),
                },
            }
        }
    }

    fn literal(&mut self, bytes: &[u8]) {
        match self.steps.last_mut() {
            Some(Step::Literal(before)) => before.extend_from_slice(bytes),
            _ => self.steps.push(Step::Literal(bytes.to_vec())),
        }
    }

    fn resp(&mut self, words: &[Vec<Piece>], names: &KeyNames) -> Result<(), String> {
        self.literal(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            let (mut fixed, mut varying) = (0, None);
            for piece in word {
                match piece {
                    Piece::Text(text) => fixed += text.len(),
                    Piece::Key => fixed += names.len(),
                    Piece::Value(sizes) if sizes.min == sizes.max => fixed += sizes.max,
                    Piece::Value(sizes) if varying.is_none() => varying = Some(Varying::Value(*sizes)),
                    Piece::Integer(below) if varying.is_none() => varying = Some(Varying::Integer(*below)),
                    Piece::Value(_) | Piece::Integer(_) => {
                        return Err("a word may have one place of changing length only".into());
                    }
                }
            }
            match varying {
                None => self.literal(format!("${fixed}\r\n").as_bytes()),
                Some(varying) => {
                    self.steps.push(Step::Draw(varying));
                    self.literal(b"$");
                    self.steps.push(Step::Length(fixed));
                    self.literal(b"\r\n");
                }
            }
            for piece in word {
                match piece {
                    Piece::Text(text) => self.literal(text.as_bytes()),
                    Piece::Key => self.steps.push(Step::Key),
                    Piece::Value(sizes) if sizes.min == sizes.max => self.steps.push(Step::Value(sizes.max)),
                    Piece::Value(_) | Piece::Integer(_) => self.steps.push(Step::Drawn),
                }
            }
            self.literal(b"\r\n");
        }
        Ok(())
    }

    fn memcached(&mut self, words: &[Vec<Piece>]) -> Result<(), String> {
        let mut data = None;
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                self.literal(b" ");
            }
            for piece in word {
                match piece {
                    Piece::Text(text) => self.literal(text.replace("\\r\\n", "\r\n").as_bytes()),
                    Piece::Key => self.steps.push(Step::Key),
                    Piece::Integer(below) => {
                        self.steps.extend([Step::Draw(Varying::Integer(*below)), Step::Drawn]);
                    }
                    Piece::Value(_) if data.is_some() => return Err("a line has one value only".into()),
                    Piece::Value(sizes) if sizes.min == sizes.max => {
                        self.literal(sizes.max.to_string().as_bytes());
                        data = Some(Step::Value(sizes.max));
                    }
                    Piece::Value(sizes) => {
                        self.steps.extend([Step::Draw(Varying::Value(*sizes)), Step::Length(0)]);
                        data = Some(Step::Drawn);
                    }
                }
            }
            let integer = word.iter().any(|piece| matches!(piece, Piece::Integer(_)));
            if integer && data == Some(Step::Drawn) {
                return Err("a value of changing size stands behind all integers".into());
            }
        }
        self.literal(b"\r\n");
        if let Some(data) = data {
            self.steps.push(data);
            self.literal(b"\r\n");
        }
        Ok(())
    }
}

/// Cuts a word at its placeholders.
fn pieces(word: &str, sizes: Sizes) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while let Some(at) = ["__key", "__value", "__int"].iter().filter_map(|mark| rest.find(mark)).min() {
        if at > 0 {
            pieces.push(Piece::Text(&rest[..at]));
        }
        let inside = &rest[at + 2..];
        let Some(end) = inside.find("__") else { return Err(format!("{word:?} has a place without an end")) };
        pieces.push(match inside[..end].split_once(':') {
            None if &inside[..end] == "key" => Piece::Key,
            None if &inside[..end] == "value" => Piece::Value(sizes),
            None if &inside[..end] == "int" => Piece::Integer(1_000_000),
            Some(("value", size)) => Piece::Value(Sizes::from_str(size)?),
            Some(("int", below)) => match below.parse() {
                Ok(below) if below > 0 => Piece::Integer(below),
                _ => return Err(format!("{below:?} is no bound of integers")),
            },
            _ => return Err(format!("{word:?} has an unknown place")),
        });
        rest = &inside[end + 2..];
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// Appends a number's digits.
fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; DIGITS_MAX];
    let mut at = DIGITS_MAX;
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::draw::Distribution;

    fn render(protocol: Protocol, line: &str, size: &str) -> Result<(Vec<u8>, Vec<u64>), String> {
        let names = KeyNames::new("key:", 8, 100)?;
        let sizes = size.parse()?;
        let template = Template::new(protocol, line, &names, sizes)?;
        let values = Values::new(template.value_max());
        let mut keys = Keys::new(Distribution::Sequential, 100, 42, 43);
        let mut source = Source { names: &names, values: &values, keys: &mut keys, dice: &mut Dice::new(1) };
        let (mut out, mut drawn) = (Vec::new(), VecDeque::new());
        template.render(&mut source, &mut out, Some(&mut drawn));
        assert_eq!(drawn.len(), template.keys());
        Ok((out, drawn.into()))
    }

    fn value(key: u64, len: usize) -> Vec<u8> {
        let mut value = Vec::new();
        Values::new(len).append(key, len, &mut value);
        value
    }

    #[test]
    fn resp_requests_are_arrays_of_bulks() {
        let check = |line: &str, expected: &[&[u8]], drawn: &[u64]| {
            let (out, keys) = render(Protocol::Resp, line, "3").expect(line);
            assert_eq!(out, expected.concat(), "{line}: {}", out.escape_ascii());
            assert_eq!(keys, drawn);
        };
        check("PING", &[b"*1\r\n$4\r\nPING\r\n"], &[]);
        check("GET __key__", &[b"*2\r\n$3\r\nGET\r\n$8\r\nkey:0042\r\n"], &[42]);
        check(
            "MSET a:__key__ __value__ __key__ x__value:1__",
            &[
                b"*5\r\n$4\r\nMSET\r\n$10\r\na:key:0042\r\n$3\r\n",
                &value(42, 3),
                b"\r\n$8\r\nkey:0085\r\n$2\r\nx",
                &value(85, 1),
                b"\r\n",
            ],
            &[42, 85],
        );
        check("X a__int:1__b", &[b"*2\r\n$1\r\nX\r\n$3\r\na0b\r\n"], &[]);
    }

    #[test]
    fn changing_lengths_are_announced() {
        let names = KeyNames::new("key:", 8, 100).expect("room");
        let template = Template::new(
            Protocol::Resp,
            "SET __key__ x__value__ __int__",
            &names,
            Sizes { min: 0, max: 20 },
        );
        let template = template.expect("a command");
        let values = Values::new(20);
        let mut keys = Keys::new(Distribution::Uniform, 100, 0, 1);
        let mut dice = Dice::new(2);
        let mut lens = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let mut out = Vec::new();
            let mut source = Source { names: &names, values: &values, keys: &mut keys, dice: &mut dice };
            template.render(&mut source, &mut out, None);
            let mut stream = &out[..];
            let reply = crate::reply::Reply::read(&mut stream).expect("a request reads like a reply");
            assert!(stream.is_empty());
            let crate::reply::Reply::Array(words) = reply else { panic!("an array") };
            let [_, crate::reply::Reply::Bulk(key), crate::reply::Reply::Bulk(value), integer] = &words[..]
            else {
                panic!("four words")
            };
            let key = names.number(key).expect("a name");
            assert!(values.matches(key, 0, &value[1..]));
            assert!(integer.text().expect("text").parse::<u64>().expect("digits") < 1_000_000);
            lens.insert(value.len());
        }
        assert_eq!(lens, (1..=21).collect());
    }

    #[test]
    fn memcached_requests_carry_their_data_behind_the_line() {
        let check = |line: &str, size: &str, expected: &[&[u8]]| {
            let (out, _) = render(Protocol::Memcached, line, size).expect(line);
            assert_eq!(out, expected.concat(), "{line}: {}", out.escape_ascii());
        };
        check("get __key__ __key__", "3", &[b"get key:0042 key:0085\r\n"]);
        check("set __key__ 0 7 __value__", "3", &[b"set key:0042 0 7 3\r\n", &value(42, 3), b"\r\n"]);
        check("ms __key__ __value__ T7", "12", &[b"ms key:0042 12 T7\r\n", &value(42, 12), b"\r\n"]);
        check("set n:__key__ 0 0 1\\r\\n0", "3", &[b"set n:key:0042 0 0 1\r\n0\r\n"]);
        let (out, _) = render(Protocol::Meta, "ms __key__ __value__", "5-9").expect("a range");
        let line = out.iter().position(|byte| *byte == b'\n').expect("a line");
        let len: usize = String::from_utf8_lossy(&out[12..line - 1]).parse().expect("a length");
        assert_eq!(out.len(), line + 1 + len + 2);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in ["", "SET __key", "SET __value:x__", "SET __int:0__", "SET __int____int__", "GET __value"]
        {
            assert!(render(Protocol::Resp, line, "1").is_err(), "{line}");
        }
        assert!(render(Protocol::Memcached, "set __value__ __value__", "1").is_err());
        assert!(render(Protocol::Memcached, "set __value__ __int__", "1-2").is_err());
    }

    #[test]
    fn names_have_one_length() {
        let names = KeyNames::new("k:", 30, u64::MAX).expect("room");
        for key in [0, 7, u64::MAX] {
            let mut name = Vec::new();
            names.append(key, &mut name);
            assert_eq!((name.len(), names.number(&name)), (30, Some(key)));
        }
        assert_eq!(names.number(b"k:1"), None);
        for (prefix, len, count) in [("", 16, 1), ("a b", 16, 1), ("key:", 8, 100_000), ("k", 300, 1)] {
            assert!(KeyNames::new(prefix, len, count).is_err(), "{prefix:?} {len} {count}");
        }
    }
}

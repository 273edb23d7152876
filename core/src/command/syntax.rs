//! Reads the usage line of a row and gives the arguments that COMMAND DOCS describes.
//!
//! A usage line is written as manuals write it: `key value [NX | XX] [EX seconds | PX milliseconds] [key value ...]`. Words in
//! capitals are tokens, others are operands, `name:type` where the name does not tell the type; brackets are optional, bars choose,
//! `name:<A | B>` is a choice that must be made, and a bracket that ends in `...` repeats what stands before it.

/// What kind of thing an argument is, in COMMAND DOCS's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Double,
    /// A key.
    Key,
    /// A glob pattern.
    Pattern,
    /// Seconds or milliseconds since 1970.
    UnixTime,
    /// A word that stands for itself.
    Token,
    /// One of several.
    OneOf,
    /// Several that belong together.
    Block,
}

impl Kind {
    /// COMMAND DOCS's word.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Key => "key",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::Token => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
        }
    }

    fn of(name: &str, given: Option<&str>) -> Kind {
        match given.unwrap_or(name) {
            "key" => Kind::Key,
            "integer" | "seconds" | "milliseconds" => Kind::Integer,
            "double" => Kind::Double,
            "pattern" => Kind::Pattern,
            "unix-time-seconds" | "unix-time-milliseconds" => Kind::UnixTime,
            _ => Kind::String,
        }
    }
}

/// One argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// In lower case.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The word that stands before it, or that it is.
    pub token: Option<String>,
    /// May be left out.
    pub optional: bool,
    /// May stand several times.
    pub multiple: bool,
    /// What it is made of.
    pub parts: Vec<Argument>,
}

impl Argument {
    fn plain(name: &str, kind: Kind) -> Argument {
        Argument {
            name: name.to_lowercase(),
            kind,
            token: None,
            optional: false,
            multiple: false,
            parts: Vec::new(),
        }
    }

    /// Several arguments as one.
    fn together(mut parts: Vec<Argument>, kind: Kind, name: &str) -> Argument {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        Argument { parts, ..Argument::plain(name, kind) }
    }
}

/// The arguments of a usage line. `None` if the line is not well formed, which a test excludes for every row.
pub fn arguments(usage: &str) -> Option<Vec<Argument>> {
    let mut spaced = usage.to_string();
    for mark in ["[", "]", "|", "<", ">"] {
        spaced = spaced.replace(mark, &format!(" {mark} "));
    }
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, at: 0 };
    let mut alternatives = reader.alternatives()?;
    if reader.at < words.len() {
        return None;
    }
    match alternatives.len() {
        1 => alternatives.pop(),
        _ => Some(vec![one_of(alternatives)]),
    }
}

fn one_of(alternatives: Vec<Vec<Argument>>) -> Argument {
    let parts: Vec<Argument> = alternatives
        .into_iter()
        .map(|sequence| {
            let name = sequence.first().map_or(String::new(), |first| first.name.clone());
            Argument::together(sequence, Kind::Block, &name)
        })
        .collect();
    let name = match parts.iter().all(|part| part.kind == Kind::Token) {
        true => "condition",
        false => "option",
    };
    Argument::together(parts, Kind::OneOf, name)
}

struct Reader<'a> {
    words: &'a [&'a str],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    /// Sequences between bars.
    fn alternatives(&mut self) -> Option<Vec<Vec<Argument>>> {
        let mut all = vec![self.sequence()?];
        while self.peek() == Some("|") {
            self.at += 1;
            all.push(self.sequence()?);
        }
        Some(all)
    }

    fn sequence(&mut self) -> Option<Vec<Argument>> {
        let mut sequence = Vec::new();
        while let Some(word) = self.peek() {
            match word {
                "]" | "|" | ">" => break,
                "[" => self.bracket(&mut sequence)?,
                "..." | "<" => return None,
                _ if word.ends_with(':') => {
                    self.at += 1;
                    sequence.push(self.choice(word.trim_end_matches(':'))?);
                }
                _ if is_token(word) => {
                    self.at += 1;
                    sequence.push(self.token(word));
                }
                _ => {
                    self.at += 1;
                    sequence.push(operand(word));
                }
            }
        }
        Some(sequence)
    }

    /// A token with the operands behind it, as far as the next bracket or token.
    fn token(&mut self, token: &str) -> Argument {
        let mut operands = Vec::new();
        while let Some(word) = self.peek().filter(is_operand) {
            self.at += 1;
            operands.push(operand(word));
        }
        let mut argument = match operands.is_empty() {
            true => Argument::plain(token, Kind::Token),
            false => Argument::together(operands, Kind::Block, token),
        };
        argument.token = Some(token.to_string());
        argument
    }

    /// What stands between `<` and `>`.
    fn choice(&mut self, name: &str) -> Option<Argument> {
        self.at += 1;
        let is_open = self.words.get(self.at - 1) == Some(&"<");
        let alternatives = self.alternatives()?;
        self.at += 1;
        let is_closed = self.words.get(self.at - 1) == Some(&">");
        (is_open && is_closed && alternatives.len() > 1)
            .then(|| Argument { name: name.to_string(), ..one_of(alternatives) })
    }

    fn bracket(&mut self, before: &mut Vec<Argument>) -> Option<()> {
        self.at += 1;
        if let Some(repeated) = self.repetition() {
            let from = before.len().checked_sub(repeated)?;
            let mut group = Argument::together(before.split_off(from), Kind::Block, "data");
            group.multiple = true;
            before.push(group);
            return Some(());
        }
        let mut alternatives = self.alternatives()?;
        if self.peek() != Some("]") {
            return None;
        }
        self.at += 1;
        let mut argument = match alternatives.len() {
            1 => {
                let sequence = alternatives.pop()?;
                let name = sequence.first()?.name.clone();
                Argument::together(sequence, Kind::Block, &name)
            }
            _ => one_of(alternatives),
        };
        argument.optional = true;
        before.push(argument);
        Some(())
    }

    /// How many arguments a bracket repeats, if it ends in dots; it is then passed.
    fn repetition(&mut self) -> Option<usize> {
        let end = self.at + self.words[self.at..].iter().position(|word| *word == "]" || *word == "[")?;
        (self.words[end] == "]" && end > self.at + 1 && self.words[end - 1] == "...").then(|| {
            let repeated = end - 1 - self.at;
            self.at = end + 1;
            repeated
        })
    }
}

fn is_token(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase() || "*=~$".contains(c))
}

fn is_operand(word: &&str) -> bool {
    !is_token(word) && !word.ends_with(':') && !["[", "]", "|", "<", ">", "..."].contains(word)
}

fn operand(word: &str) -> Argument {
    match word.split_once(':') {
        Some((name, given)) => Argument::plain(name, Kind::of(name, Some(given))),
        None => Argument::plain(word, Kind::of(word, None)),
    }
}

/// The usage line as a reader sees it, without types.
pub fn shown(usage: &str) -> String {
    let mut words = Vec::new();
    for word in usage.split_whitespace() {
        let opening = word.len() - word.trim_start_matches('[').len();
        if let Some((_, choice)) = word.split_once(":<") {
            words.push(format!("{}<{choice}", &word[..opening]));
            continue;
        }
        let (body, closing) = match word.find(']') {
            Some(at) => word.split_at(at),
            None => (word, ""),
        };
        let name = body[opening..].split(':').next().unwrap_or("");
        words.push(format!("{}{name}{closing}", &word[..opening]));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;

    /// A short form: names, `=TOKEN`, `?` optional, `+` multiple, parts in parentheses.
    fn form(arguments: &[Argument]) -> String {
        let one = |argument: &Argument| {
            let mut text = argument.name.clone();
            if let Some(token) = &argument.token {
                text += &format!("={token}");
            }
            if !argument.parts.is_empty() {
                let kind = if argument.kind == Kind::OneOf { "|" } else { "" };
                text += &format!("{kind}({})", form(&argument.parts));
            }
            text + if argument.optional { "?" } else { "" } + if argument.multiple { "+" } else { "" }
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn check(usage: &str, expected: Option<&str>) {
        assert_eq!(arguments(usage).map(|found| form(&found)).as_deref(), expected, "{usage}");
    }

    #[test]
    fn usage_lines_are_read_as_a_manual_is() {
        check("", Some(""));
        check("key", Some("key"));
        check("key value [NX | XX] [GET]", Some("key value condition|(nx=NX xx=XX)? get=GET?"));
        check("key [EX seconds | PERSIST]", Some("key option|(seconds=EX persist=PERSIST)?"));
        check("key [key ...]", Some("key+"));
        check("key value [key value ...]", Some("data(key value)+"));
        check(
            "[protover:integer [AUTH username password] [SETNAME clientname]]",
            Some("protover(protover auth=AUTH(username password)? clientname=SETNAME?)?"),
        );
        check("ON | OFF", Some("condition|(on=ON off=OFF)"));
        check("key where:<LEFT | RIGHT> x", Some("key where|(left=LEFT right=RIGHT) x"));
        check("key where:<LEFT | RIGHT", None);
        check("key <LEFT | RIGHT>", None);
        check("where:<LEFT>", None);
        check("[a", None);
        check("a ]", None);
        check("[x ...]", None);
    }

    #[test]
    fn types_are_told_by_name_or_said() {
        let found = arguments("key EX seconds start:integer newkey:key").expect("well formed");
        let kinds: Vec<Kind> = found.iter().map(|argument| argument.kind).collect();
        assert_eq!(kinds[0], Kind::Key);
        assert_eq!(shown("key a:<LEFT | RIGHT> b:integer"), "key <LEFT | RIGHT> b");
        assert_eq!(shown("[by:<A | B> [how:<= | ~>] x]"), "[<A | B> [<= | ~>] x]");
        assert_eq!(shown("[key start:integer [x:double]] [a:key | b]"), "[key start [x]] [a | b]");
    }

    #[test]
    fn the_usage_lines_of_all_rows_are_well_formed() {
        for id in table::all() {
            assert!(arguments(id.row().syntax).is_some(), "{}: {}", id.full_name(), id.row().syntax);
        }
    }
}

//! What is asked, and how often: commands with weights, by a name or by a template. It knows the commands of each protocol by name.

use super::draw::Dice;
use super::protocol::{Expect, Protocol};
use super::template::{KeyNames, Template};
use super::value::Sizes;

/// A command of a run.
#[derive(Clone, Debug)]
pub struct Command {
    /// The template as it was written.
    pub text: String,
    /// What is sent.
    pub template: Template,
    /// What must be answered.
    pub expect: Expect,
    /// How often beside the others.
    pub weight: u64,
}

/// Commands to choose from.
#[derive(Clone, Debug)]
pub struct Mix {
    commands: Vec<Command>,
    total: u64,
}

/// What templates have in common.
#[derive(Clone, Copy, Debug)]
pub struct Wording<'a> {
    /// The language.
    pub protocol: Protocol,
    /// How keys are called.
    pub names: &'a KeyNames,
    /// Of values without a size of their own.
    pub sizes: Sizes,
    /// Seconds that a key written by a named operation lives.
    pub expiry: Option<u64>,
}

impl Wording<'_> {
    /// A command from a template.
    pub fn command(&self, text: &str, weight: u64) -> Result<Command, String> {
        let template = Template::new(self.protocol, text, self.names, self.sizes)?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let expect = self.protocol.expect(&words, template.keys());
        Ok(Command { text: text.into(), template, expect, weight })
    }

    /// The template of an operation that has a name: `get`, `set`, `mget10` and others.
    pub fn named(&self, name: &str) -> Result<String, String> {
        let many = |words: &str, count: &str| match count.parse::<usize>() {
            Ok(count @ 1..=1_000) => Ok(vec![words; count].join(" ")),
            _ => Err(format!("{name} is no operation: mget10 and mset10 have a number up to 1000")),
        };
        let expiry = self.expiry;
        Ok(match self.protocol {
            Protocol::Resp => match name {
                "get" => "GET __key__".into(),
                "set" => match expiry {
                    Some(seconds) => format!("SET __key__ __value__ EX {seconds}"),
                    None => "SET __key__ __value__".into(),
                },
                "incr" => "INCR counter:__key__".into(),
                "del" => "DEL __key__".into(),
                "exists" => "EXISTS __key__".into(),
                "ping" => "PING".into(),
                "lpush" => "LPUSH list:__key__ __value__".into(),
                "rpop" => "RPOP list:__key__".into(),
                _ => match (name.strip_prefix("mget"), name.strip_prefix("mset")) {
                    (Some(count), _) => format!("MGET {}", many("__key__", count)?),
                    (_, Some(count)) => format!("MSET {}", many("__key__ __value__", count)?),
                    _ => return Err(unknown(name)),
                },
            },
            Protocol::Memcached => match name {
                "get" => "get __key__".into(),
                "set" => format!("set __key__ 0 {} __value__", expiry.unwrap_or(0)),
                "incr" => "incr counter:__key__ 1".into(),
                "del" => "delete __key__".into(),
                _ => match name.strip_prefix("mget") {
                    Some(count) => format!("get {}", many("__key__", count)?),
                    None => return Err(unknown(name)),
                },
            },
            Protocol::Meta => match name {
                "get" => "mg __key__ v".into(),
                "set" => format!("ms __key__ __value__ T{}", expiry.unwrap_or(0)),
                "incr" => "ma counter:__key__ N0 J0".into(),
                "del" => "md __key__".into(),
                "ping" => "mn".into(),
                _ => return Err(unknown(name)),
            },
        })
    }

    /// `get:9,set:1`.
    pub fn mix(&self, text: &str) -> Result<Vec<Command>, String> {
        let parts = text.split(',').map(|part| {
            let (name, weight) = part.split_once(':').unwrap_or((part, "1"));
            let weight = weight.parse().map_err(|_| format!("{weight:?} is no weight"))?;
            self.command(&self.named(name)?, weight)
        });
        parts.collect()
    }

    /// The command that writes a key for the others to find.
    pub fn fill(&self) -> Result<Command, String> {
        self.command(&self.named("set")?, 1)
    }
}

fn unknown(name: &str) -> String {
    format!(
        "{name} is no operation of this protocol: get, set, incr, del, ping, mget10, ...; or use --command"
    )
}

impl Mix {
    /// Of these commands.
    pub fn new(commands: Vec<Command>) -> Result<Mix, String> {
        let total = commands.iter().map(|command| command.weight).sum();
        if total == 0 || commands.len() > usize::from(u16::MAX) {
            return Err("there must be a command with a weight above 0".into());
        }
        Ok(Mix { commands, total })
    }

    /// Chooses one, by its number.
    pub fn choose(&self, dice: &mut Dice) -> usize {
        if self.commands.len() == 1 {
            return 0;
        }
        let mut left = dice.below(self.total);
        for (at, command) in self.commands.iter().enumerate() {
            match left.checked_sub(command.weight) {
                Some(less) => left = less,
                None => return at,
            }
        }
        unreachable!("the weights sum up to the total")
    }

    /// The commands.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// The size of the largest value in them.
    pub fn value_max(&self) -> usize {
        self.commands.iter().map(|command| command.template.value_max()).max().unwrap_or(0)
    }

    /// The size of the smallest value, if there are any.
    pub fn value_min(&self) -> Option<usize> {
        self.commands.iter().filter_map(|command| command.template.value_min()).min()
    }

    /// All of them with their weights, to be shown.
    pub fn text(&self) -> String {
        let weights = self.commands.len() > 1;
        let shown = self.commands.iter().map(|command| match weights {
            true => format!("{} x {}", command.weight, command.text),
            false => command.text.clone(),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wording(protocol: Protocol, names: &KeyNames) -> Wording<'_> {
        Wording { protocol, names, sizes: Sizes::of(8), expiry: Some(60) }
    }

    #[test]
    fn weights_are_kept() {
        let names = KeyNames::new("key:", 16, 10).expect("room");
        let commands = wording(Protocol::Resp, &names).mix("get:7,set:2,del:0,ping").expect("operations");
        let mix = Mix::new(commands).expect("weights");
        let mut counts = [0; 4];
        let mut dice = Dice::new(1);
        (0..100_000).for_each(|_| counts[mix.choose(&mut dice)] += 1);
        assert_eq!(counts[2], 0);
        for (count, expected) in counts.iter().zip([70_000i32, 20_000, 0, 10_000]) {
            assert!((count - expected).abs() < 1_000, "{counts:?}");
        }
        assert!(Mix::new(Vec::new()).is_err());
        assert_eq!(mix.text(), "7 x GET __key__, 2 x SET __key__ __value__ EX 60, 0 x DEL __key__, 1 x PING");
    }

    #[test]
    fn operations_have_names_in_each_protocol() {
        let names = KeyNames::new("key:", 16, 10).expect("room");
        let check = |protocol, name: &str, expected: &str| {
            assert_eq!(wording(protocol, &names).named(name).as_deref(), Ok(expected), "{name}");
            wording(protocol, &names).mix(name).expect("it is a template");
        };
        check(Protocol::Resp, "mget2", "MGET __key__ __key__");
        check(Protocol::Resp, "mset1", "MSET __key__ __value__");
        check(Protocol::Memcached, "set", "set __key__ 0 60 __value__");
        check(Protocol::Memcached, "mget2", "get __key__ __key__");
        check(Protocol::Meta, "set", "ms __key__ __value__ T60");
        check(Protocol::Meta, "incr", "ma counter:__key__ N0 J0");
        for wrong in ["got", "mget", "mget0", "mget1001", "", "get:x"] {
            assert!(wording(Protocol::Resp, &names).mix(wrong).is_err(), "{wrong}");
        }
    }
}

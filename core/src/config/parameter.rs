//! What a parameter is: its names, when it may change, and how its value is checked, kept and printed.
//!
//! Each parameter is declared once, as a row of `applied.rs` or `accepted.rs`; CONFIG GET, CONFIG SET,
//! CONFIG REWRITE, the
//! file and the environment are derived from the row. This module does not know any of the rows' names.

use super::{Settings, accepted, applied, value};

/// When a parameter may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At any time.
    Mutable,
    /// Only at the start.
    Immutable,
    /// At any time, if `enable-protected-configs` says `yes`.
    Protected,
}

/// How many words a value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// One, which may contain spaces if it was quoted.
    One,
    /// Any number. A single one is split at its spaces.
    Many,
}

/// How CONFIG REWRITE writes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Words as they are, quoted where they must be; nothing as `""`.
    Plain,
    /// Bytes with the greatest unit that divides them.
    Memory,
    /// In quotes.
    Quoted,
    /// One line for each pair of words.
    Pairs,
    /// One line for each class of clients that differs from the default.
    Classes,
    /// As `Plain`, but nothing is written as `no one`.
    Master,
}

/// Where a value is kept.
#[derive(Clone, Copy)]
pub enum Storage {
    /// In a field of [`Settings`]: the parameter has effect.
    Applied {
        /// Checks the words and keeps the value.
        set: fn(&mut Settings, &[&str]) -> Result<(), String>,
        /// Prints the value.
        get: fn(&Settings) -> String,
    },
    /// As text, for clients and files that name it: it has no effect.
    Accepted {
        /// The value while nobody has set it, as CONFIG GET prints it.
        default: &'static str,
        /// What is allowed.
        check: Check,
    },
}

/// What an accepted parameter allows.
#[derive(Clone, Copy)]
pub enum Check {
    /// `yes` or `no`.
    YesNo,
    /// A number between two bounds.
    Number(i64, i64),
    /// Bytes between two bounds.
    Memory(u64, u64),
    /// One of these.
    Choice(&'static [&'static str]),
    /// Anything.
    Text,
    /// What the function turns into normal form.
    Special(fn(&[&str]) -> Result<String, String>),
}

/// One parameter.
#[derive(Clone, Copy)]
pub struct Parameter {
    /// Its name, as in redis.conf.
    pub name: &'static str,
    /// Its older name.
    pub alias: Option<&'static str>,
    /// When it may be set.
    pub change: Change,
    /// How many words it takes.
    pub arguments: Arguments,
    /// Not shown by patterns, only by its exact name: for debugging.
    pub hidden: bool,
    /// How it is written to the file.
    pub form: Form,
    /// Where its value is.
    pub storage: Storage,
}

impl Parameter {
    /// A parameter with effect.
    pub(super) const fn applied(
        name: &'static str,
        set: fn(&mut Settings, &[&str]) -> Result<(), String>,
        get: fn(&Settings) -> String,
    ) -> Parameter {
        Parameter::of(name, Form::Plain, Storage::Applied { set, get })
    }

    /// A parameter without effect.
    pub(super) const fn accepted(
        name: &'static str,
        default: &'static str,
        form: Form,
        check: Check,
    ) -> Parameter {
        Parameter::of(name, form, Storage::Accepted { default, check })
    }

    const fn of(name: &'static str, form: Form, storage: Storage) -> Parameter {
        Parameter {
            name,
            alias: None,
            change: Change::Mutable,
            arguments: Arguments::One,
            hidden: false,
            form,
            storage,
        }
    }

    /// With an older name.
    pub(super) const fn alias(self, alias: &'static str) -> Parameter {
        Parameter { alias: Some(alias), ..self }
    }

    /// Only at the start.
    pub(super) const fn immutable(self) -> Parameter {
        Parameter { change: Change::Immutable, ..self }
    }

    /// Only if protected parameters are enabled.
    pub(super) const fn protected(self) -> Parameter {
        Parameter { change: Change::Protected, ..self }
    }

    /// With any number of words.
    pub(super) const fn many(self) -> Parameter {
        Parameter { arguments: Arguments::Many, ..self }
    }

    /// Not shown by patterns.
    pub(super) const fn hidden(self) -> Parameter {
        Parameter { hidden: true, ..self }
    }

    /// Written in this form.
    pub(super) const fn form(self, form: Form) -> Parameter {
        Parameter { form, ..self }
    }

    /// True if `name` is one of its names, in any case.
    pub fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || self.alias.is_some_and(|alias| alias.eq_ignore_ascii_case(name))
    }

    /// True if it has effect.
    pub fn has_effect(&self) -> bool {
        matches!(self.storage, Storage::Applied { .. })
    }

    /// Its value, printed.
    pub fn get(&self, settings: &Settings) -> String {
        match self.storage {
            Storage::Applied { get, .. } => get(settings),
            Storage::Accepted { default, .. } => {
                settings.accepted.get(self.name).cloned().unwrap_or_else(|| default.into())
            }
        }
    }

    /// Checks the words and keeps the value. `args` has one word exactly if the parameter takes one; the
    /// words of one that takes many are
    /// already split.
    pub(super) fn set(&self, settings: &mut Settings, args: &[&str]) -> Result<(), String> {
        assert!(
            self.arguments == Arguments::Many || args.len() == 1,
            "the number of words was checked before"
        );
        match self.storage {
            Storage::Applied { set, .. } => set(settings, args),
            Storage::Accepted { default, check } => {
                let value = check.normal(args)?;
                // Only what differs is kept, so that equal settings are equal whatever led to them.
                if value == default {
                    settings.accepted.remove(self.name);
                } else {
                    settings.accepted.insert(self.name, value);
                }
                Ok(())
            }
        }
    }
}

impl Check {
    /// The value in the form that CONFIG GET prints, or why it is not allowed.
    fn normal(self, args: &[&str]) -> Result<String, String> {
        if let Check::Special(check) = self {
            return check(args);
        }
        let text = args[0];
        match self {
            Check::YesNo => value::yes_no(text).map(value::print_yes_no),
            Check::Number(min, max) => value::integer::<i64>(text, min, max).map(|number| number.to_string()),
            Check::Memory(min, max) => value::memory(text, min, max).map(|bytes| bytes.to_string()),
            Check::Choice(names) => match names.iter().find(|name| name.eq_ignore_ascii_case(text)) {
                Some(name) => Ok((*name).into()),
                None => Err(value::one_of(names.iter().copied())),
            },
            Check::Text | Check::Special(_) => Ok(text.into()),
        }
    }
}

/// All parameters, those with effect first.
pub fn all() -> impl Iterator<Item = &'static Parameter> {
    applied::PARAMETERS.iter().chain(accepted::PARAMETERS)
}

/// The parameter of this name or older name, in any case.
pub fn find(name: &str) -> Option<&'static Parameter> {
    all().find(|parameter| parameter.is_named(name))
}

/// The parameter that an environment variable means: `DARTER_PROTO_MAX_BULK_LEN` is `proto-max-bulk-len`.
/// `None` if there is none.
pub fn from_environment_name(variable: &str) -> Option<&'static str> {
    let name = variable.strip_prefix("DARTER_")?;
    let same = |known: &str| {
        known.len() == name.len()
            && known.bytes().zip(name.bytes()).all(|(known, given)| match known {
                b'-' | b'_' => given == b'_',
                letter => letter.to_ascii_uppercase() == given,
            })
    };
    all().find(|parameter| same(parameter.name) || parameter.alias.is_some_and(same)).map(|found| found.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut seen = BTreeSet::new();
        for name in all().flat_map(|parameter| std::iter::once(parameter.name).chain(parameter.alias)) {
            assert!(seen.insert(name), "{name} is declared twice");
            assert_eq!(name, name.to_ascii_lowercase());
        }
        assert!(seen.len() >= 192 + 5, "Redis 7.0's, the hidden ones and our own");
    }

    #[test]
    fn every_default_is_allowed_and_normal() {
        for parameter in all() {
            let default = parameter.get(&Settings::default());
            let words: Vec<&str> = match parameter.arguments {
                Arguments::Many if default.is_empty() => vec![],
                Arguments::Many => default.split(' ').collect(),
                Arguments::One => vec![&default],
            };
            let mut settings = Settings::default();
            // The one list that cannot be said to be empty is the one that says so in words.
            let words = if parameter.form == Form::Master { vec!["no", "one"] } else { words };
            parameter.set(&mut settings, &words).unwrap_or_else(|why| panic!("{}: {why}", parameter.name));
            settings.bind_given = false;
            assert_eq!(settings, Settings::default(), "{}", parameter.name);
        }
    }

    #[test]
    fn names_come_from_the_environment() {
        let table = [
            ("DARTER_PROTO_MAX_BULK_LEN", Some("proto-max-bulk-len")),
            ("DARTER_SHARDS", Some("shards")),
            ("DARTER_AOF_REWRITE_CPULIST", Some("aof_rewrite_cpulist")),
            ("DARTER_SLAVE_PRIORITY", Some("replica-priority")),
            ("DARTER_NO_SUCH", None),
            ("DARTER_", None),
            ("DARTER_port", None),
            ("DARTER_TCP-BACKLOG", None),
            ("PORT", None),
        ];
        for (variable, name) in table {
            assert_eq!(from_environment_name(variable), name, "{variable}");
        }
    }
}

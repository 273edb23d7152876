//! How a transaction travels: its bytes, and what its replies say of its outcome. It chooses nothing and owns no socket.

use super::history::{Key, Operation, Outcome, Value};
use crate::reply::{Reply, encode};

/// The ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// One command.
    Single,
    /// MULTI, RPUSH or APPEND for each append, LRANGE or GET for each read, EXEC.
    Exec,
    /// One MGET of several strings.
    Mget,
    /// WATCH and reads, then a body that is executed only if nothing watched has changed.
    Watch {
        /// How many of the first steps are the reads outside of MULTI.
        watched: usize,
    },
    /// A planted fault: single commands, recorded as if they were one transaction.
    Torn,
}

impl Carrier {
    /// For the reader of a report.
    pub fn name(self) -> &'static str {
        match self {
            Carrier::Single => "one command",
            Carrier::Exec => "EXEC",
            Carrier::Mget => "MGET",
            Carrier::Watch { .. } => "WATCH and EXEC",
            Carrier::Torn => "torn",
        }
    }

    /// How many of the first steps are sent, and answered, before the rest.
    pub fn watched(self) -> usize {
        if let Carrier::Watch { watched } = self { watched } else { 0 }
    }
}

/// A transaction that has not been answered.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its way.
    pub carrier: Carrier,
    /// Its steps, in which reads have seen nothing yet.
    pub operations: Vec<Operation>,
}

impl Draft {
    /// WATCH with the reads behind it; nothing for other carriers.
    pub fn encode_watch(&self, prefix: &str, request: &mut Vec<u8>) {
        let watched = &self.operations[..self.carrier.watched()];
        let mut words = vec!["WATCH".to_string()];
        words.extend(watched.iter().map(|step| format!("{prefix}{}", step.key())));
        encode(request, &words);
        watched.iter().for_each(|step| encode_step(prefix, step, request));
    }

    /// The transaction itself; returns how many replies it will have.
    pub fn encode(&self, prefix: &str, request: &mut Vec<u8>) -> usize {
        let body = &self.operations[self.carrier.watched()..];
        match self.carrier {
            Carrier::Single | Carrier::Torn => {
                body.iter().for_each(|step| encode_step(prefix, step, request));
                body.len()
            }
            Carrier::Mget => {
                let mut words = vec!["MGET".to_string()];
                words.extend(body.iter().map(|step| format!("{prefix}{}", step.key())));
                encode(request, &words);
                1
            }
            Carrier::Exec | Carrier::Watch { .. } => {
                encode(request, &["MULTI"]);
                body.iter().for_each(|step| encode_step(prefix, step, request));
                encode(request, &["EXEC"]);
                body.len() + 2
            }
        }
    }

    /// Takes the replies to WATCH and to the reads behind it.
    pub fn take_watch(&mut self, replies: &[Reply]) -> Result<(), String> {
        let watched = self.carrier.watched();
        expect_text(&replies[0], "OK")?;
        let mut steps = self.operations[..watched].iter_mut().zip(&replies[1..]);
        steps.try_for_each(|(step, reply)| take_step(step, reply))
    }

    /// Takes the replies to the transaction itself. What no server may say is an error.
    pub fn take(&mut self, replies: &[Reply]) -> Result<Outcome, String> {
        let watched = self.carrier.watched();
        let body = &mut self.operations[watched..];
        let results = match self.carrier {
            Carrier::Single | Carrier::Torn => replies,
            Carrier::Mget => array(&replies[0])?,
            Carrier::Exec | Carrier::Watch { .. } => {
                expect_text(&replies[0], "OK")?;
                replies[1..=body.len()].iter().try_for_each(|reply| expect_text(reply, "QUEUED"))?;
                match &replies[body.len() + 1] {
                    Reply::Nil if watched > 0 => return Ok(Outcome::Failed),
                    reply => array(reply)?,
                }
            }
        };
        if results.len() != body.len() {
            return Err(format!("{} results for {} steps", results.len(), body.len()));
        }
        body.iter_mut().zip(results).try_for_each(|(step, reply)| take_step(step, reply))?;
        Ok(Outcome::Ok)
    }
}

/// The one command of a step.
pub fn encode_step(prefix: &str, step: &Operation, request: &mut Vec<u8>) {
    let name = format!("{prefix}{}", step.key());
    match step {
        Operation::Append(key, value) if key.is_list() => {
            encode(request, &["RPUSH", &name, &value.to_string()])
        }
        Operation::Append(_, value) => encode(request, &["APPEND", &name, &format!("{value},")]),
        Operation::Read(key, _) if key.is_list() => encode(request, &["LRANGE", &name, "0", "-1"]),
        Operation::Read(..) => encode(request, &["GET", &name]),
    }
}

fn take_step(step: &mut Operation, reply: &Reply) -> Result<(), String> {
    match (step, reply) {
        (Operation::Append(..), Reply::Integer(_)) => Ok(()),
        (Operation::Read(key, seen), reply) => {
            *seen = Some(values(*key, reply)?);
            Ok(())
        }
        (step, reply) => Err(format!("{step} is answered by {reply:?}")),
    }
}

/// The values that a key's reply shows.
pub fn values(key: Key, reply: &Reply) -> Result<Vec<Value>, String> {
    let strange = || format!("{key} reads {reply:?}");
    let number = |text: &str| text.parse::<Value>().map_err(|_| strange());
    match reply {
        Reply::Array(items) if key.is_list() => {
            items.iter().map(|item| number(item.text().ok_or_else(strange)?)).collect()
        }
        Reply::Nil if !key.is_list() => Ok(Vec::new()),
        Reply::Bulk(_) if !key.is_list() => {
            let text = reply.text().and_then(|text| text.strip_suffix(',')).ok_or_else(strange)?;
            text.split(',').map(number).collect()
        }
        _ => Err(strange()),
    }
}

fn array(reply: &Reply) -> Result<&[Reply], String> {
    match reply {
        Reply::Array(items) => Ok(items),
        other => Err(format!("instead of results: {other:?}")),
    }
}

fn expect_text(reply: &Reply, text: &str) -> Result<(), String> {
    if reply.text() == Some(text) { Ok(()) } else { Err(format!("instead of {text}: {reply:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_replies_of_a_transaction_fit() {
        let steps = vec![Operation::Append(Key(2), 7), Operation::Read(Key(3), None)];
        let mut draft = Draft { carrier: Carrier::Exec, operations: steps };
        let mut request = Vec::new();
        assert_eq!(draft.encode("p:", &mut request), 4);
        let text = String::from_utf8(request).expect("text");
        assert!(text.contains("RPUSH\r\n$8\r\np:list:2\r\n$1\r\n7\r\n*2\r\n$3\r\nGET\r\n$8\r\np:text:3\r\n"));
        let queued = || Reply::Simple("QUEUED".into());
        let results = Reply::Array(vec![Reply::Integer(1), Reply::Bulk(b"5,6,".to_vec())]);
        let outcome = draft.take(&[Reply::Simple("OK".into()), queued(), queued(), results]);
        assert_eq!(outcome, Ok(Outcome::Ok));
        assert_eq!(draft.operations[1], Operation::Read(Key(3), Some(vec![5, 6])));
        let refused = draft.take(&[Reply::Simple("OK".into()), queued(), queued(), Reply::Nil]);
        assert!(refused.is_err(), "without WATCH nothing may be refused");
    }

    #[test]
    fn a_refused_watch_is_a_failure_with_its_reads() {
        let steps = vec![Operation::Read(Key(2), None), Operation::Append(Key(3), 7)];
        let mut draft = Draft { carrier: Carrier::Watch { watched: 1 }, operations: steps };
        let list = Reply::Array(vec![Reply::Bulk(b"4".to_vec())]);
        assert_eq!(draft.take_watch(&[Reply::Simple("OK".into()), list]), Ok(()));
        let (ok, queued) = (Reply::Simple("OK".into()), Reply::Simple("QUEUED".into()));
        assert_eq!(draft.take(&[ok, queued, Reply::Nil]), Ok(Outcome::Failed));
        assert_eq!(draft.operations[0], Operation::Read(Key(2), Some(vec![4])));
    }
}

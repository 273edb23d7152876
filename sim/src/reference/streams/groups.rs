//! Groups of streams, naively: one map of what is pending, with the names of consumers in it.

use std::collections::BTreeMap;

use super::super::{SYNTAX, Shard, Words, is};
use super::{
    Id, LOWEST, Stream, Told, entry_reply, from, get, id, id_reply, ids, info, integer, put, reading, to,
};
use crate::decoder::Reply;

/// An entry that was delivered: to whom, when, how often.
pub type Pending = (Vec<u8>, u64, u64);

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Up to here everything was delivered.
    pub last: Id,
    /// How many entries it has read; `None`: nobody knows.
    pub read: Option<u64>,
    /// What was not acknowledged.
    pub pending: BTreeMap<Id, Pending>,
    /// When each was seen, and when it got something.
    pub consumers: BTreeMap<Vec<u8>, (u64, Option<u64>)>,
}

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Told {
    match name {
        b"xreadgroup" => read(shard, db, words),
        b"xgroup" => group(shard, db, words),
        b"xack" => acknowledge(shard, db, words),
        b"xackdel" => acknowledge_and_delete(shard, db, words),
        b"xpending" => pending(shard, db, words),
        b"xclaim" => claim(shard, db, words),
        b"xautoclaim" => claim_some(shard, db, words),
        b"xinfo" => info::run(shard, db, words),
        _ => unreachable!("the caller knows the names"),
    }
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

impl Group {
    /// True if it was not there.
    fn see(&mut self, consumer: &[u8], now: u64) -> bool {
        let is_new = !self.consumers.contains_key(consumer);
        self.consumers.entry(consumer.to_vec()).or_default().0 = now;
        is_new
    }

    fn active(&mut self, consumer: &[u8], now: u64) {
        self.consumers.entry(consumer.to_vec()).or_default().1 = Some(now);
    }

    /// What is pending with one consumer.
    pub(super) fn of<'a>(&'a self, consumer: &'a [u8]) -> impl Iterator<Item = (&'a Id, &'a Pending)> {
        self.pending.iter().filter(move |(_, pending)| pending.0 == consumer)
    }
}

impl Stream {
    fn has_holes_from(&self, id: Id) -> bool {
        self.len() > 0 && self.deleted != LOWEST && self.deleted >= self.first() && id <= self.deleted
    }

    /// Which one of all that ever were, if that can be told.
    fn rank(&self, id: Id) -> Option<u64> {
        let gone = self.added.wrapping_sub(self.len() as u64);
        let is_whole = self.deleted == LOWEST || self.deleted < self.first();
        match () {
            () if self.added == 0 => Some(0),
            () if self.len() == 0 && id <= self.last => Some(self.added),
            () if id != LOWEST && id < self.deleted => None,
            () if id == self.last => Some(self.added),
            () if id > self.last => None,
            () if is_whole && id < self.first() => Some(gone),
            () if is_whole && id == self.first() => Some(gone.wrapping_add(1)),
            () => None,
        }
    }

    pub(super) fn lag(&self, group: &Group) -> Option<u64> {
        if self.added == 0 || self.len() == 0 {
            return Some(0);
        }
        if group.last < self.first() && self.deleted < self.first() {
            return Some(self.len() as u64);
        }
        let read = match group.read {
            Some(read) if !self.has_holes_from(group.last) => Some(read),
            _ => self.rank(group.last),
        };
        read.map(|read| self.added.wrapping_sub(read))
    }

    /// The next entry is delivered to a group.
    fn deliver(&mut self, name: &[u8], id: Id) {
        let group = &self.groups[name];
        let read = match group.read {
            Some(read) if group.last >= self.first() && !self.has_holes_from(group.last) => {
                Some(read.wrapping_add(1))
            }
            _ if self.added > 0 => self.rank(id),
            read => read,
        };
        let group = self.groups.get_mut(name).expect("it was there");
        (group.read, group.last) = (read, id);
    }
}

fn no_group(key: &[u8], group: &[u8]) -> String {
    format!("NOGROUP No such key '{}' or consumer group '{}'", text(key), text(group))
}

fn read(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let reading = reading(words)?;
    let (group, consumer) = reading.group.clone().expect("it was looked at");
    let keys = reading.first..reading.first + reading.keys;
    for n in keys.clone() {
        if !get(shard, db, &words[n])?.is_some_and(|stream| stream.groups.contains_key(&group)) {
            return Err(no_group(&words[n], &group) + " in XREADGROUP with GROUP option");
        }
    }
    let mut found = Vec::new();
    for n in keys {
        let now = shard.clock_of(&words[n]);
        let Some(mut stream) = get(shard, db, &words[n])? else { continue };
        let own = stream.groups.get_mut(&group).expect("it was looked for");
        let mut is_changed = own.see(&consumer, now);
        let own = own.clone();
        if words[n + reading.keys] == b">" {
            let mut idle: Vec<(u64, Id, u64)> = own
                .pending
                .iter()
                .filter(|(id, pending)| {
                    let is_idle = |idle: u64| pending.1.saturating_add(idle) <= now;
                    stream.get(**id).is_some() && reading.claim.is_some_and(is_idle)
                })
                .map(|(id, pending)| (pending.1, *id, pending.2))
                .collect();
            idle.sort();
            idle.truncate(reading.count);
            let more = reading.count - idle.len();
            let new: Vec<_> = stream.entries().filter(|(id, _)| *id > own.last).take(more).cloned().collect();
            let mut entries = Vec::new();
            let mut tell = |reply: Reply, idle: u64, times: u64| match (reply, reading.claim) {
                (Reply::Array(mut parts), Some(_)) => {
                    parts.extend([Reply::Integer(idle as i64), Reply::Integer(times as i64)]);
                    entries.push(Reply::Array(parts));
                }
                (reply, _) => entries.push(reply),
            };
            for (delivered, id, times) in idle {
                tell(entry_reply(stream.get(id).expect("it was there")), now - delivered, times);
                let own = stream.groups.get_mut(&group).expect("it was looked for");
                own.active(&consumer, now);
                own.pending.insert(id, (consumer.clone(), now, times + 1));
            }
            for entry in &new {
                tell(entry_reply(entry), 0, 0);
                stream.deliver(&group, entry.0);
                let own = stream.groups.get_mut(&group).expect("it was looked for");
                own.active(&consumer, now);
                if !reading.no_ack {
                    own.pending.insert(entry.0, (consumer.clone(), now, 1));
                }
            }
            if !entries.is_empty() {
                is_changed = true;
                found.extend([Reply::bulk(&words[n]), Reply::Array(entries)]);
            }
        } else {
            let behind = id(&words[n + reading.keys], 0)?;
            let ids: Vec<Id> = own.of(&consumer).map(|(id, _)| *id).filter(|id| *id > behind).collect();
            let mut entries = Vec::new();
            for id in ids.into_iter().take(reading.count) {
                match stream.get(id).cloned() {
                    Some(entry) => {
                        entries.push(entry_reply(&entry));
                        let own = stream.groups.get_mut(&group).expect("it was looked for");
                        let pending = own.pending.get_mut(&id).expect("it is pending");
                        (pending.1, pending.2) = (now, pending.2 + 1);
                        is_changed = true;
                    }
                    None => entries.push(Reply::Array(vec![id_reply(id), Reply::Null])),
                }
            }
            found.extend([Reply::bulk(&words[n]), Reply::Array(entries)]);
        }
        put(shard, db, &words[n], stream, is_changed);
    }
    Ok(if found.is_empty() { Reply::Null } else { Reply::Map(found) })
}

/// How many words a subcommand takes at least and at the most.
fn takes(sub: &[u8]) -> Option<(usize, usize)> {
    match sub {
        b"create" | b"setid" => Some((5, usize::MAX)),
        b"destroy" => Some((4, 4)),
        b"createconsumer" | b"delconsumer" => Some((5, 5)),
        _ => None,
    }
}

fn group(shard: &mut Shard, db: usize, words: &Words) -> Told {
    const NO_STREAM: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
                             option to create an empty stream automatically.";
    let sub = words[1].to_ascii_lowercase();
    let Some((least, most)) = takes(&sub) else {
        return Err(format!("ERR unknown subcommand '{}'. Try XGROUP HELP.", text(&words[1])));
    };
    if !(least..=most).contains(&words.len()) {
        return Err(format!("ERR wrong number of arguments for 'xgroup|{}' command", text(&sub)));
    }
    let (mut makes, mut read) = (false, None);
    let mut n = 5;
    while n < words.len() {
        if sub == b"create" && is(&words[n], "mkstream") {
            makes = true;
            n += 1;
        } else if is(&words[n], "entriesread") && n + 1 < words.len() {
            let number = integer(&words[n + 1])?;
            if number < -1 {
                return Err("ERR value for ENTRIESREAD must be positive or -1".into());
            }
            read = u64::try_from(number).ok();
            n += 2;
        } else {
            let word = text(&words[1]);
            return Err(format!(
                "ERR unknown subcommand or wrong number of arguments for '{word}'. Try XGROUP HELP."
            ));
        }
    }
    let (key, name) = (&words[2], &words[3]);
    let found = get(shard, db, key)?;
    if found.is_none() && !makes {
        return Err(NO_STREAM.into());
    }
    let mut stream = found.unwrap_or_default();
    if !stream.groups.contains_key(name) && (sub == b"setid" || sub.ends_with(b"consumer")) {
        return Err(format!("NOGROUP No such consumer group '{}' for key name '{}'", text(name), text(key)));
    }
    let now = shard.clock_of(key);
    let last = stream.last;
    let at = |word: &[u8]| if word == b"$" { Ok(last) } else { id(word, 0) };
    let (reply, is_changed) = match &sub[..] {
        b"create" => {
            let last = at(&words[4])?;
            if stream.groups.contains_key(name) {
                return Err("BUSYGROUP Consumer Group name already exists".into());
            }
            stream.groups.insert(name.clone(), Group { last, read, ..Group::default() });
            (Reply::ok(), true)
        }
        b"setid" => {
            let last = match &words[4][..] {
                b"-" => LOWEST,
                b"+" => super::HIGHEST,
                word => at(word)?,
            };
            let group = stream.groups.get_mut(name).expect("it was looked for");
            (group.last, group.read) = (last, read);
            (Reply::ok(), true)
        }
        b"destroy" => {
            let was_there = stream.groups.remove(name).is_some();
            (Reply::Integer(was_there.into()), was_there)
        }
        b"createconsumer" => {
            let group = stream.groups.get_mut(name).expect("it was looked for");
            let is_new = !group.consumers.contains_key(&words[4]) && group.see(&words[4], now);
            (Reply::Integer(is_new.into()), is_new)
        }
        _ => {
            let group = stream.groups.get_mut(name).expect("it was looked for");
            let was_there = group.consumers.remove(&words[4]).is_some();
            let before = group.pending.len();
            group.pending.retain(|_, pending| pending.0 != words[4]);
            (Reply::Integer((before - group.pending.len()) as i64), was_there)
        }
    };
    put(shard, db, key, stream, is_changed);
    Ok(reply)
}

fn acknowledge(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let Some(mut stream) = get(shard, db, &words[1])? else { return Ok(Reply::Integer(0)) };
    let Some(group) = stream.groups.get_mut(&words[2]) else { return Ok(Reply::Integer(0)) };
    let count = ids(&words[3..])?.into_iter().filter(|id| group.pending.remove(id).is_some()).count();
    put(shard, db, &words[1], stream, count > 0);
    Ok(Reply::Integer(count as i64))
}

fn acknowledge_and_delete(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let found = get(shard, db, &words[1])?;
    let (policy, ids) = super::policy_and_ids(&words[3..])?;
    let none = Reply::Array(vec![Reply::Integer(-1); ids.len()]);
    let Some(mut stream) = found else { return Ok(none) };
    if !stream.groups.contains_key(&words[2]) {
        return Ok(none);
    }
    let mut said = Vec::new();
    for id in ids {
        let group = stream.groups.get_mut(&words[2]).expect("it was looked for");
        said.push(match group.pending.remove(&id) {
            None => -1,
            Some(_) => stream.delete(id, &policy).abs(),
        });
    }
    put(shard, db, &words[1], stream, said.iter().any(|said| *said > 0));
    Ok(Reply::Array(said.into_iter().map(Reply::Integer).collect()))
}

fn pending(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let mut shown = None;
    if words.len() != 3 {
        if words.len() < 6 || words.len() > 9 {
            return Err(SYNTAX.into());
        }
        let (mut idle, mut n) = (0, 3);
        if is(&words[3], "idle") {
            (idle, n) = (integer(&words[4])?.max(0) as u64, 5);
            if words.len() < 8 {
                return Err(SYNTAX.into());
            }
        }
        let count = integer(&words[n + 2])?.max(0) as usize;
        shown = Some((idle, from(&words[n])?, to(&words[n + 1])?, count, words.get(n + 3)));
    }
    let found = get(shard, db, &words[1])?;
    let group = found.and_then(|stream| stream.groups.get(&words[2]).cloned());
    let group = group.ok_or_else(|| no_group(&words[1], &words[2]))?;
    let Some((idle, low, high, count, consumer)) = shown else { return Ok(summary(&group)) };
    let now = shard.clock_of(&words[1]);
    let is_shown = |(id, pending): &(&Id, &Pending)| {
        **id >= low
            && **id <= high
            && now.saturating_sub(pending.1) >= idle
            && consumer.is_none_or(|name| *name == pending.0)
    };
    let row = |(id, pending): (&Id, &Pending)| {
        Reply::Array(vec![
            id_reply(*id),
            Reply::bulk(&pending.0),
            Reply::Integer(now.saturating_sub(pending.1) as i64),
            Reply::Integer(pending.2 as i64),
        ])
    };
    Ok(Reply::Array(group.pending.iter().filter(is_shown).take(count).map(row).collect()))
}

fn summary(group: &Group) -> Reply {
    let Some((first, _)) = group.pending.first_key_value() else {
        return Reply::Array(vec![Reply::Integer(0), Reply::Null, Reply::Null, Reply::Null]);
    };
    let last = group.pending.last_key_value().map_or(*first, |(id, _)| *id);
    let mut counts: BTreeMap<&[u8], usize> = BTreeMap::new();
    group.pending.values().for_each(|pending| *counts.entry(&pending.0).or_default() += 1);
    let row = |(name, count): (&[u8], usize)| {
        Reply::Array(vec![Reply::bulk(name), Reply::bulk(count.to_string().as_bytes())])
    };
    Reply::Array(vec![
        Reply::Integer(group.pending.len() as i64),
        id_reply(*first),
        id_reply(last),
        Reply::Array(counts.into_iter().map(row).collect()),
    ])
}

fn min_idle(word: &[u8], name: &str) -> Result<u64, String> {
    let idle = integer(word).map_err(|_| format!("ERR Invalid min-idle-time argument for {name}"))?;
    Ok(idle.max(0) as u64)
}

fn claim(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let now = shard.clock_of(&words[1]);
    let found = get(shard, db, &words[1])?;
    let found = found.filter(|stream| stream.groups.contains_key(&words[2]));
    let mut stream = found.ok_or_else(|| no_group(&words[1], &words[2]))?;
    let idle = min_idle(&words[4], "XCLAIM")?;
    let named: Vec<Id> = words[5..].iter().map_while(|word| id(word, 0).ok()).collect();
    let (mut delivered, mut times, mut force, mut only_ids, mut last) =
        (now as i64, None, false, false, LOWEST);
    let mut n = 5 + named.len();
    while n < words.len() {
        let invalid = |option: &str| format!("ERR Invalid {option} option argument for XCLAIM");
        let (word, operand) = (&words[n], words.get(n + 1));
        n += 1;
        match operand {
            _ if is(word, "force") => force = true,
            _ if is(word, "justid") => only_ids = true,
            Some(operand) => {
                n += 1;
                if is(word, "idle") {
                    delivered = now as i64 - integer(operand).map_err(|_| invalid("IDLE"))?;
                } else if is(word, "time") {
                    delivered = integer(operand).map_err(|_| invalid("TIME"))?;
                } else if is(word, "retrycount") {
                    times = u64::try_from(integer(operand).map_err(|_| invalid("RETRYCOUNT"))?).ok();
                } else if is(word, "lastid") {
                    last = id(operand, 0)?;
                } else {
                    return Err(format!("ERR Unrecognized XCLAIM option '{}'", text(word)));
                }
            }
            None => return Err(format!("ERR Unrecognized XCLAIM option '{}'", text(word))),
        }
    }
    let delivered = if (0..=now as i64).contains(&delivered) { delivered as u64 } else { now };
    let entries = stream.clone();
    let group = stream.groups.get_mut(&words[2]).expect("it was looked for");
    let mut is_changed = last > group.last;
    group.last = group.last.max(last);
    is_changed |= group.see(&words[3], now);
    let mut claimed = Vec::new();
    for id in named {
        let Some(entry) = entries.get(id) else {
            is_changed |= group.pending.remove(&id).is_some();
            continue;
        };
        let before = group.pending.get(&id).map(|(_, at, times)| (*at, *times));
        let so_often = match before {
            Some((at, _)) if idle > 0 && now.saturating_sub(at) < idle => continue,
            Some((_, times)) => times,
            None if force => 1,
            None => continue,
        };
        let often = times.unwrap_or(so_often + u64::from(!only_ids));
        group.pending.insert(id, (words[3].clone(), delivered, often));
        group.active(&words[3], now);
        is_changed = true;
        claimed.push(if only_ids { id_reply(id) } else { entry_reply(entry) });
    }
    put(shard, db, &words[1], stream, is_changed);
    Ok(Reply::Array(claimed))
}

fn claim_some(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let now = shard.clock_of(&words[1]);
    let idle = min_idle(&words[4], "XAUTOCLAIM")?;
    let low = from(&words[5])?;
    let (mut count, mut only_ids, mut n) = (100, false, 6);
    while n < words.len() {
        if is(&words[n], "count") && n + 1 < words.len() {
            let number = integer(&words[n + 1]).ok().and_then(|number| usize::try_from(number).ok());
            count = number.filter(|number| *number > 0).ok_or("ERR COUNT must be > 0")?;
            n += 2;
        } else if is(&words[n], "justid") {
            only_ids = true;
            n += 1;
        } else {
            return Err(SYNTAX.into());
        }
    }
    let found = get(shard, db, &words[1])?;
    let found = found.filter(|stream| stream.groups.contains_key(&words[2]));
    let mut stream = found.ok_or_else(|| no_group(&words[1], &words[2]))?;
    let entries = stream.clone();
    let group = stream.groups.get_mut(&words[2]).expect("it was looked for");
    let mut is_changed = group.see(&words[3], now);
    let (mut claimed, mut gone, mut next) = (Vec::new(), Vec::new(), LOWEST);
    let all: Vec<Id> = group.pending.keys().filter(|id| **id >= low).copied().collect();
    for (looks, id) in all.into_iter().enumerate() {
        if looks == 10 * count || claimed.len() + gone.len() == count {
            next = id;
            break;
        }
        let Some(entry) = entries.get(id) else {
            group.pending.remove(&id);
            gone.push(id_reply(id));
            continue;
        };
        let pending = group.pending.get_mut(&id).expect("it is pending");
        if idle > 0 && now.saturating_sub(pending.1) < idle {
            continue;
        }
        *pending = (words[3].clone(), now, pending.2 + u64::from(!only_ids));
        group.active(&words[3], now);
        claimed.push(if only_ids { id_reply(id) } else { entry_reply(entry) });
    }
    is_changed |= !claimed.is_empty() || !gone.is_empty();
    put(shard, db, &words[1], stream, is_changed);
    Ok(Reply::Array(vec![id_reply(next), Reply::Array(claimed), Reply::Array(gone)]))
}

//! A shard's lines: who waits for keys that lie here gets in line, and is served when there is something.
//!
//! It knows requests and keys, and asks a waiter's core before it serves it. What a client's core makes of that stands in [`crate::block`]; the
//! lines themselves in [`crate::txn::waiters`].

use crate::args::Args;
use crate::block::settled;
use crate::command::row::{Block, Run, Sight};
use crate::database::Key;
use crate::engine::Engine;
use crate::event::{CoreId, Effect, Effects};
use crate::hop::{Hop, act, run_alone};
use crate::message::{Message, Request, Token};
use crate::mutant::planted;
use crate::node::{Applied, Node, Unserved};
use crate::protocol::chunks::Chunks;
use crate::shard::KeyRef;
use crate::time::{Now, UnixMillis};
use crate::txn::intent::{Fingerprint, Intent, Intents, Mode};
use crate::txn::queue::EntryId;
use crate::txn::waiters::{Kind, Progress, WaitId, WaitedKey, Waiter};
use crate::txn::work::{Finding, Order};
use crate::value::record::Record;
use smallvec::SmallVec;

impl Engine {
    /// A command that may wait has come to the shard where all its keys lie: it is answered, or gets in line.
    pub(crate) fn run_blocking(
        &mut self,
        from: CoreId,
        token: Token,
        request: &Request,
        block: &'static Block,
        now: Now,
        out: &mut Effects,
    ) {
        let id = WaitId { core: from, token };
        let is_own = from == self.node.core;
        let is_lent = is_own && self.lent.as_ref().is_some_and(|(lent, _)| *lent == token);
        // A client of this core may be gone by now, if its request was queued: it takes nothing with it.
        if is_own && !is_lent && !self.is_blocked_on(token) {
            return self.node.note_applied(Applied::GaveUp { token, why: Unserved::Gone });
        }
        let served = self.serve_request(id, request, false);
        if served.is_some() {
            self.node.note_applied(Applied::Direct { from, token });
        }
        match served {
            Some(reply) => self.answer_wait(from, token, reply, false, now, out),
            None => {
                let keys = self.waited_keys(request, block, false);
                let request = self.settle_here(request, block);
                self.node.shard.waiters.wait(id, request, false, keys);
                self.node.note_applied(Applied::Waits { from, token });
                if is_own {
                    self.got_in_line(token, now, out);
                } else {
                    out.push(Effect::Send { to: from, message: Message::InLine { token } });
                }
            }
        }
    }

    /// The request that is waited with on this shard alone.
    fn settle_here(&mut self, request: &Request, block: &Block) -> Request {
        let mut request = request.clone();
        if block.reader.is_some_and(|reader| reader.settle.is_some()) {
            let mut spans = Vec::new();
            let args = request.args.unpack(&mut spans);
            let circumstances = request.circumstances();
            let hop = Hop {
                command: request.command,
                database: request.database,
                circumstances: &circumstances,
                is_admitted: true,
                is_share: true,
            };
            let mut keys: Vec<KeyRef> = Vec::new();
            self.node.find_keys(&hop, args, false, &mut keys);
            let look = Order { step: 0, key: None, given: Finding::Nothing };
            let findings = act(&mut self.node, &keys, &hop, args, [look]);
            if let Some(args) = settled(request.command, args, &findings) {
                request.args = args;
            }
        }
        request
    }

    /// Gets in line for a transaction that has found nothing.
    pub(crate) fn wait_in_line(&mut self, from: CoreId, token: Token, request: &Request) {
        let Run::Block(block) = request.command.row().run else { return };
        let keys = self.waited_keys(request, block, true);
        if !keys.is_empty() {
            let tries = !block.is_served_alone;
            self.node.shard.waiters.wait(WaitId { core: from, token }, request.clone(), tries, keys);
            self.node.note_applied(Applied::Waits { from, token });
        }
    }

    /// The keys of this shard that a request waits for.
    fn waited_keys(&mut self, request: &Request, block: &Block, only_own: bool) -> Vec<WaitedKey> {
        let mut spans = Vec::new();
        let args = request.args.unpack(&mut spans);
        let places = request.command.row().keys.places(args).enumerate();
        places
            .filter(|(n, _)| (block.waits_for)(*n))
            .map(|(_, place)| args.at(place))
            .filter(|key| !only_own || self.node.owner_of(key) == self.node.core.0)
            .map(|key| (request.database, key.to_vec(), request.command.row().group as Kind))
            .collect()
    }

    /// Runs a request on those of its keys that lie here; `None`: there is nothing to be had, or others have waited longer for it.
    fn serve_request(&mut self, id: WaitId, request: &Request, only_own: bool) -> Option<Chunks> {
        let mut spans = Vec::new();
        let args = request.args.unpack(&mut spans);
        let circumstances = request.circumstances();
        let hop = Hop {
            command: request.command,
            database: request.database,
            circumstances: &circumstances,
            is_admitted: true,
            is_share: false,
        };
        let mut keys: Vec<KeyRef> = Vec::new();
        self.node.find_keys(&hop, args, only_own, &mut keys);
        let looks_past = match only_own {
            true => !planted("who is served takes from any of its keys"),
            false => !planted("a newcomer takes what somebody waits for"),
        };
        if looks_past {
            self.node.leave_to_others(id, &hop, args, &mut keys);
        }
        let mut reply = Chunks::with_buffer(Vec::new());
        run_alone(&mut self.node, &keys, &hop, args, &mut reply).then_some(reply)
    }

    /// Serves those in line for keys that have changed, as far as the keys are free.
    #[inline]
    pub(crate) fn serve_ready(&mut self, now: Now, out: &mut Effects) {
        if self.node.shard.waiters.has_ready() {
            self.serve_those_ready(now, out);
        }
    }

    fn serve_those_ready(&mut self, now: Now, out: &mut Effects) {
        let mut later = std::collections::VecDeque::new();
        // Serving may make other keys ready: BLMOVE pushes.
        while self.node.shard.waiters.has_ready() {
            for key in self.node.shard.waiters.take_ready() {
                if !self.serve_key(&key, now, out) {
                    later.push_back(key);
                }
            }
        }
        self.node.shard.waiters.put_back(later);
    }

    /// Serves those in line for a key; false if it has to be looked at again later.
    fn serve_key(&mut self, key: &WaitedKey, now: Now, out: &mut Effects) -> bool {
        let hash = self.node.shard.hasher().hash(&key.1);
        let fingerprint = Fingerprint::new(key.0, hash);
        let unix = self.node.shard.judge(now.unix());
        loop {
            let shard = &self.node.shard;
            let record = shard.databases[usize::from(key.0)]
                .get(Key { bytes: &key.1, hash })
                .filter(|record| !record.is_due(unix));
            // Whoever is ahead decides first; its end makes the key ready again. Readers stand in nobody's way.
            let mut seen = Sight::Nothing;
            let ready = |(_, waiter): &(WaitId, &Waiter)| {
                seen = seen.min(seen_by(waiter, record, &key.1, unix));
                seen == Sight::Something
            };
            let Some((id, waiter)) = shard.waiters.line(key).take_while(is_waiting).find(ready) else {
                if let Sight::NothingBefore(at) = seen {
                    let wait = at.0.saturating_sub(unix.0).max(1);
                    self.node.shard.waiters.look_again(key, now.mono.after_millis(wait));
                }
                return true;
            };
            let (tries, client, request) = (waiter.tries, waiter.request.client, waiter.request.clone());
            // Who is served looks at all its keys, and may push to one of them.
            let intents = self.own_intents_of(&request);
            let is_held = |intent: &Intent| {
                let matters =
                    intent.key == fingerprint || !planted("who is served pushes to a key that is held");
                matters && self.node.queue.is_held_by_another(intent.key, None)
            };
            if intents.keys().iter().any(is_held) {
                return planted("nobody looks for waiters after a transaction");
            }
            if id.core == self.node.core {
                if !self.claim(id.token) {
                    self.node.leave_line(id);
                    continue;
                }
                if tries {
                    if let Some(waiter) = self.node.shard.waiters.get_mut(id) {
                        waiter.progress = Progress::Trying;
                    }
                    self.try_again(id.token, now, out);
                    return true;
                }
                self.serve_first(id, now, out);
                continue;
            }
            if planted("a waiter is served without asking its core") {
                self.serve_first(id, now, out);
                continue;
            }
            if !self.node.links.take(id.core) {
                return planted("who cannot be woken for want of a credit is forgotten");
            }
            let intents = match planted("a key is not held while its waiter is asked") {
                true => Intents::default(),
                false => intents,
            };
            let entry = self.node.queue.hold(client, intents);
            if let Some(waiter) = self.node.shard.waiters.get_mut(id) {
                waiter.progress = Progress::Woken(entry);
            }
            out.push(Effect::Send { to: id.core, message: Message::Wake { token: id.token, entry } });
            return true;
        }
    }

    /// All keys of a request that lie here, locked.
    fn own_intents_of(&self, request: &Request) -> Intents {
        let mut spans = Vec::new();
        let args = request.args.unpack(&mut spans);
        let places = request.command.row().keys.places(args).map(|place| args.at(place));
        let mut intents = Intents::default();
        for key in places.filter(|key| self.node.owner_of(key) == self.node.core.0) {
            let hash = self.node.shard.hasher().hash(key);
            intents.add(Fingerprint::new(request.database, hash), Mode::Exclusive);
        }
        intents
    }

    /// Gives a waiter whose claim holds what is there.
    fn serve_first(&mut self, id: WaitId, now: Now, out: &mut Effects) {
        let Some(waiter) = self.node.shard.waiters.get_mut(id) else { return };
        let request = Request { unix_micros: now.unix_micros, ..waiter.request.clone() };
        let Some(reply) = self.serve_request(id, &request, true) else {
            // What was there is due by this instant's clock. Who waits elsewhere too is tried again by its core.
            let is_alone = self.is_alone(&request);
            self.node.shard.waiters.again(id, if is_alone { Progress::Waiting } else { Progress::Trying });
            return match id.core == self.node.core {
                true => self.unserved(id.token, now, out),
                false => {
                    out.push(Effect::Send { to: id.core, message: Message::Unserved { token: id.token } })
                }
            };
        };
        self.node.shard.waiters.leave(id);
        self.node.note_applied(Applied::Served { from: id.core, token: id.token });
        self.answer_wait(id.core, id.token, reply, true, now, out);
    }

    /// True if all keys of a request lie here.
    fn is_alone(&self, request: &Request) -> bool {
        let mut spans = Vec::new();
        let args = request.args.unpack(&mut spans);
        request
            .command
            .row()
            .keys
            .places(args)
            .all(|place| self.node.owner_of(args.at(place)) == self.node.core.0)
    }

    fn answer_wait(
        &mut self,
        from: CoreId,
        token: Token,
        reply: Chunks,
        is_served: bool,
        now: Now,
        out: &mut Effects,
    ) {
        if from == self.node.core {
            return self.end_wait(token, reply, Some(from), now, out);
        }
        let message = match is_served {
            true => Message::Served { token, reply },
            false => Message::Done { token, reply, slow: None },
        };
        out.push(Effect::Send { to: from, message });
    }

    /// The waiter's core says that it is to be served.
    pub(crate) fn serve(&mut self, from: CoreId, token: Token, entry: EntryId, now: Now, out: &mut Effects) {
        self.release_entry(entry);
        self.serve_first(WaitId { core: from, token }, now, out);
    }

    /// The waiter's core says that it is not to be served, or that it tries again itself.
    pub(crate) fn pass(&mut self, from: CoreId, token: Token, entry: EntryId, tries: bool) {
        self.release_entry(entry);
        let id = WaitId { core: from, token };
        if !tries || planted("who tries again loses its place in line") {
            self.node.leave_line(id);
        } else if let Some(waiter) = self.node.shard.waiters.get_mut(id) {
            waiter.progress = Progress::Trying;
        }
    }
}

/// True if nobody has decided yet how a wait ends.
fn is_waiting((_, waiter): &(WaitId, &Waiter)) -> bool {
    waiter.progress == Progress::Waiting
}

/// What somebody in line for a key sees there.
fn seen_by(waiter: &Waiter, record: Option<&Record>, key: &[u8], now: UnixMillis) -> Sight {
    let Run::Block(block) = waiter.request.command.row().run else { return Sight::Nothing };
    let Some(reader) = block.reader else { return Sight::of(record.is_some_and(block.is_ready)) };
    let mut spans = Vec::new();
    let args = waiter.request.args.unpack(&mut spans);
    let places = waiter.request.command.row().keys.places(args).filter(|place| args.at(*place) == key);
    places.map(|place| (reader.sees)(record, args, place, now)).min().unwrap_or(Sight::Nothing)
}

impl Node {
    /// True if there is something for somebody in line for a key at this moment, for drivers that check what they drive.
    pub fn could_serve(&self, key: &WaitedKey, now: UnixMillis) -> bool {
        let place = Key { bytes: &key.1, hash: self.shard.hasher().hash(&key.1) };
        let record = self.shard.databases[usize::from(key.0)].get(place);
        let now = self.shard.judged().max(now);
        let record = record.filter(|record| !record.is_due(now));
        let sees = |waiter| seen_by(waiter, record, &key.1, now) == Sight::Something;
        self.shard.waiters.line(key).any(|(_, waiter)| sees(waiter))
    }

    /// Of the keys of a command that waits, those where something lies for which others have waited longer are none of its business.
    pub(crate) fn leave_to_others(&self, id: WaitId, hop: &Hop<'_>, args: Args<'_>, keys: &mut Vec<KeyRef>) {
        let (row, database) = (hop.command.row(), hop.database);
        let Run::Block(block) = row.run else { return };
        if self.shard.waiters.is_empty() || block.reader.is_some() {
            return;
        }
        let places: SmallVec<[usize; 4]> = row.keys.places(args).collect();
        let table = &self.shard.databases[usize::from(database)];
        keys.retain(|key| {
            let place = key.place as usize;
            let bytes = args.at(place);
            let waits = places.iter().position(|other| *other == place).is_some_and(block.waits_for);
            let is_mine = !waits || !self.shard.waiters.is_behind(id, database, bytes, row.group as Kind);
            is_mine || !table.get(Key { bytes, hash: key.hash }).is_some_and(block.is_ready)
        });
    }

    /// Somebody waits here no more, unserved.
    pub(crate) fn leave_line(&mut self, id: WaitId) {
        if self.shard.waiters.leave(id).is_some() {
            self.note_applied(Applied::Left { from: id.core, token: id.token });
        }
    }

    /// Tells shards of clients that have left their lines, as far as there are credits.
    pub(crate) fn speak_of_leaving(&mut self, out: &mut Effects) {
        while let Some((core, token)) = self.leaving.front().copied() {
            if !self.links.take(core) {
                if planted("who cannot leave for want of a credit stays in line") {
                    self.leaving.pop_front();
                }
                return;
            }
            self.leaving.pop_front();
            out.push(Effect::Send { to: core, message: Message::Leave { token } });
        }
    }
}

//! A core as a shard: what others ask of it, at once where nothing stands ahead, else when its turn has come.
//!
//! It routes between the queue, which knows the order, and the rooms that run things. See `docs/TRANSACTIONS.md`.

use crate::ahead::AHEAD_MAX;
use crate::aof::line::TxName;
use crate::args::Args;
use crate::command::row::{Command, Flags, Run};
use crate::directs::{Directs, Dones};
use crate::engine::Engine;
use crate::event::{CoreId, Effect, Effects};
use crate::eviction::room::GROWTH;
use crate::exec::NO_ROOM;
use crate::gather::Asking;
use crate::hash::KeyHash;
use crate::hop::{Hop, act, run_hop};
use crate::message::{Message, Request, Token};
use crate::mutant::planted;
use crate::node::{Applied, Node};
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Reply};
use crate::shard::KeyRef;
use crate::slowlog::SlowCall;
use crate::time::{Now, UnixMillis};
use crate::txn::calls::Shape;
use crate::txn::intent::{Fingerprint, Intents, Mode};
use crate::txn::queue::{EntryId, Granted, Ticket};
use crate::txn::waiters::WaitId;
use crate::txn::watch::Watcher;
use crate::txn::work::{Body, Bundle, Circumstances, PlanStep, Ran, TxId, Work};

/// What keys of a request are locked, and how.
pub(crate) fn intents_of(
    row: &Command,
    args: Args<'_>,
    keys: &[KeyRef],
    database: u16,
    intents: &mut Intents,
) {
    let other = (row.other_database)(args);
    intents.whole = intents.whole.max((row.whole)(args));
    for (n, key) in keys.iter().enumerate() {
        intents.add(Fingerprint::new(database, key.hash), row.mode(n));
        if let Some(other) = other {
            intents.add(Fingerprint::new(other, key.hash), Mode::Exclusive);
        }
    }
}

impl Engine {
    /// Another core's command whose keys all lie here.
    pub(crate) fn direct(
        &mut self,
        from: CoreId,
        token: Token,
        request: Request,
        now: Now,
        out: &mut Effects,
    ) {
        if !self.node.queue.is_empty() {
            let intents = self.intents_of_request(&request);
            if !self.node.queue.is_free(request.client, &intents) {
                let client = request.client;
                let work = Work::Direct { from, token, request };
                self.enqueue(client, &intents, work, now, out);
                return;
            }
        }
        self.run_request(from, token, &request, now, out);
    }

    /// Another core's commands, one after the other.
    pub(crate) fn directs(&mut self, from: CoreId, mut directs: Box<Directs>, now: Now, out: &mut Effects) {
        let unix_micros = directs.unix_micros();
        for n in 0..directs.len() {
            if n % AHEAD_MAX == 0 {
                self.node.shard.foresee(directs.heads(), n);
            }
            let (head, args) = directs.at(n);
            if self.node.queue.is_empty() {
                let circumstances = head.circumstances(unix_micros);
                let hop = Hop {
                    command: head.command,
                    database: head.database,
                    circumstances: &circumstances,
                    is_admitted: false,
                    is_share: false,
                };
                self.run_direct(from, head.token, &hop, head.first_hash, args, now, out);
            } else {
                let request = directs.request(head, args);
                self.direct(from, head.token, request, now, out);
            }
            // Whoever waits is served before the next command runs.
            if self.has_work() {
                self.pump(now, out);
            }
        }
        self.spare_dones.keep_empty(&mut directs.empty);
        self.spare_directs.keep(directs);
    }

    /// Replies to this core's clients.
    pub(crate) fn dones(&mut self, from: CoreId, mut dones: Box<Dones>, now: Now, out: &mut Effects) {
        let mut each = dones.each().peekable();
        while let Some((Token { conn, .. }, ..)) = each.peek().copied() {
            match self.sessions.get_mut(conn) {
                Some(session) if session.blocked.is_none() && self.lent.is_none() => {
                    let mut is_first = true;
                    while let Some((token, start, end)) = each.next_if(|(token, ..)| token.conn == conn) {
                        let is_lost = planted("of replies that travel together each client gets the first");
                        if (is_first || !is_lost) && session.awaits(token.sequence) {
                            session.arrived_among(token.sequence, dones.bytes(), start, end);
                        }
                        is_first = false;
                    }
                }
                _ => {
                    let Some((token, start, end)) = each.next() else { break };
                    let mut reply = Chunks::default();
                    dones.bytes().copy_range(start, end, &mut reply);
                    self.end_wait(token, reply, Some(from), now, out);
                }
            }
            if each.peek().is_none_or(|(next, ..)| next.conn != conn) {
                self.settle(conn, now, out);
            }
        }
        drop(each);
        self.spare_directs.keep_empty(&mut dones.empty);
        self.spare_dones.keep(dones);
    }

    /// Another core's commands that take effect as one and whose keys all lie here.
    pub(crate) fn batch(
        &mut self,
        from: CoreId,
        token: Token,
        bundle: Box<Bundle>,
        now: Now,
        out: &mut Effects,
    ) {
        if !self.node.queue.is_empty() {
            let intents = self.intents_of_bundle(&bundle);
            let client = bundle.circumstances.client;
            if !self.node.queue.is_free(client, &intents) {
                self.enqueue(client, &intents, Work::Batch { from, token, bundle }, now, out);
                return;
            }
        }
        self.run_batch(from, token, &bundle, now, out);
    }

    /// Queues what may not run at once.
    pub(crate) fn enqueue(
        &mut self,
        client: crate::session::ClientId,
        intents: &Intents,
        work: Work,
        now: Now,
        out: &mut Effects,
    ) {
        self.node.statistics.queued_directs += 1;
        if let Some(work) = self.node.queue.direct(client, intents, work) {
            self.run_work(None, work, now, out);
        }
    }

    /// This core's part of a transaction, behind those of lower tickets.
    pub(crate) fn schedule(
        &mut self,
        from: CoreId,
        tx: TxId,
        client: crate::session::ClientId,
        ticket: Ticket,
        intents: Intents,
        body: Body,
    ) {
        if let Body::Check(circumstances) = &body
            && planted("what is watched is looked at before the grant")
        {
            let Circumstances { client, round, .. } = *circumstances;
            self.node.shard.watches.look_once(Watcher { client, round });
        }
        self.node.queue.schedule(ticket, client, intents, Work::Part { from, tx, body });
    }

    /// A further step of a transaction that is held here.
    pub(crate) fn step(
        &mut self,
        from: CoreId,
        tx: TxId,
        entry: EntryId,
        body: Body,
        now: Now,
        out: &mut Effects,
    ) {
        assert!(
            self.node.queue.is_held(entry) || planted("a transaction of steps is released after its first"),
            "a step finds what it locked"
        );
        let is_let_go =
            matches!(body, Body::Wait(_)) && planted("locks are let go before everybody is in line");
        if matches!(body, Body::Keeper(_)) {
            // What is read back is judged by its own instants.
            let ran = self.run_body(from, Some(tx), body, now, out);
            return self.answer_part(from, tx, entry, ran, out);
        }
        let before = self.node.instants[entry.index()];
        self.node.shard.pin(before);
        let ran = self.run_body(from, Some(tx), body, now, out);
        self.node.instants[entry.index()] = Some(self.node.shard.judged());
        self.node.shard.pin(None);
        self.answer_part(from, tx, entry, ran, out);
        if is_let_go {
            self.release_entry(entry);
        }
    }

    /// A transaction is over.
    pub(crate) fn release_entry(&mut self, entry: EntryId) {
        if self.node.queue.is_held(entry) {
            self.node.queue.release(entry);
            // What was spared for it may go now, if memory is short.
            self.node.shortness.in_vain_at = 0;
            if let Some(instant) = self.node.instants.get_mut(entry.index()) {
                *instant = None;
            }
        }
    }

    /// True if there may be something for [`Engine::pump`].
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        !(self.node.queue.is_empty()
            && self.own_answers.is_empty()
            && !self.node.shard.waiters.has_ready()
            && self.node.late_rounds.is_empty())
    }

    /// Runs everything whose turn has come, and what follows from it.
    pub(crate) fn pump(&mut self, now: Now, out: &mut Effects) {
        if !self.has_work() {
            return;
        }
        loop {
            self.serve_ready(now, out);
            while let Some(Granted { entry, work }) = self.node.queue.next_granted() {
                self.run_work(entry, work, now, out);
                // Before anybody else takes what has come.
                self.serve_ready(now, out);
            }
            // Where faults are planted, properties are to find them.
            debug_assert!(
                crate::mutant::COMPILED || self.node.queue.overlooked() == 0,
                "who waits is looked at again"
            );
            let Some((tx, entry, ran)) = self.own_answers.pop_front() else {
                return self.end_late_rounds(out);
            };
            self.heard(self.node.core, tx, entry, ran, now, out);
        }
    }

    /// A client's round of WATCH is over. What of it still waits here must not begin it anew: then it ends after that.
    pub(crate) fn end_round(&mut self, from: CoreId, watcher: Watcher, out: &mut Effects) {
        if self.node.queue.has_waiting_of(watcher.client) && !planted("a round ends before its WATCH has run")
        {
            self.node.late_rounds.push((from, watcher));
            return;
        }
        self.node.shard.watches.end(watcher);
        if from != self.node.core {
            out.push(Effect::Send { to: from, message: Message::Received });
        }
    }

    fn end_late_rounds(&mut self, out: &mut Effects) {
        if self.node.late_rounds.is_empty() {
            return;
        }
        for (from, watcher) in std::mem::take(&mut self.node.late_rounds) {
            self.end_round(from, watcher, out);
        }
    }

    fn run_work(&mut self, entry: Option<EntryId>, work: Work, now: Now, out: &mut Effects) {
        match work {
            Work::Direct { from, token, request } => self.run_request(from, token, &request, now, out),
            Work::Batch { from, token, bundle } => self.run_batch(from, token, &bundle, now, out),
            Work::Part { from, tx, body } => {
                let entry = entry.expect("a transaction that is granted is held");
                let is_forgotten = match &body {
                    Body::Plan(_) => planted("a transaction of steps is released after its first"),
                    _ => planted("locks are released at execution"),
                };
                let looks = !matches!(body, Body::Lock);
                let ran = self.run_body(from, Some(tx), body, now, out);
                let instants = &mut self.node.instants;
                instants.resize(instants.len().max(entry.index() + 1), None);
                instants[entry.index()] = looks.then(|| self.node.shard.judged());
                self.answer_part(from, tx, entry, ran, out);
                if is_forgotten {
                    self.release_entry(entry);
                }
            }
        }
    }

    fn answer_part(&mut self, from: CoreId, tx: TxId, entry: EntryId, ran: Ran, out: &mut Effects) {
        if from == self.node.core {
            self.own_answers.push_back((tx, entry, ran));
        } else {
            self.answer_when_written(from, tx, entry, ran, out);
        }
    }

    fn run_request(&mut self, from: CoreId, token: Token, request: &Request, now: Now, out: &mut Effects) {
        let mut spans = std::mem::take(&mut self.spans);
        let args = request.args.unpack(&mut spans);
        if let Run::Block(block) = request.command.row().run
            && (block.waits)(args)
        {
            self.spans = spans;
            return self.run_blocking(from, token, request, block, now, out);
        }
        let circumstances = request.circumstances();
        let hop = Hop {
            command: request.command,
            database: request.database,
            circumstances: &circumstances,
            is_admitted: false,
            is_share: false,
        };
        self.run_direct(from, token, &hop, request.first_hash, args, now, out);
        self.spans = spans;
    }

    #[expect(clippy::too_many_arguments, reason = "a command of another core has this many circumstances")]
    fn run_direct(
        &mut self,
        from: CoreId,
        token: Token,
        hop: &Hop<'_>,
        first_hash: KeyHash,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) {
        self.keys.clear();
        let places = hop.command.row().keys;
        match places.only().filter(|place| *place < args.len()) {
            Some(place) => self.keys.push(KeyRef { place: place as u32, hash: first_hash }),
            None => {
                for place in places.places(args) {
                    let hash = match self.keys.is_empty() {
                        true => first_hash,
                        false => self.node.shard.hasher().hash(args.at(place)),
                    };
                    self.keys.push(KeyRef { place: place as u32, hash });
                }
            }
        }
        // The reply goes to where replies for the same core stand already.
        if let Some(Message::Dones { dones }) = out.last_send(from) {
            let slow = run_hop(&mut self.node, &self.keys, hop, args, dones.replies(), None);
            if slow.is_none() {
                dones.end(token);
                self.node.note_applied(Applied::Direct { from, token });
                return;
            }
            let mut reply = Chunks::default();
            let start = dones.each().last().map_or(0, |(_, _, end)| end);
            dones.bytes().copy_range(start, dones.bytes().len(), &mut reply);
            dones.replies().truncate(start);
            self.node.note_applied(Applied::Direct { from, token });
            return self.answer_direct(from, token, reply, slow, now, out);
        }
        let mut reply = Chunks::with_buffer(Vec::new());
        let slow = run_hop(&mut self.node, &self.keys, hop, args, &mut reply, None);
        self.node.note_applied(Applied::Direct { from, token });
        self.answer_direct(from, token, reply, slow, now, out);
    }

    fn run_batch(&mut self, from: CoreId, token: Token, bundle: &Bundle, now: Now, out: &mut Effects) {
        let mut reply = Chunks::with_buffer(Vec::new());
        let slow = self.run_bundle_as_one(from, bundle, &mut reply, now, out);
        self.node.note_applied(Applied::Direct { from, token });
        // Of several slow calls the first is told: an answer has room for one.
        self.answer_direct(from, token, reply, slow.into_iter().next().map(Box::new), now, out);
    }

    /// Runs commands that take effect as one, and writes their reply.
    pub(crate) fn run_bundle_as_one(
        &mut self,
        from: CoreId,
        bundle: &Bundle,
        reply: &mut Chunks,
        now: Now,
        out: &mut Effects,
    ) -> Vec<SlowCall> {
        let resp = bundle.circumstances.resp;
        // What its client's core has found room for may find none here: then nothing of it is done.
        let lacks_room = bundle.calls.grows() && self.node.lacks_room(bundle.calls.held_bytes());
        if !bundle.watched.is_empty() && self.node.end_watch(&bundle.circumstances) {
            Reply::new(reply, resp).null_array();
            return Vec::new();
        }
        if lacks_room {
            let failure = if bundle.is_array { NO_ROOM } else { Failure::OUT_OF_MEMORY };
            self.node.statistics.error(failure.code());
            self.node.note_applied(Applied::NoRoom);
            Reply::new(reply, resp).error(&failure);
            return Vec::new();
        }
        if bundle.is_array {
            Reply::new(reply, resp).array(bundle.calls.len());
        }
        let ran = self.run_calls(from, bundle, now, out);
        let mut pieces = ran.pieces;
        reply.append(std::mem::take(pieces.chunks()));
        ran.more.map(|more| more.slow).unwrap_or_default()
    }

    fn answer_direct(
        &mut self,
        from: CoreId,
        token: Token,
        reply: Chunks,
        slow: Option<Box<SlowCall>>,
        now: Now,
        out: &mut Effects,
    ) {
        if from == self.node.core {
            if let (Some(call), Some(session)) = (slow, self.sessions.get_mut(token.conn)) {
                self.node.keep_slow(*call, session);
            }
            self.arrived(token, reply, now, out);
        } else {
            match out.last_send(from).filter(|_| slow.is_none()) {
                Some(Message::Dones { dones }) => dones.push(token, reply),
                Some(message @ Message::Done { slow: None, .. }) => {
                    let mut dones = self.spare_dones.take();
                    dones.begin(self.spare_directs.part_with());
                    if let Message::Done { token, reply, .. } = message {
                        dones.push(*token, std::mem::take(reply));
                    }
                    dones.push(token, reply);
                    *message = Message::Dones { dones };
                }
                _ => out.push(Effect::Send { to: from, message: Message::Done { token, reply, slow } }),
            }
        }
    }

    /// Runs what a transaction has for this shard.
    fn run_body(&mut self, from: CoreId, tx: Option<TxId>, body: Body, now: Now, out: &mut Effects) -> Ran {
        let mut number = 0;
        let written = self.node.pen.parts_written();
        self.node.pen.tx = tx.map(|id| TxName { core: from, id });
        let mut ran = match body {
            Body::Lock => {
                self.node.pen.tx = None;
                return Ran::default();
            }
            Body::Check(circumstances) => {
                Ran { touched: self.node.end_watch(&circumstances), ..Ran::default() }
            }
            Body::Wait(wait) => {
                self.node.pen.tx = None;
                self.wait_in_line(from, wait.0, &wait.1);
                return Ran::default();
            }
            Body::Keeper(word) => {
                self.node.pen.tx = None;
                return Ran::reported(self.obey(*word, now, out));
            }
            Body::Cut { is_final, page } => {
                self.cut_here(is_final, page);
                Ran::default()
            }
            Body::Mark { number, is_wanted } => {
                self.mark_here(number, is_wanted, out);
                Ran::default()
            }
            Body::Calls(bundle) => {
                self.yield_room(bundle.calls.grows(), bundle.calls.held_bytes());
                self.run_calls(from, &bundle, now, out)
            }
            Body::Plan(step) => {
                self.yield_room(step.command.row().flags.has(Flags::DENYOOM), GROWTH);
                number = step.orders.first().map_or(0, |order| order.step);
                self.run_plan_step(from, *step)
            }
        };
        if self.node.pen.tx.take().is_some() && self.node.pen.parts_written() != written {
            ran.logged = self.node.pen.generation;
        }
        if let Some(tx) = tx {
            self.node.note_applied(Applied::Part { from, tx, step: number });
        }
        ran
    }

    /// A part of a transaction is about to run, which may grow and is not refused any more: lets keys go for it, if need be.
    fn yield_room(&mut self, grows: bool, need: usize) {
        if grows {
            // What has been admitted where it began runs, though there may be none.
            self.node.lacks_room(need);
        }
    }

    /// Runs commands one after the other.
    fn run_calls(&mut self, from: CoreId, bundle: &Bundle, now: Now, out: &mut Effects) -> Ran {
        let mut ran = Ran::default();
        ran.pieces.chunks().tail().reserve(REPLY_ROOM);
        let mut spans = std::mem::take(&mut self.spans);
        let circumstances = &bundle.circumstances;
        for n in 0..bundle.calls.len() {
            let (call, args) = bundle.calls.at(n, &mut spans);
            if call.shape == Shape::Part {
                let asking = Asking {
                    command: call.command,
                    database: call.database,
                    client: circumstances.client,
                    resp: circumstances.resp,
                    clock: circumstances.clock,
                };
                // All shards and all commands of a transaction judge by the coordinator's instant.
                let now = Now { unix_micros: circumstances.unix_micros, ..now };
                let part = self.give_part(from, &asking, args, now, out);
                ran.more().parts.push(part);
                continue;
            }
            let hop = Hop {
                command: call.command,
                database: call.database,
                circumstances,
                is_admitted: true,
                is_share: call.shape != Shape::Whole,
            };
            let mut keys = std::mem::take(&mut self.keys);
            self.node.find_keys(&hop, args, false, &mut keys);
            if call.shape == Shape::Elements {
                let (chunks, ends) = ran.pieces.parts();
                run_hop(&mut self.node, &keys, &hop, args, chunks, Some(ends));
            } else {
                let slow = run_hop(&mut self.node, &keys, &hop, args, ran.pieces.chunks(), None);
                ran.pieces.end();
                if let Some(call) = slow {
                    ran.more().slow.push(*call);
                }
            }
            self.keys = keys;
        }
        self.spans = spans;
        ran
    }

    fn run_plan_step(&mut self, from: CoreId, step: PlanStep) -> Ran {
        let mut spans = std::mem::take(&mut self.spans);
        let mut keys = std::mem::take(&mut self.keys);
        let args = step.args.unpack(&mut spans);
        let hop = Hop {
            command: step.command,
            database: step.database,
            circumstances: &step.circumstances,
            is_admitted: true,
            is_share: true,
        };
        self.node.find_keys(&hop, args, true, &mut keys);
        if let Some(token) = step.waits
            && !planted("who tries by a transaction passes those in line")
        {
            self.node.leave_to_others(WaitId { core: from, token }, &hop, args, &mut keys);
        }
        let findings = act(&mut self.node, &keys, &hop, args, step.orders);
        (self.spans, self.keys) = (spans, keys);
        Ran::found(findings)
    }

    fn intents_of_request(&mut self, request: &Request) -> Intents {
        let mut spans = std::mem::take(&mut self.spans);
        let args = request.args.unpack(&mut spans);
        let mut intents = Intents::default();
        self.add_intents(request.command, request.database, args, &mut intents);
        self.spans = spans;
        intents
    }

    pub(crate) fn intents_of_bundle(&mut self, bundle: &Bundle) -> Intents {
        let mut spans = std::mem::take(&mut self.spans);
        let mut intents = Intents::default();
        for n in 0..bundle.calls.len() {
            let (call, args) = bundle.calls.at(n, &mut spans);
            self.add_intents(call.command, call.database, args, &mut intents);
        }
        self.spans = spans;
        if !planted("a waiting WATCH does not delay its EXEC") {
            bundle.watched.iter().for_each(|key| intents.add(*key, Mode::Shared));
        }
        intents
    }

    fn add_intents(
        &mut self,
        command: crate::command::CommandId,
        database: u16,
        args: Args<'_>,
        intents: &mut Intents,
    ) {
        let row = command.row();
        if let Run::Gather { whole, .. } = row.run {
            intents.whole = intents.whole.max(whole);
        }
        let hasher = self.node.shard.hasher();
        self.keys.clear();
        self.keys.extend(
            row.keys
                .places(args)
                .map(|place| KeyRef { place: place as u32, hash: hasher.hash(args.at(place)) }),
        );
        intents_of(row, args, &self.keys, database, intents);
    }
}

/// Room for the replies of a transaction's commands, bytes, which spares most of them the growing.
const REPLY_ROOM: usize = 256;

impl Node {
    /// Ends a client's round of WATCH on this shard; true if something it watched here has changed.
    pub(crate) fn end_watch(&mut self, circumstances: &Circumstances) -> bool {
        if planted("what is watched is not looked at") {
            return false;
        }
        let watcher = Watcher { client: circumstances.client, round: circumstances.round };
        let unix = UnixMillis(circumstances.unix_micros / 1_000);
        let is_due = self.shard.is_watched_key_due(watcher, unix)
            && !planted("expiry does not count for those who watch");
        self.shard.watches.end(watcher) || is_due
    }
}

//! The driver's turn, as in production: collect what is ready, read the clock, let the engine handle each, carry out the effects at the
//! end, messages in one batch, one send operation per client.

use std::mem::MaybeUninit;

use darter_core::Engine;
use darter_core::event::{ConnId, DiskOutcome, DiskRequest, Door, Effect, Event, Origin, Peer};
use darter_core::message::Message;
use darter_core::snapshot::walk::Walk;
use darter_core::time::Now;

use crate::abroad;
use crate::canary::Canary;
use crate::check::witness::Turn;
use crate::dialogue::Dialogue;
use crate::machine::{Connection, Flight, Input};
use crate::seen::{describe, digest, shown};
use crate::world::{Happening, World};

/// Turns in a row that nothing but a deadline has asked for; more means that a core spins.
const IDLE_WAKES_MAX: u32 = 20_000;
/// How late the late clock is, microseconds.
const LATE_MICROS: u64 = 1_500_000;

impl World<'_> {
    /// One turn of a core.
    pub(crate) fn turn(&mut self, core: usize) {
        self.machines[core].next_turn = u64::MAX;
        if self.machines[core].frozen_until > self.now {
            return self.wake(core, self.now);
        }
        if let Some(below) = self.machines[core].limit_read.take() {
            return self.finish_turn(core, below, true);
        }
        let mut is_busy = false;
        self.highest_clock = self.highest_clock.max(self.clocks().unix().0);
        self.machines[core].turn_began = self.now;
        self.arm(core);
        if self.machines[core].engine.deadline() <= self.clocks().mono {
            if self.machines[core].engine.next_parting() <= self.clocks().mono {
                self.sometimes.met("what was ready did not wait for late replies");
            }
            self.handle(core, Event::Wake);
        }
        for index in std::mem::take(&mut self.machines[core].closed) {
            self.tell_closed(core, index);
        }
        for input in std::mem::take(&mut self.machines[core].inbox) {
            is_busy = true;
            self.take_in(core, input);
        }
        let below = self.tickets.limit();
        if self.swarm.faults.late_limit && !self.calm && self.schedule.chance(100) {
            let machine = &mut self.machines[core];
            machine.limit_read = Some(below);
            let delay = self.span(0, 20 * self.swarm.hop);
            self.machines[core].busy_until = self.now + delay;
            return self.wake(core, self.now + delay);
        }
        self.finish_turn(core, below, is_busy);
    }

    /// The turn from the taking out of messages on; no ticket below this can arrive after that.
    fn finish_turn(&mut self, core: usize, below: u64, mut is_busy: bool) {
        let is_late = below < self.tickets.limit();
        is_busy |= self.receive_messages(core);
        if is_late && is_busy {
            self.sometimes.met("a limit was older than what the rings held");
        }
        if self.machines[core].engine.has_unstable() {
            self.handle(core, Event::Stable { below });
        }
        for index in std::mem::take(&mut self.machines[core].again) {
            if let Some(connection) = self.machines[core].connections.get_mut(&index) {
                connection.again = false;
                if !connection.closing && !connection.paused {
                    self.feed(core, index, &[]);
                }
            }
            is_busy = true;
        }
        self.look_at_walks(core);
        if self.swarm.storms && !self.calm && self.schedule.chance(30) {
            let keys = self.schedule.between(1, 6) as usize;
            self.machines[core].engine.node_mut().storm(keys);
        }
        if self.swarm.reloads && !self.calm && self.schedule.chance(2) {
            self.machines[core].engine.node_mut().reload();
        }
        if self.machines[core].engine.has_background() {
            if self.swarm.faults.no_slices && !self.calm {
                self.sometimes.met("background work was withheld");
            } else {
                let steps = self.schedule.between(1, 64) as u32;
                self.handle(core, Event::Slice { steps });
                self.sometimes.met("flushed keys were freed in steps");
                is_busy = true;
            }
        }
        self.carry_out(core);
        for index in std::mem::take(&mut self.machines[core].outputs) {
            self.send_output(core, index);
        }
        if self.swarm.log.is_some() && self.failure.is_none() && !self.is_dead {
            // Some say what they should not only while they cannot write.
            let fails = self.machines.iter().any(|machine| machine.engine.node().pen.failure().is_some());
            if self.schedule.chance(if fails { 100 } else { 4 }) {
                self.ask_what_would_be_left();
            }
        }
        let machine = &self.machines[core];
        if let Err(text) = self.witness.nobody_is_late(&machine.engine, machine.turn_began) {
            self.fail(text);
        }
        self.rest_until(core, is_busy);
    }

    /// When the core has its next turn.
    fn rest_until(&mut self, core: usize, is_busy: bool) {
        let mut cost = self.span(1_000, 6_000);
        if self.swarm.faults.slow && core == 0 && !self.calm {
            cost *= 40;
            self.sometimes.met("a core was slow");
        }
        let now = self.now;
        let seen = (0..self.rings.len()).filter_map(|from| self.rings[from][core].next_at()).min();
        let machine = &mut self.machines[core];
        machine.busy_until = (now + cost).max(self.pushing_until[core]);
        let deadline = machine.engine.deadline().0;
        let spins = !is_busy && deadline <= now;
        machine.idle_wakes = if spins { machine.idle_wakes + 1 } else { 0 };
        if machine.idle_wakes > IDLE_WAKES_MAX {
            return self.fail(format!("core {core} spins: its deadline stays in the past"));
        }
        let withheld = self.swarm.faults.no_slices && !self.calm;
        let has_work = !machine.inbox.is_empty()
            || !machine.again.is_empty()
            || !machine.outputs.is_empty()
            || !machine.closed.is_empty()
            || machine.engine.has_background() && !withheld
            || machine.engine.has_unstable();
        let next = if has_work { now } else { deadline.min(seen.unwrap_or(u64::MAX)) };
        if next < u64::MAX {
            self.wake(core, next);
        }
    }

    /// Lets the engine handle an event; its effects are kept for the end of the turn. Returns what was consumed.
    pub(crate) fn handle(&mut self, core: usize, event: Event<'_>) -> usize {
        let now = self.clocks();
        let (conn, filled) = match &event {
            Event::Bytes { conn, .. } => (Some(*conn), 0),
            Event::Filled { conn, bytes } => (Some(*conn), *bytes),
            _ => (None, 0),
        };
        if let Event::Message { message, .. } = &event {
            self.notice(core, message);
        }
        let is_sweep = matches!(event, Event::Wake | Event::Slice { .. });
        let text = self.trace.describes().then(|| describe(&event));
        let machine = &mut self.machines[core];
        let before = Counts::of(&machine.engine);
        let given = match self.canary {
            Canary::LateExpiry if core == 0 => Now { unix_micros: now.unix_micros - LATE_MICROS, ..now },
            _ => now,
        };
        let hashed = digest(&event);
        let consumed = filled + machine.engine.handle(given, event, &mut machine.effects);
        let lines = machine.engine.node_mut().take_journal();
        let told = machine.engine.node_mut().take_evicted();
        let effects: Vec<Effect> = machine.effects.drain().collect();
        self.trace.note(self.now, (core, hashed, consumed, &effects, &lines), || {
            let text = text.unwrap_or_default();
            format!("core {core}: {text} -> {consumed} {} {}", shown(&lines), shown(&effects))
        });
        if self.swarm.log.is_some() {
            self.moments.reads(core as u16, &lines, &machine.engine);
        }
        let after = Counts::of(&machine.engine);
        if is_sweep && after.expired > before.expired {
            self.sometimes.met("a key was found expired by the sweep");
        }
        if after.queued_directs > before.queued_directs {
            self.sometimes.met("a direct waited for a transaction");
        }
        let dialogue = conn.and_then(|conn| machine.connection(conn)).map(|connection| connection.dialogue);
        let mut turn = Turn {
            engine: &machine.engine,
            unix_millis: now.unix_micros / 1_000,
            moment: self.now,
            sometimes: &mut self.sometimes,
            evicted: told.into_iter().map(|(database, key)| (usize::from(database), key)).collect(),
        };
        let mut checked = self.witness.reads(&mut turn, &lines);
        for effect in &effects {
            if let Effect::Close { conn } = effect
                && let Some(connection) = machine.connections.get(&conn.index).filter(|c| c.conn == *conn)
            {
                self.witness.dialogues[connection.dialogue].shut = true;
            }
        }
        if let (Some(dialogue), Ok(())) = (dialogue, &checked) {
            let mut sessions = machine.engine.sessions().iter();
            let session = sessions.find(|session| Some(session.conn) == conn);
            let held = session.map_or(0, |session| session.taken_input());
            checked = self.witness.consumed(&mut turn, dialogue, consumed, held);
        }
        match after.parked {
            parked if parked > before.parked => {
                self.sometimes.met("credits ran out and a client was parked");
                if dialogue.is_some_and(|dialogue| self.witness.next_is_of_several(dialogue)) {
                    self.sometimes.met("a transaction was parked for credits");
                }
            }
            parked if parked < before.parked => self.sometimes.met("a parked client went on"),
            _ => {}
        }
        for (number, highest) in machine.table_bytes.iter_mut().enumerate() {
            let bytes = machine.engine.node().shard.databases()[number].table_bytes();
            if *highest > 0 && bytes > *highest {
                self.sometimes.met("a table split");
            } else if bytes > 0 && bytes < *highest {
                self.sometimes.met("a table merged");
            }
            *highest = bytes;
        }
        machine.pending.extend(effects);
        if let Err(text) = checked {
            self.fail(text);
        }
        consumed
    }

    /// What is worth noticing about a message that a core is about to handle.
    fn notice(&mut self, core: usize, message: &Message) {
        match message {
            Message::Done { token, .. } if self.machines[core].connection(token.conn).is_none() => {
                self.sometimes.met("a message came for a connection that was gone");
            }
            Message::Served { token, .. } if self.machines[core].connection(token.conn).is_none() => {
                self.sometimes.met("a waiter was served after its client was gone");
            }
            Message::Directs { .. } => self.sometimes.met("requests travelled together"),
            Message::Dones { .. } => self.sometimes.met("replies travelled together"),
            Message::Pass { tries: false, .. } => self.sometimes.met("a wake-up came too late"),
            Message::Schedule { ticket, .. } => {
                let highest = &mut self.machines[core].highest_ticket;
                if *ticket < *highest {
                    self.sometimes.met("a ticket arrived behind a higher one");
                }
                *highest = (*highest).max(*ticket);
            }
            _ => {}
        }
    }

    fn look_at_walks(&mut self, core: usize) {
        let node = self.machines[core].engine.node();
        let mut walks = node.shard.databases().iter().filter_map(|database| database.walk());
        let is_torn = walks.clone().any(Walk::is_torn);
        let (is_saved, is_aside) = (walks.any(|walk| walk.saved() > 0), node.shard.aside() > 0);
        let has_failed = node.status.has_failed;
        let (reloads, failed_reload) = (node.status.reloads, node.status.failed_reload);
        for (is_so, situation) in [
            (is_torn, "a part of a snapshot ended within a value"),
            (is_saved, "a key was saved before it was changed"),
            (is_aside, "a flushed database was walked through"),
            (has_failed, "a snapshot failed"),
            (reloads > failed_reload, "the log was read back while it was written"),
            (failed_reload > 0, "the log could not be read back while it was written"),
        ] {
            if is_so {
                self.sometimes.met(situation);
            }
        }
        if self.witness.snapshots.has_files() {
            self.compare_snapshots();
        }
    }

    fn touch_files(&mut self, core: usize, request: DiskRequest) -> DiskOutcome {
        let done = self.touch_disk(request);
        if let Some((path, file)) = done.published {
            let engines = self.machines.iter().map(|machine| machine.engine.node().shard.judged().0);
            let latest = engines.max().unwrap_or_default().max(self.highest_clock);
            let generation = path.split('.').rev().nth(2).filter(|_| path.ends_with(".base.rdb"));
            let generation: Option<u64> = generation.and_then(|number| number.parse().ok());
            let begun = self.machines[core].engine.node().status.begun;
            self.witness.snapshots.published(generation.map_or(begun, |number| number << 32), file, latest);
        }
        done.outcome
    }

    fn take_in(&mut self, core: usize, input: Input) {
        match input {
            Input::Open { client } => self.open(core, client),
            Input::Bytes { conn, bytes } => {
                let Some(connection) = self.machines[core].connection(conn) else { return };
                if connection.closing {
                    return;
                }
                if connection.paused {
                    connection.rest.extend_from_slice(&bytes);
                } else {
                    self.feed(core, conn.index, &bytes);
                }
            }
            Input::End { conn } => {
                if self.machines[core].connection(conn).is_some_and(|connection| !connection.closing) {
                    self.handle(core, Event::Ended { conn });
                }
            }
            Input::Reset { conn } => {
                if let Some(connection) = self.machines[core].connection(conn) {
                    connection.broken = true;
                    if !connection.closing && connection.sending.is_none() {
                        connection.closing = true;
                        self.machines[core].closed.push(conn.index);
                    }
                }
            }
            Input::Sent { conn, bytes } => self.sent(core, conn, bytes),
            Input::Disk { operation, outcome } => {
                self.handle(core, Event::Disk { operation, outcome });
            }
            // Who has hung up hears no more, by the engine's own rule.
            Input::Heard { link, news } => {
                self.handle(core, Event::Heard { link, news });
            }
        }
    }

    fn open(&mut self, core: usize, client: usize) {
        let conn = self.machines[core].next_conn();
        if conn.generation > 0 {
            self.sometimes.met("an index was used again");
        }
        self.clients[client].opening = false;
        let wild = self.clients[client].wild;
        let (dialogue, door) = match self.clients[client].is_of_items {
            true => (Dialogue::of_items(client, core as u16), Door::Memcached),
            false => (Dialogue::new(client, core as u16, wild), Door::Redis),
        };
        let dialogue = self.witness.opens(conn, dialogue);
        self.clients[client].open = Some((conn, dialogue));
        let connection = Connection {
            conn,
            client,
            dialogue,
            rest: Vec::new(),
            paused: false,
            again: false,
            has_output: false,
            sending: None,
            next_address: None,
            closing: false,
            broken: false,
        };
        self.machines[core].connections.insert(conn.index, connection);
        let peer = Peer {
            address: format!("127.0.0.1:{}", 1_000 + client),
            local: "127.0.0.1:6379".into(),
            origin: Origin::Loopback,
            descriptor: client as i32,
        };
        let clients = self.machines.iter().map(|machine| machine.connections.len()).sum();
        self.handle(core, Event::Opened { conn, peer, clients, door });
        let sessions = self.machines[core].engine.sessions();
        let id = sessions.iter().find(|session| session.conn == conn).map(|session| session.id.0);
        self.witness.dialogues[dialogue].id = id.unwrap_or(0);
        self.greet(client);
    }

    /// Gives the engine everything of a connection that it has not consumed, and what is new.
    fn feed(&mut self, core: usize, index: u32, fresh: &[u8]) {
        let Some(connection) = self.machines[core].connections.get_mut(&index) else { return };
        let conn = connection.conn;
        let mut bytes = std::mem::take(&mut connection.rest);
        bytes.extend_from_slice(fresh);
        // A driver may receive to where a large argument will lie, or not.
        let room = self.machines[core].engine.room(conn);
        if !room.is_empty() && self.now.is_multiple_of(2) {
            let filled = room.len().min(bytes.len());
            room.iter_mut()
                .zip(bytes.drain(..filled))
                .for_each(|(place, byte)| *place = MaybeUninit::new(byte));
            self.handle(core, Event::Filled { conn, bytes: filled });
            self.sometimes.met("a large argument was received where it belongs");
        }
        let consumed = self.handle(core, Event::Bytes { conn, bytes: &bytes });
        if consumed < bytes.len() {
            self.sometimes.met("a request was cut in the middle");
        }
        bytes.drain(..consumed);
        if let Some(connection) = self.machines[core].connection(conn) {
            connection.rest = bytes;
        }
    }

    fn sent(&mut self, core: usize, conn: ConnId, bytes: Option<usize>) {
        let machine = &mut self.machines[core];
        let Some(connection) = machine.connection(conn) else { return };
        let Some(flight) = connection.sending.take() else { return };
        if connection.closing || connection.broken {
            connection.closing = true;
            return machine.closed.push(conn.index);
        }
        let Some(bytes) = bytes else { return };
        if bytes < flight.bytes.len() {
            connection.next_address = flight.next_address;
        }
        if bytes < flight.bytes.len() || connection.has_output {
            connection.has_output = true;
            machine.outputs.push(conn.index);
        }
        self.handle(core, Event::Sent { conn, bytes });
    }

    fn tell_closed(&mut self, core: usize, index: u32) {
        let Some(connection) = self.machines[core].connections.remove(&index) else { return };
        assert!(connection.sending.is_none(), "nothing is in flight at the end");
        self.witness.closed(connection.dialogue, &mut self.sometimes);
        self.handle(core, Event::Closed { conn: connection.conn });
        let delay = self.span(5_000, 50_000);
        self.at(self.now + delay, Happening::End(connection.client, connection.dialogue));
    }

    /// Everything that can be seen, of each core in its order; which core comes first is chance.
    fn receive_messages(&mut self, core: usize) -> bool {
        let cores = self.machines.len();
        let seen_at = match self.canary {
            Canary::EarlyDrain => self.now.saturating_sub(2 * self.swarm.hop),
            _ => self.now,
        };
        let first = self.schedule.below(cores as u64) as usize;
        let mut any = false;
        for from in (0..cores).map(|n| (n + first) % cores).filter(|from| *from != core) {
            while let (None, Some(message)) = (&self.failure, self.rings[from][core].pop(seen_at)) {
                any = true;
                let from = darter_core::event::CoreId(from as u16);
                self.handle(core, Event::Message { from, message });
            }
        }
        any
    }

    fn carry_out(&mut self, core: usize) {
        self.write_log(core);
        if self.is_dead {
            self.machines[core].pending.clear();
            self.machines[core].outputs.clear();
            return;
        }
        let undrawn = self.machines[core].engine.undrawn();
        let id = darter_core::event::CoreId(core as u16);
        let mut first = None;
        if undrawn > 0 {
            self.tickets.announce(id);
            let drawn = self.tickets.draw(id, undrawn);
            first = Some(drawn);
            self.handle(core, Event::Tickets { first: drawn });
        }
        // A core that has drawn tickets pushes one message after the other; it may stand still in between.
        let stalls = self.swarm.faults.stall_pushes && !self.calm;
        let (mut begun_at, mut pushed_at, mut sent) = (self.now, self.now, 0);
        for effect in std::mem::take(&mut self.machines[core].pending) {
            match effect {
                Effect::Send { to, mut message } => {
                    if let Some(first) = first {
                        message.stamp(first);
                    }
                    if first.is_some() && sent > 0 && stalls && self.schedule.chance(200) {
                        begun_at = pushed_at + self.span(0, 100 * self.swarm.hop);
                        self.sometimes.met("a core stalled between its pushes");
                    }
                    sent += 1;
                    pushed_at = pushed_at.max(self.push(core, to.index(), begun_at, message));
                }
                Effect::Disk { operation, request } => {
                    let outcome = self.touch_files(core, request);
                    let delay = self.span(10_000, 5_000_000);
                    self.at(self.now + delay, Happening::Ready(core, Input::Disk { operation, outcome }));
                }
                Effect::Dial { link, host, bytes, .. } => {
                    let mut at = self.now;
                    for news in abroad::answer(&host, &bytes, &mut self.schedule) {
                        at += self.span(10_000, 3_000_000);
                        self.at(at, Happening::Ready(core, Input::Heard { link, news }));
                    }
                    self.sometimes.met("a server outside was asked");
                }
                Effect::HangUp { .. } => {}
                Effect::Exit => self.machines[core].exited = true,
                Effect::Fail { text } | Effect::Abort { text } => self.fail(text),
                Effect::Shutdown => self.fail("nobody has asked for a shutdown".into()),
                Effect::Log { text, .. } if text.contains("output buffer limits") => {
                    self.sometimes.met("a client was closed over its output limit");
                }
                Effect::Log { .. } | Effect::LogThreshold(_) => {}
                Effect::TakeOutput { conn }
                | Effect::PauseRead { conn }
                | Effect::ResumeRead { conn }
                | Effect::Close { conn } => self.carry_out_for(core, conn, &effect),
            }
        }
        if first.is_some() {
            // The core is stalled between its pushes: until the last can be seen it does nothing else, and says so to the others.
            self.pushing_until[core] = pushed_at;
            if self.canary == Canary::EarlySilence {
                self.tickets.pushed(id);
            }
            self.at(pushed_at, Happening::Pushed(core));
        }
    }

    fn carry_out_for(&mut self, core: usize, conn: ConnId, effect: &Effect) {
        let machine = &mut self.machines[core];
        let Some(connection) = machine.connections.get_mut(&conn.index).filter(|c| c.conn == conn) else {
            return;
        };
        match effect {
            Effect::TakeOutput { .. } => {
                let is_news = !std::mem::replace(&mut connection.has_output, true);
                if is_news && connection.sending.is_none() {
                    machine.outputs.push(conn.index);
                }
            }
            Effect::PauseRead { .. } => {
                connection.paused = true;
                self.sometimes.met("a reading pause was asked for");
            }
            Effect::ResumeRead { .. } => {
                connection.paused = false;
                if !std::mem::replace(&mut connection.again, true) {
                    machine.again.push(conn.index);
                }
            }
            _ if !connection.closing => {
                connection.closing = true;
                if connection.sending.is_none() {
                    machine.closed.push(conn.index);
                }
            }
            _ => {}
        }
    }

    /// Puts a message into a ring at this moment; how long until it can be seen is chance, but never earlier than the one before it.
    fn push(&mut self, from: usize, to: usize, begun_at: u64, message: Message) -> u64 {
        let hop = self.swarm.hop;
        let delay = match self.swarm.faults.delay && !self.calm {
            true => *self.schedule.pick(&[0, hop, hop, 5 * hop, 50 * hop]),
            false => hop,
        };
        let at = begun_at + self.span(delay / 2, delay);
        let ring = &mut self.rings[from][to];
        if let Err(text) = ring.push(at, message) {
            self.fail(format!("core {from} to core {to}: {text}"));
            return at;
        }
        let at = ring.last_at().unwrap_or(at);
        self.tampering.pushed(self.canary, ring);
        self.wake(to, at);
        at
    }

    /// Begins to send what the engine has for a client.
    fn send_output(&mut self, core: usize, index: u32) {
        let machine = &mut self.machines[core];
        let Some(connection) = machine.connections.get_mut(&index) else { return };
        if connection.closing || connection.sending.is_some() {
            return;
        }
        connection.has_output = false;
        let expected = connection.next_address.take();
        let (mut bytes, mut addresses) = (Vec::new(), Vec::new());
        for slice in machine.engine.output(connection.conn) {
            addresses.push((bytes.len(), slice.as_ptr() as usize));
            bytes.extend_from_slice(slice);
        }
        if bytes.is_empty() {
            return;
        }
        let moved = expected.is_some_and(|address| addresses[0].1 != address);
        let cut = self.swarm.faults.cut_output && !self.calm && self.schedule.chance(500);
        let leaving = if cut { self.schedule.between(0, bytes.len() as u64) as usize } else { bytes.len() };
        let piece = addresses.iter().rev().find(|(start, _)| *start <= leaving);
        let next_address =
            piece.filter(|_| leaving < bytes.len()).map(|(start, address)| address + leaving - start);
        let conn = connection.conn;
        connection.sending = Some(Flight { bytes, leaving, next_address });
        let delay = self.span(2_000, 40_000);
        self.at(self.now + delay, Happening::SendEnds(core, conn));
        if cut {
            self.sometimes.met("output left in parts");
        }
        if moved {
            self.fail(format!("bytes of client {conn:?} have moved while they were in flight"));
        }
    }
}

/// What an engine has counted, to see what an event does.
#[derive(Clone, Copy)]
struct Counts {
    expired: u64,
    parked: usize,
    queued_directs: u64,
}

impl Counts {
    fn of(engine: &Engine) -> Counts {
        let node = engine.node();
        Counts {
            expired: node.shard.counters().expired,
            parked: node.links.parked(),
            queued_directs: node.statistics.queued_directs,
        }
    }
}

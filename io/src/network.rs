//! The network ring: one io_uring per core, with its operations and their completions as plain data.
//!
//! Gathers the operations of a turn and submits them with one system call, which is also the one that waits. It does not
//! know connections nor the engine; the numbers in its tokens belong to its user.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use darter_core::event::CoreId;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{CompletionQueue, EnterFlags, IoUring, SubmissionQueue, Submitter, cqueue, opcode};

use crate::buffers::{Buffers, GROUP};

/// Operations that fit into one submission.
const SUBMISSIONS: u32 = 512;
/// Completions that fit before the kernel keeps them aside for us.
const COMPLETIONS: u32 = 4_096;
/// Slices that leave in one operation.
pub const SLICES: usize = 64;
/// Bytes of one receive operation that ends by itself: enough for what stands before a large argument, which belongs elsewhere.
const SINGLE_LEN: u32 = 2 << 10;

/// What an operation was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// Accepting at this listener.
    Accept(u32),
    /// Receiving for this connection.
    Receive(u32),
    /// Sending for this connection.
    Send(u32),
    /// Receiving for this connection to where the engine wants it.
    Fill(u32),
    /// Waking this core has failed: only failures are reported.
    Ring(CoreId),
    /// Another core woke this one.
    Woken,
    /// The stop signal was given.
    Stop,
    /// A timer ran out.
    Timer,
    /// A connection to another server has news.
    News,
    /// Nobody waits for this.
    Ignored,
}

impl Token {
    fn bits(self) -> u64 {
        let (kind, value) = match self {
            Token::Accept(listener) => (1, listener),
            Token::Receive(connection) => (2, connection),
            Token::Send(connection) => (3, connection),
            Token::Ring(core) => (4, u32::from(core.0)),
            Token::Woken => (5, 0),
            Token::Stop => (6, 0),
            Token::Timer => (7, 0),
            Token::Ignored => (8, 0),
            Token::Fill(connection) => (9, connection),
            Token::News => (10, 0),
        };
        kind << 32 | u64::from(value)
    }

    fn of(bits: u64) -> Token {
        let value = bits as u32;
        match bits >> 32 {
            1 => Token::Accept(value),
            2 => Token::Receive(value),
            3 => Token::Send(value),
            4 => Token::Ring(CoreId(value as u16)),
            5 => Token::Woken,
            6 => Token::Stop,
            7 => Token::Timer,
            9 => Token::Fill(value),
            10 => Token::News,
            _ => Token::Ignored,
        }
    }
}

/// How an operation ended or went on.
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    /// What it was for.
    pub token: Token,
    /// A count or a descriptor, or the negated error number.
    pub result: i32,
    flags: u32,
}

impl Completion {
    /// The operation goes on and will complete again.
    #[inline]
    pub fn goes_on(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// The buffer that was handed over.
    #[inline]
    pub fn buffer(&self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

/// How long [`Network::enter`] waits for a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// At most so long.
    Within(Duration),
    /// Until there is one.
    Forever,
}

/// A message header with its slices, at addresses that stay while the kernel may read them.
struct Gather {
    header: Box<libc::msghdr>,
    slices: Box<[libc::iovec; SLICES]>,
}

/// The last argument of `io_uring_enter`, with what Linux 6.12 has added to it.
#[repr(C)]
struct Gathering {
    signals: u64,
    signals_len: u32,
    /// So long several completions are waited for, microseconds; afterwards one is enough.
    micros: u32,
    /// Address of how long is waited at all.
    limit: u64,
}

/// The ring of one core. Only the thread that made it uses it. It lives as long as the process, as do its buffers: the kernel
/// may hold addresses of both until then.
pub struct Network {
    submitter: Submitter<'static>,
    submissions: SubmissionQueue<'static>,
    completions: CompletionQueue<'static>,
    descriptor: RawFd,
    /// Received bytes.
    pub buffers: Buffers,
    /// Taken out while there was no room to submit; oldest first.
    early: Vec<Completion>,
    gathers: Vec<Gather>,
    gathers_used: usize,
    /// The kernel can wait for several completions for a while, and then be content with one.
    waits_for_several: bool,
    /// Where the stop signal's count is read to.
    stop_count: *mut u64,
    /// The same of the news of connections to other servers.
    news_count: *mut u64,
    /// The timer's span, at a lasting address.
    timer: *mut Timespec,
}

impl Network {
    /// Makes the ring and its buffers.
    pub fn new() -> io::Result<Network> {
        let ring: &'static mut IoUring = Box::leak(Box::new(build()?));
        let descriptor = ring.as_raw_fd();
        let waits_for_several = ring.params().is_feature_min_timeout();
        let (mut submitter, submissions, completions) = ring.split();
        // An older kernel refuses: the only loss is a little time.
        let _ = submitter.register_ring_fd();
        let buffers = Buffers::register(&submitter)?;
        Ok(Network {
            submitter,
            submissions,
            completions,
            descriptor,
            buffers,
            early: Vec::new(),
            gathers: Vec::new(),
            gathers_used: 0,
            waits_for_several,
            stop_count: Box::leak(Box::new(0)),
            news_count: Box::leak(Box::new(0)),
            timer: Box::leak(Box::new(Timespec::new())),
        })
    }

    /// The ring's descriptor, by which other cores wake this one.
    pub fn descriptor(&self) -> RawFd {
        self.descriptor
    }

    /// Adds all completions that are there, oldest first.
    #[inline]
    pub fn collect(&mut self, into: &mut Vec<Completion>) {
        into.append(&mut self.early);
        self.completions.sync();
        into.extend(self.completions.by_ref().map(read));
        self.completions.sync();
    }

    /// True if a completion is there or the kernel has one to hand over.
    #[inline]
    pub fn has_completions(&mut self) -> bool {
        if !self.early.is_empty() {
            return true;
        }
        self.completions.sync();
        !self.completions.is_empty() || self.submissions.taskrun() || self.submissions.cq_overflow()
    }

    /// True if the kernel has operations to take or completions to hand over.
    #[inline]
    pub fn wants_enter(&self) -> bool {
        !self.submissions.is_empty() || self.submissions.taskrun() || self.submissions.cq_overflow()
    }

    /// The owner of a descriptor that an accept operation has completed with.
    pub fn adopt(accepted: RawFd) -> OwnedFd {
        assert!(accepted >= 0, "an error is no descriptor");
        // SAFETY: the kernel made the descriptor for the completion, which is looked at once, so it has no other owner.
        unsafe { OwnedFd::from_raw_fd(accepted) }
    }

    /// Submits everything, lets the kernel post what has completed, and waits as told. Interruptions and a kernel that
    /// wants its completions taken first are no errors: the next turn goes on.
    ///
    /// # Panics
    /// If the kernel refuses a ring that it has made: nothing can go on then.
    pub fn enter(&mut self, wait: Wait) {
        self.enter_with(wait, 1, Duration::ZERO);
    }

    /// The same, and waits for `count` completions at once if they come within `span`, else for one. (Linux 6.12; older ones are not asked to.)
    pub fn enter_for_several(&mut self, wait: Wait, count: u32, span: Duration) {
        let count = if self.waits_for_several { count } else { 1 };
        self.enter_with(wait, count, span);
    }

    fn enter_with(&mut self, wait: Wait, several: u32, span: Duration) {
        self.submissions.sync();
        let outcome = match wait {
            Wait::Within(_) | Wait::Forever if several > 1 => {
                let limit = match wait {
                    Wait::Within(limit) => Some(Timespec::from(limit)),
                    _ => None,
                };
                let gathering = Gathering {
                    signals: 0,
                    signals_len: 0,
                    micros: span.as_micros() as u32,
                    limit: limit.as_ref().map_or(0, |limit| std::ptr::from_ref(limit) as u64),
                };
                let count = self.submissions.len() as u32;
                let flags = (EnterFlags::GETEVENTS | EnterFlags::EXT_ARG).bits();
                // SAFETY: the argument and what it points to live until the call returns; for submissions see `push`.
                unsafe { self.submitter.enter(count, several, flags, Some(&gathering)) }
            }
            Wait::No => {
                let count = self.submissions.len() as u32;
                let flags = EnterFlags::GETEVENTS.bits();
                // SAFETY: no argument is given; every submission upholds the promises made in `push`.
                unsafe { self.submitter.enter::<libc::sigset_t>(count, 0, flags, None) }
            }
            Wait::Within(limit) => {
                let span = Timespec::from(limit);
                self.submitter.submit_with_args(1, &SubmitArgs::new().timespec(&span))
            }
            Wait::Forever => self.submitter.submit_and_wait(1),
        };
        self.submissions.sync();
        if self.submissions.is_empty() {
            // The kernel copies headers and slices when it takes the submission (IORING_FEAT_SUBMIT_STABLE).
            self.gathers_used = 0;
        }
        if let Err(error) = outcome {
            let passing = [libc::ETIME, libc::EINTR, libc::EBUSY, libc::EAGAIN, libc::ENOMEM];
            let passes = error.raw_os_error().is_some_and(|code| passing.contains(&code));
            assert!(passes, "a ring that was made can be entered: {error}");
        }
    }

    /// Accepts at `listener` until told otherwise.
    pub fn accept(&mut self, listener: RawFd, token: Token) {
        let entry = opcode::AcceptMulti::new(Fd(listener)).flags(libc::SOCK_CLOEXEC).build();
        self.push(entry.user_data(token.bits()));
    }

    /// Receives into buffers of ours until told otherwise.
    pub fn receive(&mut self, socket: RawFd, token: Token) {
        let entry = opcode::RecvMulti::new(Fd(socket), GROUP).build();
        self.push(entry.user_data(token.bits()));
    }

    /// Receives at most [`SINGLE_LEN`] bytes, once, into a buffer of ours.
    pub fn receive_once(&mut self, socket: RawFd, token: Token) {
        let entry = opcode::Recv::new(Fd(socket), std::ptr::null_mut(), SINGLE_LEN).buf_group(GROUP);
        self.push(entry.build().flags(Flags::BUFFER_SELECT).user_data(token.bits()));
    }

    /// Receives into `room` until it is full or the peer sends no more.
    ///
    /// # Safety
    /// The room stays where it is, and nobody else looks at it, until the operation has completed.
    pub unsafe fn fill(&mut self, socket: RawFd, room: &mut [MaybeUninit<u8>], token: Token) {
        let len = u32::try_from(room.len()).unwrap_or(u32::MAX);
        let entry = opcode::Recv::new(Fd(socket), room.as_mut_ptr().cast(), len).flags(libc::MSG_WAITALL);
        self.push(entry.build().user_data(token.bits()));
    }

    /// Ends the operation with this token early. It completes all the same.
    pub fn cancel(&mut self, token: Token) {
        let entry = opcode::AsyncCancel::new(token.bits()).build();
        self.push(entry.flags(Flags::SKIP_SUCCESS).user_data(Token::Ignored.bits()));
    }

    /// Sends as much of `slices` as the socket takes; at most [`SLICES`] of them are looked at.
    ///
    /// # Safety
    /// The bytes stay where they are and as they are until the operation has completed.
    pub unsafe fn send(&mut self, socket: RawFd, slices: &[&[u8]], token: Token) {
        let entry = if let [bytes] = slices {
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            opcode::Send::new(Fd(socket), bytes.as_ptr(), len).flags(libc::MSG_NOSIGNAL).build()
        } else {
            let header = self.gather(slices);
            opcode::SendMsg::new(Fd(socket), header).flags(libc::MSG_NOSIGNAL as u32).build()
        };
        self.push(entry.user_data(token.bits()));
    }

    /// Wakes another core by its ring.
    pub fn ring(&mut self, descriptor: RawFd, core: CoreId) {
        let entry = opcode::MsgRingData::new(Fd(descriptor), 0, Token::Woken.bits(), None).build();
        self.push(entry.flags(Flags::SKIP_SUCCESS).user_data(Token::Ring(core).bits()));
    }

    /// Completes with [`Token::Stop`] when `signal`, an eventfd, is written.
    pub fn await_stop(&mut self, signal: RawFd) {
        let entry = opcode::Read::new(Fd(signal), self.stop_count.cast(), 8).build();
        self.push(entry.user_data(Token::Stop.bits()));
    }

    /// Completes with [`Token::News`] when `bell`, an eventfd, is written.
    pub fn await_news(&mut self, bell: RawFd) {
        let entry = opcode::Read::new(Fd(bell), self.news_count.cast(), 8).build();
        self.push(entry.user_data(Token::News.bits()));
    }

    /// Completes with [`Token::Timer`] after `span`.
    pub fn arm_timer(&mut self, span: Duration) {
        // SAFETY: the place is leaked, so it lives; the kernel copies it when it takes a submission, and an older one that is
        // overwritten before that only shortens or stretches a timer that the next turn corrects.
        unsafe { *self.timer = Timespec::from(span) };
        let entry = opcode::Timeout::new(self.timer).build();
        self.push(entry.user_data(Token::Timer.bits()));
    }

    /// Lets completions write to `eventfd` while [`Network::signal_completions`] says so.
    pub fn register_eventfd(&mut self, eventfd: RawFd) -> io::Result<()> {
        self.submitter.register_eventfd(eventfd)?;
        self.completions.disable_eventfd();
        Ok(())
    }

    /// Whether completions write to the registered eventfd.
    pub fn signal_completions(&mut self, signal: bool) {
        if signal {
            self.completions.enable_eventfd();
        } else {
            self.completions.disable_eventfd();
        }
    }

    /// Copies the list of slices to where the kernel may read it later.
    fn gather(&mut self, slices: &[&[u8]]) -> *const libc::msghdr {
        if self.gathers_used == self.gathers.len() {
            // SAFETY: both are plain C structures for which all zeroes is a value.
            let (header, slices) = unsafe { (Box::new(std::mem::zeroed()), Box::new(std::mem::zeroed())) };
            self.gathers.push(Gather { header, slices });
        }
        let gather = &mut self.gathers[self.gathers_used];
        self.gathers_used += 1;
        for (place, bytes) in gather.slices.iter_mut().zip(slices) {
            *place = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        }
        gather.header.msg_iov = gather.slices.as_mut_ptr();
        gather.header.msg_iovlen = slices.len().min(SLICES);
        &raw const *gather.header
    }

    /// Queues an operation; submits if there is no room.
    fn push(&mut self, entry: Entry) {
        // SAFETY: every address in an entry is valid until the operation completes or the kernel has copied what lies there:
        // receive buffers, the counts of eventfds and the timer are never freed, gathers are kept until submitted, and the bytes to
        // send are promised by the caller of `send`.
        while unsafe { self.submissions.push(&entry) }.is_err() {
            self.enter(Wait::No);
            let mut early = std::mem::take(&mut self.early);
            self.completions.sync();
            early.extend(self.completions.by_ref().map(read));
            self.completions.sync();
            self.early = early;
        }
    }
}

fn read(entry: cqueue::Entry) -> Completion {
    Completion { token: Token::of(entry.user_data()), result: entry.result(), flags: entry.flags() }
}

/// The ring with the cheapest way to complete that this kernel offers.
fn build() -> io::Result<IoUring> {
    let mut fast = IoUring::builder();
    fast.setup_cqsize(COMPLETIONS).setup_clamp().setup_submit_all();
    fast.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
    match fast.build(SUBMISSIONS) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            IoUring::builder().setup_cqsize(COMPLETIONS).setup_clamp().build(SUBMISSIONS)
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn wait(network: &mut Network) -> Completion {
        let mut completions = Vec::new();
        while completions.is_empty() {
            network.enter(Wait::Forever);
            network.collect(&mut completions);
        }
        assert_eq!(completions.len(), 1, "{completions:?}");
        completions[0]
    }

    #[test]
    fn several_are_waited_for_no_longer_than_a_while() {
        let mut network = Network::new().unwrap();
        // One comes, a second never does.
        network.arm_timer(Duration::from_micros(10));
        let mut completions = Vec::new();
        while completions.is_empty() {
            network.enter_for_several(Wait::Forever, 2, Duration::from_millis(1));
            network.collect(&mut completions);
        }
        assert_eq!((completions.len(), completions[0].token), (1, Token::Timer));
        // Both are there before the while is over, which nobody could wait for.
        network.arm_timer(Duration::from_micros(10));
        network.arm_timer(Duration::from_micros(10));
        completions.clear();
        while completions.len() < 2 {
            network.enter_for_several(Wait::Forever, 2, Duration::from_secs(600));
            network.collect(&mut completions);
        }
        // None comes: the limit holds.
        network.enter_for_several(Wait::Within(Duration::from_millis(1)), 2, Duration::from_micros(10));
    }

    #[test]
    fn tokens_survive_the_way_through_the_kernel() {
        let all = [Token::Accept(7), Token::Receive(u32::MAX), Token::Send(0), Token::Ring(CoreId(9))];
        let more = [Token::Woken, Token::Stop, Token::Timer, Token::News, Token::Ignored];
        for token in all.into_iter().chain(more) {
            assert_eq!(Token::of(token.bits()), token);
        }
    }

    #[test]
    fn bytes_arrive_in_buffers_until_the_end() {
        let mut network = Network::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        network.receive(ours.as_raw_fd(), Token::Receive(3));
        for text in [&b"one"[..], b"three"] {
            theirs.write_all(text).unwrap();
            let completion = wait(&mut network);
            assert_eq!(completion.token, Token::Receive(3));
            assert!(completion.goes_on());
            let id = completion.buffer().unwrap();
            network.buffers.taken(id);
            assert_eq!(network.buffers.bytes(id, completion.result as usize), text);
            network.buffers.give_back(id);
            network.buffers.publish();
        }
        drop(theirs);
        let end = wait(&mut network);
        assert_eq!((end.result, end.goes_on()), (0, false));
    }

    #[test]
    fn slices_leave_in_order_and_only_as_many_as_fit() {
        let mut network = Network::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let parts: Vec<Vec<u8>> = (0..SLICES as u8 + 1).map(|n| vec![n; 3]).collect();
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        // SAFETY: `parts` outlives the operation, which completes below.
        unsafe { network.send(ours.as_raw_fd(), &slices, Token::Send(1)) };
        let sent = wait(&mut network);
        assert_eq!(sent.result as usize, SLICES * 3);
        let mut got = vec![0; SLICES * 3];
        theirs.read_exact(&mut got).unwrap();
        assert_eq!(got, parts[..SLICES].concat());
    }

    #[test]
    fn a_cancelled_operation_and_a_timer_complete() {
        let mut network = Network::new().unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        network.receive(ours.as_raw_fd(), Token::Receive(0));
        network.enter(Wait::No);
        network.cancel(Token::Receive(0));
        let cancelled = wait(&mut network);
        assert_eq!((cancelled.token, cancelled.result), (Token::Receive(0), -libc::ECANCELED));
        network.arm_timer(Duration::from_micros(10));
        assert_eq!(wait(&mut network).token, Token::Timer);
    }

    #[test]
    fn more_operations_than_fit_are_submitted_in_between() {
        let mut network = Network::new().unwrap();
        for _ in 0..3 * SUBMISSIONS {
            network.arm_timer(Duration::ZERO);
        }
        let mut completions = Vec::new();
        while completions.len() < 3 * SUBMISSIONS as usize {
            network.enter(Wait::Forever);
            network.collect(&mut completions);
        }
    }
}

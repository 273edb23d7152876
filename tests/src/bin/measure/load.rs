//! A generator of load that computes nothing while the clock runs: bytes to write and bytes to expect are made before.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use darter_tests::Server;

/// One round of writes, and the replies that are read before the next.
pub struct Turn {
    /// Which connection is to write what.
    pub writes: Vec<(usize, Vec<u8>)>,
    /// Which connection must receive what.
    pub reads: Vec<(usize, Vec<u8>)>,
    /// What counts as an operation, so many times.
    pub operations: u64,
}

/// What one round of a workload has shown.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Microseconds of the server's CPU, user and system, per operation.
    pub server_us: f64,
    /// The same of this process: where it comes near the time of an operation, the load is the bottleneck.
    pub client_us: f64,
    /// Operations per second.
    pub per_second: f64,
}

/// Takes the turns, again from the first after the last, until there were enough operations. The error is what came instead of
/// an expected reply.
pub fn run(server: &Server, connections: usize, turns: &[Turn], operations: u64) -> Result<Figures, String> {
    let mut streams: Vec<TcpStream> = (0..connections)
        .map(|_| {
            let stream = TcpStream::connect(("127.0.0.1", server.port())).expect("the server listens");
            stream.set_nodelay(true).expect("a TCP socket");
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket has a timeout");
            stream
        })
        .collect();
    let longest = turns.iter().flat_map(|turn| &turn.reads).map(|(_, reply)| reply.len()).max();
    let mut received = vec![0; longest.expect("a turn reads")];
    let (server_before, client_before, began) = (server.cpu_time(), own_cpu_time(), Instant::now());
    let mut done = 0;
    for turn in turns.iter().cycle() {
        for (connection, bytes) in &turn.writes {
            streams[*connection].write_all(bytes).map_err(|error| error.to_string())?;
        }
        for (connection, expected) in &turn.reads {
            read(&mut streams[*connection], expected, &mut received)?;
        }
        done += turn.operations;
        if done >= operations {
            break;
        }
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / done as f64;
    Ok(Figures {
        server_us: each(server.cpu_time() - server_before),
        client_us: each(own_cpu_time() - client_before),
        per_second: done as f64 / began.elapsed().as_secs_f64(),
    })
}

/// Reads as many bytes as are expected; an error tells the first line that differs.
fn read(stream: &mut TcpStream, expected: &[u8], received: &mut [u8]) -> Result<(), String> {
    let mut len = 0;
    while len < expected.len() {
        let more = match stream.read(&mut received[len..expected.len()]) {
            Ok(0) => return Err("the server has closed".into()),
            Ok(more) => more,
            Err(error) => return Err(error.to_string()),
        };
        if received[len..len + more] != expected[len..len + more] {
            let mut text = received[..len + more].to_vec();
            // The rest of the line, if there is any: errors may be longer than what was expected.
            let mut rest = [0; 256];
            let more = if text.ends_with(b"\n") { 0 } else { stream.read(&mut rest).unwrap_or(0) };
            text.extend_from_slice(&rest[..more]);
            let lines = text.split(|byte| *byte == b'\n').zip(expected.split(|byte| *byte == b'\n'));
            let other = lines.filter(|(line, expected)| line != expected).map(|(line, _)| line).next();
            return Err(String::from_utf8_lossy(other.unwrap_or(&text)).trim().into());
        }
        len += more;
    }
    Ok(())
}

/// CPU time of this process.
fn own_cpu_time() -> Duration {
    darter_tests::cpu_time(std::process::id())
}

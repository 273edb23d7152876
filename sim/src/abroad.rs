//! Servers outside of the world, to which keys may go. By its name each does what the reference can foretell: it takes what it is given, refuses the
//! connection, is silent, cuts it off in the middle, or says that it has no room.
//!
//! It knows how many requests there are. It does not know what they ask.

use darter_core::errand::LinkNews;

use crate::dice::Dice;

/// Takes what it is given.
pub const TAKER: &str = "taker";
/// Cannot be connected to.
pub const CLOSED: &str = "closed";
/// Says nothing.
pub const SILENT: &str = "silent";
/// Answers the first request and is gone.
pub const CUT: &str = "cut";
/// Has no room for keys.
pub const FULL: &str = "full";

/// All of them.
pub const ALL: [&str; 5] = [TAKER, CLOSED, SILENT, CUT, FULL];

/// What a server that has no room says.
pub const NO_ROOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// What comes back, one after the other, in pieces by chance.
pub fn answer(host: &str, bytes: &[u8], dice: &mut Dice) -> Vec<LinkNews> {
    let mut news = vec![LinkNews::Connected];
    if host == CLOSED {
        return vec![LinkNews::Ended];
    }
    news.push(LinkNews::Written);
    let more = requests(bytes).saturating_sub(1);
    let said = match host {
        TAKER => "+OK\r\n".repeat(1 + more),
        CUT => "+OK\r\n+O".to_string(),
        FULL => format!("+OK\r\n{}", format!("-{NO_ROOM}\r\n").repeat(more)),
        _ => String::new(),
    };
    let mut rest = said.as_bytes();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(dice.between(1, rest.len() as u64) as usize);
        news.push(LinkNews::Bytes(piece.to_vec()));
        rest = after;
    }
    if host == CUT {
        news.push(LinkNews::Ended);
    }
    news
}

/// How many requests there are, by the lengths of their words.
fn requests(bytes: &[u8]) -> usize {
    let (mut rest, mut count) = (bytes, 0);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let number =
            std::str::from_utf8(&rest[1..end - 1]).ok().and_then(|digits| digits.parse::<usize>().ok());
        count += usize::from(rest[0] == b'*');
        let word = if rest[0] == b'$' { number.unwrap_or(0) + 2 } else { 0 };
        rest = rest.get(end + 1 + word..).unwrap_or_default();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Concern;

    #[test]
    fn each_answers_as_it_is_called() {
        let bytes = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$7\r\nRESTORE\r\n$3\r\n*1\n\r\n";
        assert_eq!(requests(bytes), 2);
        let mut dice = Dice::new(1, Concern::Families);
        let mut said = |host: &str| -> String {
            let news = answer(host, bytes, &mut dice).into_iter();
            let bytes = news.filter_map(|news| match news {
                LinkNews::Bytes(bytes) => Some(String::from_utf8(bytes).unwrap()),
                _ => None,
            });
            bytes.collect()
        };
        assert_eq!(
            ALL.map(&mut said),
            ["+OK\r\n+OK\r\n", "", "", "+OK\r\n+O", &format!("+OK\r\n-{NO_ROOM}\r\n")]
        );
    }
}

//! Parts of a sorted set as commands name them: by rank, by score, by bytes.
//!
//! It knows words and which ranks they mean. It does not know what is done with them.

use super::parse::{float, integer};
use crate::args::Args;
use crate::protocol::reply::Failure;
use crate::value::zset::SortedSet;

const NOT_SCORES: Failure = Failure::new("ERR min or max is not a float");
const NOT_LEX: Failure = Failure::new("ERR min or max not valid string range item");

/// By what a part is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Lex,
}

/// An end of a range of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lex<'a> {
    /// `-`: before all.
    First,
    /// `+`: behind all.
    Last,
    /// `[`: this and what follows, or what comes before.
    With(&'a [u8]),
    /// `(`: only what follows, or comes before.
    Without(&'a [u8]),
}

/// An end of a range of scores; without the score itself where a `(` stands before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScoreEnd {
    score: f64,
    is_open: bool,
}

/// A part of a sorted set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Span<'a> {
    Ranks(i64, i64),
    Scores(ScoreEnd, ScoreEnd),
    Lex(Lex<'a>, Lex<'a>),
}

fn score_end(word: &[u8]) -> Result<ScoreEnd, Failure> {
    let (is_open, digits) = match word {
        [b'(', rest @ ..] => (true, rest),
        _ => (false, word),
    };
    // As `strtod` has it, nothing at all is zero.
    let score = if digits.is_empty() { 0.0 } else { float(digits).map_err(|_| NOT_SCORES)? };
    Ok(ScoreEnd { score, is_open })
}

fn lex_end(word: &[u8]) -> Result<Lex<'_>, Failure> {
    match word {
        b"-" => Ok(Lex::First),
        b"+" => Ok(Lex::Last),
        [b'[', rest @ ..] => Ok(Lex::With(rest)),
        [b'(', rest @ ..] => Ok(Lex::Without(rest)),
        _ => Err(NOT_LEX),
    }
}

impl<'a> Span<'a> {
    /// Both ends, the lower first.
    pub(super) fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Span<'a>, Failure> {
        match by {
            By::Rank => Ok(Span::Ranks(integer(min)?, integer(max)?)),
            By::Score => Ok(Span::Scores(score_end(min)?, score_end(max)?)),
            By::Lex => Ok(Span::Lex(lex_end(min)?, lex_end(max)?)),
        }
    }

    /// The ranks that it means, from the first to behind the last, counted from the lowest score; ranks of a part that is named backwards are
    /// counted from the highest.
    pub(super) fn ranks(&self, set: &SortedSet, is_back: bool) -> (usize, usize) {
        let (from, to) = match *self {
            Span::Ranks(start, stop) => {
                let Some((from, to)) = super::list_read::places(start, stop, set.len()) else {
                    return (0, 0);
                };
                if is_back { (set.len() - to, set.len() - from) } else { (from, to) }
            }
            Span::Scores(min, max) => {
                let before = |end: ScoreEnd, closed: bool| match (end.score, closed) {
                    // The most usual ends need no look at a pack from its beginning to its end.
                    (f64::INFINITY, true) => set.len(),
                    (f64::NEG_INFINITY, false) => 0,
                    (end, true) => set.partition(move |score, _| score <= end),
                    (end, false) => set.partition(move |score, _| score < end),
                };
                (before(min, min.is_open), before(max, !max.is_open))
            }
            Span::Lex(min, max) => {
                let from = set.partition(|_, bytes| match min {
                    Lex::First => false,
                    Lex::Last => true,
                    Lex::With(end) => bytes < end,
                    Lex::Without(end) => bytes <= end,
                });
                let to = set.partition(|_, bytes| match max {
                    Lex::First => false,
                    Lex::Last => true,
                    Lex::With(end) => bytes <= end,
                    Lex::Without(end) => bytes < end,
                });
                (from, to)
            }
        };
        (from, to.max(from))
    }
}

/// What a command of ranges asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub(super) span: Span<'a>,
    pub(super) is_back: bool,
    pub(super) with_scores: bool,
    /// How many to leave out, and how many to take at the most; negative: all.
    limit: Option<(i64, i64)>,
}

/// What a command's name says already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Place of the first end.
    pub(super) at: usize,
    /// `None`: the words say it.
    pub(super) fixed: Option<(By, bool)>,
    pub(super) stores: bool,
}

impl<'a> Query<'a> {
    /// Reads the two ends and the words behind them.
    pub(super) fn parse(args: Args<'a>, form: Form) -> Result<Query<'a>, Failure> {
        let Form { at, fixed, stores } = form;
        let (mut by, mut is_back) = fixed.unwrap_or((By::Rank, false));
        let (mut with_scores, mut limit) = (false, None);
        let mut n = at + 2;
        while n < args.len() {
            if !stores && args.is(n, "withscores") {
                with_scores = true;
            } else if args.is(n, "limit") && n + 2 < args.len() {
                limit = Some((integer(args.at(n + 1))?, integer(args.at(n + 2))?));
                n += 2;
            } else if fixed.is_none() && args.is(n, "rev") {
                is_back = true;
            } else if fixed.is_none() && args.is(n, "bylex") {
                by = By::Lex;
            } else if fixed.is_none() && args.is(n, "byscore") {
                by = By::Score;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 1;
        }
        if limit.is_some_and(|(_, count)| count != -1) && by == By::Rank {
            return Err(Failure::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(Failure::new("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (min, max) = match is_back && by != By::Rank {
            true => (args.at(at + 1), args.at(at)),
            false => (args.at(at), args.at(at + 1)),
        };
        let limit = limit.filter(|_| by != By::Rank);
        Ok(Query { span: Span::parse(by, min, max)?, is_back, with_scores, limit })
    }

    /// The ranks of what it takes.
    pub(super) fn ranks(&self, set: &SortedSet) -> (usize, usize) {
        let (from, to) = self.span.ranks(set, self.is_back);
        let Some((offset, count)) = self.limit else { return (from, to) };
        // Whoever leaves out less than nothing leaves out all.
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(to - from);
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(to - from - offset);
        match self.is_back {
            true => (to - offset - count, to - offset),
            false => (from + offset, from + offset + count),
        }
    }
}

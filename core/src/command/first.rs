//! The first of several keys that holds something gives of it: what LMPOP, ZMPOP and those that wait for them have in common.
//!
//! In two steps: all shards look at their own keys, the one that has the first gives. It knows places of keys among the arguments. It does not
//! know what is given.

use super::row::Next;
use crate::args::Args;
use crate::protocol::reply::Failure;
use crate::shard::Cx;
use crate::txn::work::{Finding, Order};
use crate::value::container::Held;

/// Which of the keys here hold something of this type, or another type.
pub(super) fn look<T: Held>(cx: &mut Cx<'_>, args: Args<'_>) -> Finding {
    let mut found = Vec::new();
    for n in 0..cx.keys.len() {
        let (place, key) = (cx.keys[n].place, cx.key(args, n));
        match cx.peek_held::<T>(key) {
            Err(failure) => found.push((place, Finding::Failed(failure))),
            Ok(Some(_)) => found.push((place, Finding::Flag(true))),
            Ok(None) => {}
        }
    }
    Finding::Keys(found)
}

/// What follows: waiting if none is there, else the first gives; `told` tells what it gave, which begins with its place.
pub(super) fn next(findings: Vec<Finding>, told: impl FnOnce(usize, &[Finding])) -> Next {
    let mut first: Option<(u32, Finding)> = None;
    for finding in findings {
        match finding {
            Finding::Failed(failure) => return Next::Failed(failure),
            Finding::Keys(keys) => first = keys.into_iter().chain(first).min_by_key(|(place, _)| *place),
            Finding::List(given) => {
                let [Finding::Count(place), rest @ ..] = &given[..] else { continue };
                told(*place as usize, rest);
                return Next::Done;
            }
            _ => {}
        }
    }
    match first {
        None => Next::Wait,
        Some((_, Finding::Failed(failure))) => Next::Failed(failure),
        Some((place, _)) => Next::Step(vec![Order { step: 0, key: Some(place), given: Finding::Nothing }]),
    }
}

/// What was taken, or why nothing was.
pub(super) fn given(taken: Result<Option<Vec<Finding>>, Failure>) -> Finding {
    match taken {
        Ok(found) => found.map_or(Finding::Nothing, Finding::List),
        Err(failure) => Finding::Failed(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_there_is_chosen() {
        let flag = |place| (place, Finding::Flag(true));
        let keys =
            vec![Finding::Keys(vec![flag(4), flag(7)]), Finding::Keys(vec![flag(3)]), Finding::Keys(vec![])];
        let Next::Step(orders) = next(keys, |_, _| panic!("nothing was given")) else { panic!("no step") };
        assert_eq!(orders[0].key, Some(3));
        assert!(matches!(next(vec![Finding::Keys(vec![])], |_, _| ()), Next::Wait));
        let wrong = vec![Finding::Keys(vec![(1, Finding::Failed(Failure::WRONG_TYPE)), flag(2)])];
        assert!(matches!(next(wrong, |_, _| ()), Next::Failed(_)));
        let mut heard = None;
        let given = vec![Finding::List(vec![Finding::Count(5), Finding::Flag(true)])];
        assert!(matches!(next(given, |place, rest| heard = Some((place, rest.len()))), Next::Done));
        assert_eq!(heard, Some((5, 1)));
    }
}

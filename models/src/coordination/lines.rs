//! The worlds that are explored in which clients wait for elements of lists.
//!
//! Who waits says nothing more before it is answered. Keys have nothing when such a world begins.

use super::program::{Ask, Key, Patience, Say, V, W, X, Y, Z, await_move, await_one, push};
use super::scenarios::{Scenario, on, three, two};

/// Clients that wait for elements.
pub(super) fn waiting() -> Vec<Scenario> {
    let both = Ask::Exec(vec![Ask::Push(X), Ask::Push(Y)]);
    let until = |keys: &[Key]| -> Say { Ask::Await(keys.to_vec(), Patience::Short).into() };
    let until_move = |from, to| -> Say { Ask::AwaitMove(from, to, Patience::Short).into() };
    let unblock = |client, with_error| -> Say { Ask::Unblock(client, with_error).into() };
    vec![
        two("2: BLPOPy | PUSHy", vec![on(0, &[await_one(&[Y])]), on(1, &[push(&[Y])])]),
        two(
            "2: BLPOPy | @1 BLPOPy | PUSHy;PUSHy: who waited first",
            vec![
                on(0, &[await_one(&[Y])]),
                on(1, &[await_one(&[Y])]),
                on(1, &[push(&[Y]), push(&[Y]).waits()]),
            ],
        ),
        two(
            "2: BLPOPxy | PUSHx | @1 PUSHy: served by one of two shards",
            vec![on(0, &[await_one(&[X, Y])]), on(0, &[push(&[X])]), on(1, &[push(&[Y])])],
        ),
        two(
            "2: BLPOPxy | @1 BLPOPyx | EXEC{PUSHx PUSHy}: one EXEC wakes two",
            vec![on(0, &[await_one(&[X, Y])]), on(1, &[await_one(&[Y, X])]), on(1, &[both.clone().into()])],
        ),
        two(
            "2: BLPOPy | BLPOPy | @1 EXEC{PUSHy PUSHy} LPOPy",
            vec![
                on(0, &[await_one(&[Y])]),
                on(0, &[await_one(&[Y])]),
                on(1, &[Ask::Exec(vec![Ask::Push(Y), Ask::Push(Y)]).into(), Ask::Pop(Y).into()]),
            ],
        ),
        two(
            "2: @1 BLPOPx | @0 PUSHz;BLPOPxz | PUSHx: behind somebody on one key, first on the other",
            vec![
                on(1, &[await_one(&[X])]),
                on(0, &[push(&[Z]), await_one(&[X, Z]).waits()]),
                on(1, &[push(&[X])]),
            ],
        ),
        two(
            "2: @1 BLPOPz | @0 BLPOPzx | EXEC{PUSHx PUSHz}: first on one key, it does not take of the other",
            vec![
                on(1, &[await_one(&[Z])]),
                on(0, &[await_one(&[Z, X])]),
                on(0, &[Ask::Exec(vec![Ask::Push(X), Ask::Push(Z)]).into()]),
            ],
        ),
        two(
            "2: BLPOPxz;LPOPy | @1 EXEC{PUSHx PUSHy} | PUSHz: one key has something, the other is locked",
            vec![
                on(0, &[await_one(&[X, Z]), Say::from(Ask::Pop(Y)).waits()]),
                on(1, &[push(&[X, Y])]),
                on(0, &[push(&[Z])]),
            ],
        ),
        two(
            "2: BLMOVEzx;LPOPy | @1 EXEC{PUSHx PUSHy} | PUSHz: the source has something, the target is locked",
            vec![
                on(0, &[await_move(Z, X), Say::from(Ask::Pop(Y)).waits()]),
                on(1, &[push(&[X, Y])]),
                on(0, &[push(&[Z])]),
            ],
        ),
        two(
            "2: BLPOPxy, for a while | PUSHy LPOPy, the clock moves on",
            vec![on(0, &[until(&[X, Y])]), on(1, &[push(&[Y]), Ask::Pop(Y).into()])],
        )
        .ticks(1),
        two(
            "2: BLPOPy, for a while | PUSHy LPOPy, the clock moves on",
            vec![on(0, &[until(&[Y])]), on(1, &[push(&[Y]), Ask::Pop(Y).into()])],
        )
        .ticks(1),
        two(
            "2: BLPOPy | @1 CLIENT UNBLOCK | PUSHy",
            vec![on(0, &[await_one(&[Y])]), on(1, &[unblock(0, true)]), on(1, &[push(&[Y])])],
        ),
        two(
            "2: @1 BLPOPxy | @0 CLIENT UNBLOCK, once and again with an error | PUSHx",
            vec![
                on(1, &[await_one(&[X, Y])]),
                on(0, &[unblock(0, false), unblock(0, true)]),
                on(0, &[push(&[X])]),
            ],
        ),
        two(
            "2: BLPOPxy, may vanish | @1 PUSHy LPOPy | PUSHx",
            vec![
                on(0, &[await_one(&[X, Y])]).may_vanish(),
                on(1, &[push(&[Y]), Ask::Pop(Y).into()]),
                on(0, &[push(&[X])]),
            ],
        ),
        two(
            "2: BLPOPxy, may vanish | @1 PUSHy: gone while it is served, it leaves the other shard",
            vec![on(0, &[await_one(&[X, Y])]).may_vanish(), on(1, &[push(&[Y])])],
        ),
        two(
            "2: BLPOPx, may vanish | @1 BLPOPxy: gone before it could get in line",
            vec![on(0, &[await_one(&[X])]).may_vanish(), on(1, &[await_one(&[X, Y])])],
        ),
        two(
            "2: one credit, BLPOPxy | PUSHx | LPOPw: it leaves the other line when there is a credit",
            vec![on(0, &[await_one(&[X, Y])]), on(0, &[push(&[X])]), on(0, &[Ask::Pop(W).into()])],
        )
        .credits(1),
        two(
            "2: BLPOPy, may vanish | @1 BLPOPy | PUSHy",
            vec![on(0, &[await_one(&[Y])]).may_vanish(), on(1, &[await_one(&[Y])]), on(1, &[push(&[Y])])],
        ),
        two(
            "2: BLMOVExy | PUSHx LPOPx | LPOPy",
            vec![
                on(0, &[await_move(X, Y)]),
                on(0, &[push(&[X]), Ask::Pop(X).into()]),
                on(1, &[Ask::Pop(Y).into()]),
            ],
        ),
        two(
            "2: BLMOVEyx | @1 PUSHy PUSHy LPOPy | BLPOPx",
            vec![
                on(0, &[await_move(Y, X)]),
                on(1, &[push(&[Y]), push(&[Y]), Ask::Pop(Y).into()]),
                on(1, &[await_one(&[X])]),
            ],
        ),
        two(
            "2: BLMOVEyx | BLPOPyz | @1 PUSHy: who came later does not go first",
            vec![on(0, &[await_move(Y, X)]), on(0, &[await_one(&[Y, Z])]), on(1, &[push(&[Y])])],
        ),
        two(
            "2: BLMOVEyx, for a while | @1 PUSHy LPOPy, the clock moves on",
            vec![on(0, &[until_move(Y, X)]), on(1, &[push(&[Y]), Ask::Pop(Y).into()])],
        )
        .ticks(1),
        two(
            "2: BLMOVEyx, may vanish | @1 PUSHy LPOPy",
            vec![on(0, &[await_move(Y, X)]).may_vanish(), on(1, &[push(&[Y]), Ask::Pop(Y).into()])],
        ),
        two(
            "2: one credit, BLPOPy | BLPOPwx | @1 EXEC{PUSHy PUSHw} | PUSHx",
            vec![
                on(0, &[await_one(&[Y])]),
                on(0, &[await_one(&[W, X])]),
                on(1, &[Ask::Exec(vec![Ask::Push(Y), Ask::Push(W)]).into()]),
                on(0, &[push(&[X])]),
            ],
        )
        .credits(1),
        two(
            "2: one credit, BLMOVEyx | LPOPw | @1 PUSHy LPOPx",
            vec![
                on(0, &[await_move(Y, X)]),
                on(0, &[Ask::Pop(W).into()]),
                on(1, &[push(&[Y]), Ask::Pop(X).into()]),
            ],
        )
        .credits(1),
        two(
            "2: one credit, BLPOPxy, may vanish | BLPOPy | @1 PUSHy PUSHx",
            vec![
                on(0, &[await_one(&[X, Y])]).may_vanish(),
                on(0, &[await_one(&[Y])]),
                on(1, &[push(&[Y]), push(&[X])]),
            ],
        )
        .credits(1),
        three(
            "3: BLPOPyv | @1 PUSHy | @2 PUSHv",
            vec![on(0, &[await_one(&[Y, V])]), on(1, &[push(&[Y])]), on(2, &[push(&[V])])],
        ),
        three(
            "3: BLMOVEyv | @1 PUSHy LPOPy | @2 BLPOPv",
            vec![
                on(0, &[await_move(Y, V)]),
                on(1, &[push(&[Y]), Ask::Pop(Y).into()]),
                on(2, &[await_one(&[V])]),
            ],
        ),
        three(
            "3: one credit, BLPOPyv | @2 BLPOPy | @1 EXEC{PUSHy PUSHv}",
            vec![
                on(0, &[await_one(&[Y, V])]),
                on(2, &[await_one(&[Y])]),
                on(1, &[Ask::Exec(vec![Ask::Push(Y), Ask::Push(V)]).into()]),
            ],
        )
        .credits(1),
    ]
}

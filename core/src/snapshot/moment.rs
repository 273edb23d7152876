//! Transactions of the keeper's own: all shards at one moment, and nobody waits for a reply.
//!
//! It knows shards and steps. What the steps do, and when one is begun, others know.

use crate::engine::Engine;
use crate::event::{CoreId, Effects};
use crate::message::Token;
use crate::protocol::reply::Resp;
use crate::session::ClientId;
use crate::time::Now;
use crate::transact::Draft;
use crate::txn::coordinator::Stage;
use crate::txn::intent::Mode;
use crate::txn::work::{Body, Circumstances, TxId};

impl Engine {
    /// Begins a transaction that locks all shards and has each of them do these steps, one after the other; a credit of each other core was taken.
    pub(crate) fn launch_on_all(
        &mut self,
        token: Token,
        mode: Option<Mode>,
        steps: &[Body],
        now: Now,
        out: &mut Effects,
    ) -> TxId {
        let mut draft = Draft::default();
        let places: Vec<u16> = (0..self.node.cores).map(|core| draft.participant(CoreId(core))).collect();
        draft.intents.iter_mut().for_each(|intents| intents.whole = mode);
        for step in steps {
            draft
                .stages
                .push_back(Stage::Bodies(places.iter().map(|place| (*place, step.clone())).collect()));
        }
        let circumstances = Circumstances {
            client: ClientId(0),
            resp: Resp::V2,
            no_touch: true,
            unix_micros: now.unix_micros,
            clock: self.node.clock,
            round: 0,
        };
        self.launch(token, draft, circumstances, now, out)
    }
}

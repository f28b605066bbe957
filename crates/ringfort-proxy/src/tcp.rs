//! TCP peers: bytes between sidecars over mTLS. The policy is asked once per connection, and again with each new
//! state; there are no requests in it.

use std::{cell::Cell, rc::Rc, sync::Arc};

use ringfort_model::{Refusal, Ring};
use ringfort_traffic::Permit;

use crate::{
    authorize, connection::Connection, exchange::swapped_since, live::ListenerKey, socket::Socket,
    thread::Here, upgrade::Tunnel, upstream::Door,
};

/// Serves one connection of bytes until it ends. A refusal closes it: there is nobody to answer.
pub(crate) async fn serve(connection: &Rc<Connection>, socket: Socket) {
    let judged_at = Rc::new(Cell::new(*connection.thread.swaps.borrow()));
    let here = connection.thread.here();
    let (door, _permit) = match admit(connection, &here) {
        Ok(admitted) => admitted,
        Err(refusal) => {
            connection.refused(&refusal);
            return;
        }
    };
    // Nothing of the old state is held while bytes pass.
    drop(here);
    let (callee, _lease) = match door.connect_bytes(&connection.thread).await {
        Ok(connected) => connected,
        Err(fault) => {
            connection.refused(&fault.into());
            return;
        }
    };
    drop(door);
    let tunnel = Tunnel { thread: Rc::clone(&connection.thread) };
    tunnel.run(socket, callee, revoked(connection, judged_at)).await;
}

/// Finds whom the connection is for, and asks whether it may be.
fn admit(connection: &Connection, here: &Rc<Here>) -> Result<(Rc<Door>, Permit), Refusal> {
    let door = match &connection.key {
        ListenerKey::Inbound => {
            let judged = authorize::may_connect(&here.live, connection.caller.as_ref());
            let policy = judged.policy.as_ref().map(Arc::clone);
            if let Some(refusal) = judged.refusal {
                return Err(refusal);
            }
            connection.permitted(policy.as_deref());
            here.local.as_ref()
        }
        ListenerKey::Outbound(name) => here.door(name),
        ListenerKey::Gateway(_) | ListenerKey::HttpProxy => None,
    };
    let door = door.ok_or_else(|| Refusal::new(Ring::Policy, 0, "not_served", "no such callee"))?;
    let permit = door.callee.room.admit().into_permit()?;
    Ok((Rc::clone(door), permit))
}

/// Ends when a new state no longer allows the connection.
async fn revoked(connection: &Rc<Connection>, judged_at: Rc<Cell<u64>>) {
    loop {
        swapped_since(connection.thread.swaps.subscribe(), Rc::clone(&judged_at)).await;
        let here = connection.thread.here();
        let allowed = match &connection.key {
            ListenerKey::Inbound => {
                let judged = authorize::may_connect(&here.live, connection.caller.as_ref());
                judged.refusal.is_none()
            }
            ListenerKey::Outbound(name) => here.door(name).is_some(),
            ListenerKey::Gateway(_) | ListenerKey::HttpProxy => false,
        };
        if !allowed {
            return;
        }
    }
}

//! Turns a machine's notices about its cluster into log lines.

use tessera_protocol::{Loss, Notice, Refusal};

/// Logs a notice for the operator.
pub fn say(notice: Notice) {
    match notice {
        Notice::Joined { node, addr } => tracing::info!("node {} joined from {addr}", node.0),
        Notice::Lost {
            node,
            addr,
            why: why @ Loss::Left,
            frames: 0,
        } => tracing::info!("node {} at {addr} is gone: {why}", node.0),
        Notice::Lost {
            node,
            addr,
            why,
            frames: 0,
        } => tracing::warn!("node {} at {addr} is gone: {why}", node.0),
        Notice::Lost {
            node,
            addr,
            why,
            frames,
        } => tracing::warn!(
            "node {} at {addr} is gone: {why}; {frames} of its frames are dropped",
            node.0
        ),
        Notice::Refused {
            node,
            addr,
            why,
            plan,
        } => {
            let why = match why {
                Refusal::Plan => format!("it runs another plan, whose hash begins with {plan}"),
                Refusal::Model => "its weights are another model's".into(),
                Refusal::IdInUse => "another living node has its number".into(),
                Refusal::BadId => "its number cannot be used".into(),
            };
            tracing::warn!("node {} at {addr} is turned away: {why}", node.0);
        }
        Notice::TurnedAway {
            why,
            own_plan,
            gateway_plan,
        } => {
            let plans = match why {
                Refusal::Plan => {
                    format!(" (hashes begin with {own_plan} here, {gateway_plan} there)")
                }
                _ => String::new(),
            };
            tracing::error!(
                "the gateway will not have this node: {}{plans}",
                advice(why)
            );
        }
        Notice::IdContested { node } => tracing::warn!(
            "another node asks to take part under this one's number, {}; give every edge an --id of its own",
            node.0
        ),
        Notice::NarrowPath {
            from,
            addr,
            chunk_bytes,
        } => tracing::warn!(
            "large datagrams of node {} at {addr} do not arrive, small ones do: asking for {chunk_bytes} bytes at a time, which is slower; is the MTU of the path smaller than that of the nodes?",
            from.0
        ),
        Notice::ResultsDiffer {
            node,
            number,
            task,
            left_out,
        } => tracing::error!(
            "node {} computed task {} of frame {} wrong: two other computations agree; frames that it had a part in are computed again without it{}",
            node.0,
            task.0,
            number.0,
            if left_out {
                ". It was wrong twice and gets no more tasks; look at its memory, its heat and its weights.bin, or who runs it"
            } else {
                ""
            }
        ),
        Notice::OwnResultsDiffer { number, task } => tracing::error!(
            "this node computed task {} of frame {} otherwise than two others, who agree; the frame is dropped. Look at this board's memory and heat",
            task.0,
            number.0
        ),
        Notice::ShowsNothing { node } => tracing::warn!(
            "node {} did not hand over what it computed several times in a row when it was to be compared; it gets no tasks for half a minute",
            node.0
        ),
        Notice::BegunAnew { node, number } => tracing::warn!(
            "node {} computes its frame {} anew, because a board had a part of it wrong",
            node.0,
            number.0
        ),
        Notice::GatewayRestarted => {
            tracing::info!("another process of the gateway answers; registering with it");
        }
    }
}

/// Advice for the operator about a refusal.
pub fn advice(why: Refusal) -> &'static str {
    match why {
        Refusal::Plan => "it runs another plan; build every node from the same plan.toml",
        Refusal::Model => {
            "its weights are another model's; give every node the weights.bin written with the plan"
        }
        Refusal::IdInUse => {
            "another node takes part under the same number; give every edge an --id of its own"
        }
        Refusal::BadId => "its number cannot be used; give it another --id, from 1",
    }
}

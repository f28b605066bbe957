//! The rings a request passes, in order; their names are the same in modules, metrics, logs and explanations.

use std::fmt;

/// One of the concentric walls around a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ring {
    /// May this host and process open this connection at all?
    Firewall,
    /// Is the peer the workload it claims to be?
    Transport,
    /// Is this one well-formed, canonical request within its limits?
    Protocol,
    /// Which user does it act for, and how strongly authenticated?
    User,
    /// Is this operation part of the service's published API?
    Contract,
    /// Do service and user and context satisfy the policies? Default deny.
    Policy,
    /// Is there room, and is the callee healthy?
    Load,
    /// Is the running build attested and free of known-exploited faults?
    Supply,
    /// Is it recorded so that nobody can deny it?
    Witness,
}

impl Ring {
    /// Every ring, outermost first.
    pub const ALL: [Self; 9] = [
        Self::Firewall,
        Self::Transport,
        Self::Protocol,
        Self::User,
        Self::Contract,
        Self::Policy,
        Self::Load,
        Self::Supply,
        Self::Witness,
    ];

    /// The ring's name as users read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firewall => "firewall",
            Self::Transport => "transport",
            Self::Protocol => "protocol",
            Self::User => "user",
            Self::Contract => "contract",
            Self::Policy => "policy",
            Self::Load => "load",
            Self::Supply => "supply",
            Self::Witness => "witness",
        }
    }

    /// Whether this build enforces the ring; a fleet that writes a demand for another is refused by `up`.
    #[must_use]
    pub const fn is_built(self) -> bool {
        matches!(self, Self::Transport | Self::Protocol | Self::Policy | Self::Witness)
    }
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

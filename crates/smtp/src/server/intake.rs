//! The octets of a mail, after DATA or in a chunk. It always finds the end, also of what is not wanted, so that the
//! session stays in step; how much of that it swallows has a limit.

use crate::lines::{DataFault, DataReader};
use crate::reply::{Enhanced, Reply};

/// One DATA or one BDAT being read.
#[derive(Debug)]
pub(super) enum Intake {
    Data {
        reader: DataReader,
        ended: bool,
    },
    Chunk {
        left: u64,
        last: bool,
        octets: Vec<u8>,
    },
    /// A chunk that is not wanted, and the reply it gets.
    Swallow {
        left: u64,
        swallowed: u64,
        reply: Reply,
    },
}

impl Intake {
    /// Takes octets, says how many were its own.
    pub(super) fn read(&mut self, input: &[u8]) -> usize {
        match self {
            Self::Data { ended: true, .. } => 0,
            Self::Data { reader, ended } => {
                let (used, now) = reader.read(input);
                *ended = now;
                used
            }
            Self::Chunk { left, octets, .. } => {
                let used = take(left, input);
                octets.extend_from_slice(&input[..used]);
                used
            }
            Self::Swallow { left, swallowed, .. } => {
                let used = take(left, input);
                *swallowed += used as u64;
                used
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Data { ended, .. } => *ended,
            Self::Chunk { left, .. } | Self::Swallow { left, .. } => *left == 0,
        }
    }

    /// Whether the client goes on far beyond what a mail may have.
    pub(super) fn swallowed_too_much(&self, max_size: usize) -> bool {
        let seen = match self {
            Self::Data { reader, .. } => reader.seen(),
            Self::Chunk { .. } => 0,
            Self::Swallow { swallowed, .. } => *swallowed,
        };
        seen > (max_size as u64).saturating_mul(2).saturating_add(MIN_SWALLOW)
    }
}

/// The reply to a mail that was read and is not given on.
pub(super) fn fault_reply(fault: DataFault) -> Reply {
    match fault {
        DataFault::TooLarge => Reply::too_large(),
        DataFault::LoneLineEnding => Reply::new(554, Enhanced(5, 6, 0), "the mail has a lone CR or LF"),
    }
}

fn take(left: &mut u64, input: &[u8]) -> usize {
    let used = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= used as u64;
    used
}

/// Swallowed in any case before a client is cut off; a refusal it can read is worth more than a broken connection.
const MIN_SWALLOW: u64 = 1 << 20;

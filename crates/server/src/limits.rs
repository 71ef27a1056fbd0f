//! What a caller may send and hold at once: bodies, batches, connections and the time they have. `docs/api.md` shows
//! these figures; what only concerns one module's inside stays there.

use std::time::Duration;

/// Bytes of an ordinary body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one AI call's body, files included.
pub const AI_BODY_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Bytes of a catalog document.
pub const CATALOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A body that stands still for so long is given up.
pub const BODY_STALL: Duration = Duration::from_secs(10);
/// Items of one action.
pub const ITEMS_MAX: usize = 32;
/// Actions of one batch.
pub const BATCH_MAX: usize = 1_000;
/// Bytes of the free text beside an event.
pub const METADATA_BYTES_MAX: usize = 4_096;
/// Bytes of an idempotency key.
pub const KEY_BYTES_MAX: usize = 255;
/// Characters of an external id, a name or an address.
pub const TEXT_CHARS_MAX: usize = 200;

/// Open connections of the process.
pub const CONNECTIONS_MAX: usize = 12_000;
/// Open connections of one address, except from this machine (a proxy).
pub const CONNECTIONS_OF_ADDRESS_MAX: usize = 512;
/// A connection that says nothing is closed.
pub const FIRST_BYTE: Duration = Duration::from_secs(5);
/// Headers must be complete by then.
pub const HEADERS: Duration = Duration::from_secs(10);
/// Bytes of headers.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Requests in progress may go on for so long after a stop.
pub const DRAIN: Duration = Duration::from_secs(30);

/// Live connections of the process.
pub const SOCKETS_MAX: usize = 10_000;
/// A message that cannot be sent within this time ends its connection.
pub const SOCKET_SEND: Duration = Duration::from_secs(5);
/// Bytes of a message from a client.
pub const SOCKET_INCOMING_BYTES_MAX: usize = 4_096;

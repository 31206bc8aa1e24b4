//! System calls: what a module may ask of the node while it runs.
//!
//! A module lists the calls it makes in [`Module::syscalls`](crate::Module); a
//! deterministic one may list [`FETCH_CHUNK`] and [`STORE_CHUNK`]. Each call costs
//! gas, is bounded, and may be refused: by the manifest, by the node's rules, by a
//! rate or a budget. [`Error::kind`] says which.
//!
//! Bytes that a call returns lie in the module's memory and live until the call of
//! the module ends. Outside WebAssembly every system call fails as unsupported.
//!
//! The exchange is specified in `docs/abi.md`.

use std::fmt;

use capnp::message::{Builder, HeapAllocator, ReaderOptions};
use capnp::serialize;

use crate::abi::Span;
use crate::syscall_capnp::{bytes, completion, request};

/// Lists `fetchChunk` in a manifest.
pub const FETCH_CHUNK: &str = "fetchChunk";
/// Lists `storeChunk` in a manifest.
pub const STORE_CHUNK: &str = "storeChunk";
/// Lists `sendMessage` in a manifest.
pub const SEND_MESSAGE: &str = "sendMessage";
/// Lists `spawnThread` in a manifest; killing and joining threads come with it.
pub const SPAWN_THREAD: &str = "spawnThread";
/// Lists the node's key-value store in a manifest.
pub const HOST_CALL_KV: &str = "hostCall:kv";
/// Lists the node's HTTP proxy in a manifest.
pub const HOST_CALL_HTTP: &str = "hostCall:http";
/// Read what the sensors of the machine sample while its owner has them on.
pub const HOST_CALL_SENSOR: &str = "hostCall:sensor";

/// Bytes that one system call moves at most.
const MAX_TRANSFER: usize = 16 << 20;

/// Why a system call was not done, by the name that nodes use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// The manifest or the node's rules do not allow it.
    Denied,
    /// A limit or a rate was reached.
    Exhausted,
    /// The node's budget for the module is spent.
    Unfunded,
    /// Nobody who could serve it can be reached now.
    Unavailable,
    /// The deadline passed.
    Timeout,
    /// The node does not do that.
    Unsupported,
    /// Another kind, by its name.
    Other(String),
}

impl Kind {
    fn named(name: &str) -> Self {
        match name {
            "invalid" => Self::Invalid,
            "not-found" => Self::NotFound,
            "denied" => Self::Denied,
            "exhausted" => Self::Exhausted,
            "unfunded" => Self::Unfunded,
            "unavailable" => Self::Unavailable,
            "timeout" => Self::Timeout,
            "unsupported" => Self::Unsupported,
            other => Self::Other(other.into()),
        }
    }

    /// The name that nodes use.
    pub fn name(&self) -> &str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not-found",
            Self::Denied => "denied",
            Self::Exhausted => "exhausted",
            Self::Unfunded => "unfunded",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Unsupported => "unsupported",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A system call that was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({kind})")]
pub struct Error {
    kind: Kind,
    message: String,
}

impl Error {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What to tell people.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<capnp::Error> for Error {
    fn from(e: capnp::Error) -> Self {
        Self::new(Kind::Invalid, format!("the completion is not readable: {e}"))
    }
}

/// A method that gives up because of a system call ends its job.
impl From<Error> for crate::Error {
    fn from(e: Error) -> Self {
        let kind = match e.kind {
            Kind::NotFound => crate::Kind::NotFound,
            Kind::Denied | Kind::Unsupported => crate::Kind::Unsupported,
            Kind::Exhausted | Kind::Unfunded | Kind::Unavailable | Kind::Timeout => crate::Kind::Exhausted,
            Kind::Invalid | Kind::Other(_) => crate::Kind::Invalid,
        };
        Self::new(kind, e.message)
    }
}

/// Result of a system call.
pub type Result<T> = std::result::Result<T, Error>;

/// What [`fetch_chunk`] reads from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// The job's own input.
    Input,
    /// An object, by a link that the job's parameters name.
    Link(&'a str),
    /// The wire bytes of a block, by an address that the job's parameters name.
    Address(&'a [u8; 32]),
}

/// What [`fetch_chunk`] brought.
#[derive(Clone, Copy, Debug)]
pub struct Fetched {
    /// The range that was asked for; shorter at the end.
    pub data: &'static [u8],
    /// Bytes of the whole.
    pub size: u64,
}

/// What [`send_message`] achieved: the message lies in the mailbox.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Rises with each message from this module to the node.
    pub sequence: u64,
    /// The receipt that the receiving node signed, a `MessageReceipt`.
    pub receipt: Vec<u8>,
}

/// What [`host_call`] was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The service's own; http: the status.
    pub code: u32,
    /// The service's own; http: the content type.
    pub detail: String,
    /// The service's own; http: the body.
    pub data: &'static [u8],
}

/// What a thread that ended left.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// The output of its method.
    pub output: &'static [u8],
    /// Gas it used, from its caller's.
    pub gas: u64,
}

/// Makes system calls with settings of their own. [`Caller::default`] waits for as
/// long as the call of the module may take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    deadline_ms: u32,
    source: Option<[u8; 32]>,
}

/// A caller that gives up after some milliseconds. Deterministic modules wait all
/// the same: whether time passes depends on the node.
pub fn within(deadline_ms: u32) -> Caller {
    Caller { deadline_ms, ..Caller::default() }
}

/// Reads a range of the job's input, an object or a block: at most 16 MiB, and all
/// up to that when `length` is 0. `path` names a file in a folder.
pub fn fetch_chunk(from: Source<'_>, path: &str, offset: u64, length: u32) -> Result<Fetched> {
    Caller::default().fetch_chunk(from, path, offset, length)
}

/// Reads as [`fetch_chunk`] does, into the caller's memory and as much as it holds:
/// into a part of a window, without a copy between. Returns the bytes read and
/// those of the whole.
pub fn fetch_chunk_into(from: Source<'_>, path: &str, offset: u64, into: &mut [u8]) -> Result<(usize, u64)> {
    Caller::default().fetch_chunk_into(from, path, offset, into)
}

/// Stores bytes as an object of the job's owner and returns its link. A public
/// object can be read by anybody who knows its address.
pub fn store_chunk(name: &str, data: &[u8], public: bool) -> Result<String> {
    Caller::default().store_chunk(name, data, public)
}

/// Stores 1 to 1,048,592 bytes as one block of the job's owner, as they are: neither
/// compressed nor sealed. Returns its address, the BLAKE3 of the bytes, by which
/// anybody may read it.
pub fn store_block(name: &str, data: &[u8]) -> Result<[u8; 32]> {
    Caller::default().store_block(name, data)
}

/// The address in its text form (a CIDv1 of a raw block, base32), as parameters
/// carry it; `None` when it is none.
pub fn address(text: &str) -> Option<[u8; 32]> {
    const PREFIX: [u8; 4] = [0x01, 0x55, 0x1e, 0x20]; // CIDv1, raw, BLAKE3 of 32 bytes
    let mut bytes = [0; 36];
    let (mut bits, mut held, mut at) = (0_u32, 0, 0);
    for c in text.strip_prefix('b')?.bytes() {
        let digit = match c {
            b'a'..=b'z' => c - b'a',
            b'2'..=b'7' => c - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u32::from(digit);
        held += 5;
        if held >= 8 {
            held -= 8;
            *bytes.get_mut(at)? = (bits >> held) as u8;
            bits &= (1 << held) - 1;
            at += 1;
        }
    }
    let whole = at == bytes.len() && held < 5 && bits == 0;
    bytes.strip_prefix(&PREFIX).filter(|_| whole)?.try_into().ok()
}

/// Sends at most 64 KiB to a module: on the node with this did:key, or on this one
/// when `node` is empty. Messages of one module to one node arrive in order, each at
/// most once.
pub fn send_message(node: &str, module: &str, data: &[u8]) -> Result<Sent> {
    Caller::default().send_message(node, module, data)
}

/// Runs a method of this module beside the caller, on `gas` of the caller's; 0 is
/// an eighth of what is left. `params` is a JSON object, or empty.
pub fn spawn(unit: &str, method: &str, params: &str, input: &[u8], gas: u64) -> Result<Thread> {
    Caller::default().spawn(unit, method, params, input, gas)
}

/// Asks a named service of the node.
pub fn host_call(service: &str, operation: &str, argument: &str, data: &[u8]) -> Result<Answer> {
    Caller::default().host_call(service, operation, argument, data)
}

/// A method that runs beside its caller. One that is neither joined nor killed ends
/// with its caller.
#[derive(Debug)]
pub struct Thread {
    id: u64,
    caller: Caller,
}

impl Thread {
    /// Waits for the thread and takes its output. When the deadline of the caller
    /// that spawned it passes, the thread runs on and is lost to the caller.
    pub fn join(self) -> Result<Ended> {
        self.caller.call(
            |mut q| q.set_await_thread(self.id),
            |which| match which {
                completion::Ended(e) => {
                    let e = e?;
                    Ok(Ended { output: data(e.get_data()?), gas: e.get_gas() })
                }
                _ => Err(mismatch()),
            },
        )
    }

    /// Stops the thread; it has ended when this returns.
    pub fn kill(self) -> Result<()> {
        self.caller.call(
            |mut q| q.set_kill_thread(self.id),
            |which| match which {
                completion::Killed(()) => Ok(()),
                _ => Err(mismatch()),
            },
        )
    }
}

impl Caller {
    /// Claims to be another module, to try what a node makes of it.
    #[doc(hidden)]
    pub fn claiming(self, module: [u8; 32]) -> Self {
        Self { source: Some(module), ..self }
    }

    /// See [`fetch_chunk`].
    pub fn fetch_chunk(self, from: Source<'_>, path: &str, offset: u64, length: u32) -> Result<Fetched> {
        let (at, size) = self.fetch(from, path, offset, length, Span::default())?;
        Ok(Fetched { data: crate::abi::given(at), size })
    }

    /// See [`fetch_chunk_into`].
    pub fn fetch_chunk_into(self, from: Source<'_>, path: &str, offset: u64, into: &mut [u8]) -> Result<(usize, u64)> {
        if into.is_empty() {
            return Err(Error::new(Kind::Invalid, "there is no room to fetch into"));
        }
        let most = into.len().min(MAX_TRANSFER);
        let (at, size) = self.fetch(from, path, offset, most as u32, crate::abi::lend_mut(&mut into[..most]))?;
        Ok((at.length as usize, size))
    }

    fn fetch(self, from: Source<'_>, path: &str, offset: u64, length: u32, into: Span) -> Result<(Span, u64)> {
        self.call(
            |q| {
                let mut f = q.init_fetch_chunk();
                if into.length > 0 {
                    put(f.reborrow().init_into(), into);
                }
                match from {
                    Source::Input => f.set_input(()),
                    Source::Link(link) => f.set_link(link),
                    Source::Address(address) => f.set_address(address),
                }
                f.set_path(path);
                f.set_offset(offset);
                f.set_length(length);
            },
            |which| match which {
                completion::Fetched(f) => {
                    let f = f?;
                    Ok((span(f.get_data()?), f.get_size()))
                }
                _ => Err(mismatch()),
            },
        )
    }

    /// See [`store_chunk`].
    pub fn store_chunk(self, name: &str, bytes: &[u8], public: bool) -> Result<String> {
        self.call(
            |q| {
                let mut s = q.init_store_chunk();
                s.set_name(name);
                s.set_public(public);
                put(s.init_data(), crate::abi::lend(bytes));
            },
            |which| match which {
                completion::Stored(s) => Ok(s?.get_link()?.to_string().map_err(capnp::Error::from)?),
                _ => Err(mismatch()),
            },
        )
    }

    /// See [`store_block`].
    pub fn store_block(self, name: &str, bytes: &[u8]) -> Result<[u8; 32]> {
        self.call(
            |q| {
                let mut s = q.init_store_chunk();
                s.set_name(name);
                s.set_block(true);
                put(s.init_data(), crate::abi::lend(bytes));
            },
            |which| match which {
                completion::Stored(s) => s?.get_address()?.try_into().map_err(|_| mismatch()),
                _ => Err(mismatch()),
            },
        )
    }

    /// See [`send_message`].
    pub fn send_message(self, node: &str, module: &str, bytes: &[u8]) -> Result<Sent> {
        self.call(
            |q| {
                let mut s = q.init_send_message();
                s.set_node(node);
                s.set_module(module);
                put(s.init_data(), crate::abi::lend(bytes));
            },
            |which| match which {
                completion::Sent(s) => {
                    let s = s?;
                    Ok(Sent { sequence: s.get_sequence(), receipt: s.get_receipt()?.to_vec() })
                }
                _ => Err(mismatch()),
            },
        )
    }

    /// See [`spawn`].
    pub fn spawn(self, unit: &str, method: &str, params: &str, input: &[u8], gas: u64) -> Result<Thread> {
        self.call(
            |q| {
                let mut s = q.init_spawn_thread();
                s.set_unit(unit);
                s.set_method(method);
                s.set_params(params);
                s.set_gas(gas);
                put(s.init_input(), crate::abi::lend(input));
            },
            |which| match which {
                completion::Spawned(id) => Ok(Thread { id, caller: self }),
                _ => Err(mismatch()),
            },
        )
    }

    /// See [`host_call`].
    pub fn host_call(self, service: &str, operation: &str, argument: &str, bytes: &[u8]) -> Result<Answer> {
        self.call(
            |q| {
                let mut h = q.init_host_call();
                h.set_service(service);
                h.set_operation(operation);
                h.set_argument(argument);
                put(h.init_data(), crate::abi::lend(bytes));
            },
            |which| match which {
                completion::Answered(a) => {
                    let a = a?;
                    Ok(Answer {
                        code: a.get_code(),
                        detail: a.get_detail()?.to_string().map_err(capnp::Error::from)?,
                        data: data(a.get_data()?),
                    })
                }
                _ => Err(mismatch()),
            },
        )
    }

    /// Fills in a request, submits it, and reads its completion.
    fn call<T>(
        self,
        fill: impl FnOnce(request::Builder<'_>),
        read: impl FnOnce(completion::WhichReader<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut message = Builder::new(HeapAllocator::new().first_segment_words(64));
        let mut q = message.init_root::<request::Builder<'_>>();
        q.set_deadline_ms(self.deadline_ms);
        if let Some(source) = &self.source {
            q.set_source_module_id(source);
        }
        fill(q);
        let mut done = crate::abi::syscall(&serialize::write_message_to_words(&message))?;
        let message = serialize::read_message_from_flat_slice(&mut done, ReaderOptions::new())?;
        match message.get_root::<completion::Reader<'_>>()?.which().map_err(capnp::Error::from)? {
            completion::Error(failure) => {
                let failure = failure?;
                let text = |t: capnp::text::Reader<'_>| t.to_string().unwrap_or_default();
                Err(Error::new(Kind::named(&text(failure.get_kind()?)), text(failure.get_message()?)))
            }
            which => read(which),
        }
    }
}

/// Where the node finds bytes of this module.
fn put(mut to: bytes::Builder<'_>, span: Span) {
    to.set_pointer(span.pointer);
    to.set_length(span.length);
}

/// Bytes that the node wrote.
fn data(at: bytes::Reader<'_>) -> &'static [u8] {
    crate::abi::given(span(at))
}

fn span(at: bytes::Reader<'_>) -> Span {
    Span { pointer: at.get_pointer(), length: at.get_length() }
}

fn mismatch() -> Error {
    Error::new(Kind::Invalid, "the completion is of another system call")
}

/// What a system call is outside WebAssembly.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn nowhere() -> Error {
    Error::new(Kind::Unsupported, "there is no node to ask outside WebAssembly")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_webassembly_there_is_nobody_to_ask() {
        let e = host_call("kv", "get", "k", b"").unwrap_err();
        assert_eq!(e.kind(), &Kind::Unsupported);
        assert_eq!(crate::Error::from(e).kind(), crate::Kind::Unsupported);
    }

    #[test]
    fn an_address_has_one_text() {
        let text = "bafkr4iafbqjruijif43d2rclkjmwaz3oov6ihcurtcp2nlnuxpbmtugx3y"; // as a node writes it
        assert_eq!(address(text), Some(std::array::from_fn(|i| (i * 7 + 5) as u8)));
        for wrong in ["", "b", &text[..58], &text[1..], "zafkr4", &format!("{text}a"), &text.replace('k', "m")] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn kinds_keep_their_names() {
        for name in [
            "invalid",
            "not-found",
            "denied",
            "exhausted",
            "unfunded",
            "unavailable",
            "timeout",
            "unsupported",
            "closed",
        ] {
            assert_eq!(Kind::named(name).name(), name);
        }
    }
}

//! One method for each system call that is not for deterministic modules, to try
//! what a node's rules allow. A refusal is the output, not a failure.
#![forbid(unsafe_code)]

use std::fmt::Write;

use inos_sdk::syscall::{self, Caller};
use inos_sdk::{Call, Error, Method, Module, Output, Unit, method};
use schemars::JsonSchema;
use serde::Deserialize;

/// What the node sees of this crate.
pub static MODULE: Module = Module {
    name: "syscalls",
    version: env!("CARGO_PKG_VERSION"),
    author: "INOS",
    doc: "One method for each system call, to try what a node's rules allow.",
    deterministic: false,
    syscalls: &[
        syscall::FETCH_CHUNK,
        syscall::STORE_CHUNK,
        syscall::SEND_MESSAGE,
        syscall::SPAWN_THREAD,
        syscall::HOST_CALL_KV,
        syscall::HOST_CALL_HTTP,
        syscall::HOST_CALL_SENSOR,
    ],
    inbox: "call.note",
    units: &[Unit {
        name: "call",
        doc: "Each method makes one system call and writes what came of it.",
        methods: &[
            method::<Fetch>(),
            method::<Store>(),
            method::<Send>(),
            method::<Note>(),
            method::<Spawn>(),
            method::<Spin>(),
            method::<Host>(),
            method::<Spoof>(),
        ],
    }],
    ..Module::EMPTY
};
inos_sdk::module!(MODULE);

/// The output of a method, or the refusal as text.
fn shown<'a>(result: syscall::Result<Vec<u8>>) -> Result<Output<'a>, Error> {
    Ok(match result {
        Ok(bytes) => Output::bytes(bytes),
        Err(e) => Output::typed("text/plain", format!("refused: {}: {}\n", e.kind(), e.message()).into_bytes()),
    })
}

/// Brings bytes of an object, or of the job's input when there is no link.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fetch {
    /// The object.
    #[serde(default)]
    link: String,
    /// The object's link in pieces, which name nothing by themselves.
    #[serde(default)]
    split: Vec<String>,
    /// A block, in place of an object.
    #[serde(default)]
    address: String,
    /// Fetch into memory of the module's own, of this many bytes.
    #[serde(default)]
    room: u32,
    /// A file in a folder.
    #[serde(default)]
    path: String,
    /// The first byte.
    #[serde(default)]
    offset: u64,
    /// How many bytes; 0 for all.
    #[serde(default)]
    length: u32,
}

impl Method for Fetch {
    const NAME: &'static str = "fetch";
    const NEEDS_INPUT: bool = false;

    fn run<'a>(self, _: &Call<'a>) -> Result<Output<'a>, Error> {
        let link = if self.link.is_empty() { self.split.concat() } else { self.link };
        let address = syscall::address(&self.address);
        let from = match &address {
            Some(address) => syscall::Source::Address(address),
            None if link.is_empty() => syscall::Source::Input,
            None => syscall::Source::Link(&link),
        };
        if self.room > 0 {
            let mut room = vec![0; self.room as usize];
            return shown(syscall::fetch_chunk_into(from, &self.path, self.offset, &mut room).map(|(n, _)| {
                room.truncate(n);
                room
            }));
        }
        shown(syscall::fetch_chunk(from, &self.path, self.offset, self.length).map(|f| f.data.to_vec()))
    }
}

/// Stores the input as an object and returns its link, or as a block and returns its
/// address in hex.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Store {
    /// The object's name.
    name: String,
    /// Whether anybody may read it.
    #[serde(default)]
    public: bool,
    /// As one block, kept as it is.
    #[serde(default)]
    block: bool,
}

impl Method for Store {
    const NAME: &'static str = "store";
    const WRITES: &'static str = "text/plain";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        if self.block {
            let hex = |a: [u8; 32]| a.iter().map(|b| format!("{b:02x}")).collect::<String>().into_bytes();
            return shown(syscall::store_block(&self.name, call.input()).map(hex));
        }
        shown(syscall::store_chunk(&self.name, call.input(), self.public).map(String::into_bytes))
    }
}

/// Sends the input to a module, once or several times with a number behind it,
/// and returns a line with sequence and receipt for each.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Send {
    /// The did:key of the node; empty for this one.
    #[serde(default)]
    node: String,
    /// The module.
    module: String,
    /// How often; 0 sends the input itself, once.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    count: u32,
}

impl Method for Send {
    const NAME: &'static str = "send";
    const WRITES: &'static str = "text/plain";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        let mut lines = String::new();
        for i in 0..self.count.max(1) {
            let mut text = call.input().to_vec();
            if self.count > 0 {
                text.extend_from_slice(i.to_string().as_bytes());
            }
            match syscall::send_message(&self.node, &self.module, &text) {
                Ok(sent) => {
                    let hex = sent.receipt.iter().fold(String::new(), |mut s, b| {
                        let _ = write!(s, "{b:02x}");
                        s
                    });
                    let _ = writeln!(lines, "{} {hex}", sent.sequence);
                }
                Err(e) => {
                    let _ = writeln!(lines, "refused: {}: {}", e.kind(), e.message());
                }
            }
        }
        Ok(Output::bytes(lines.into_bytes()))
    }
}

/// Takes a message: appends it to the value under the key "notes".
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Note {
    /// The node that sent it.
    from_node: String,
    /// The module that sent it.
    from_module: String,
    /// Its place among the messages from there.
    sequence: u64,
}

impl Method for Note {
    const NAME: &'static str = "note";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        let mut notes = match syscall::host_call("kv", "get", "notes", b"") {
            Ok(answer) => answer.data.to_vec(),
            Err(e) if *e.kind() == syscall::Kind::NotFound => Vec::new(),
            Err(e) => return Err(e.into()),
        };
        let line = format!(
            "{} {} {} {}\n",
            self.from_node,
            self.from_module,
            self.sequence,
            String::from_utf8_lossy(call.input())
        );
        notes.extend_from_slice(line.as_bytes());
        syscall::host_call("kv", "put", "notes", &notes)?;
        Ok(Output::default())
    }
}

/// Runs a method of this module in threads, each on the input, and returns what
/// they return, one behind another.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Spawn {
    /// How many.
    #[schemars(range(min = 1, max = 64))]
    threads: u32,
    /// The method.
    method: String,
    /// Its parameters, a JSON object as text.
    #[serde(default)]
    params: String,
    /// What becomes of them.
    #[serde(default)]
    then: Then,
    /// Gas of each; 0 for an eighth of what is left.
    #[serde(default)]
    gas: u64,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, serde::Serialize, Default)]
#[serde(rename_all = "lowercase")]
enum Then {
    #[default]
    /// Waits for each.
    Join,
    /// Kills each.
    Kill,
    /// Leaves them to the node.
    Leave,
}

impl Spawn {
    fn all(&self, input: &[u8]) -> syscall::Result<Vec<u8>> {
        let start = |_| syscall::spawn("call", &self.method, &self.params, input, self.gas);
        let threads = (0..self.threads).map(start).collect::<syscall::Result<Vec<_>>>()?;
        let mut out = Vec::new();
        for thread in threads {
            match self.then {
                Then::Join => out.extend_from_slice(thread.join()?.output),
                Then::Kill => {
                    thread.kill()?;
                    out.extend_from_slice(b"killed\n");
                }
                Then::Leave => {}
            }
        }
        Ok(out)
    }
}

impl Method for Spawn {
    const NAME: &'static str = "spawn";
    const NEEDS_INPUT: bool = false;

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        shown(self.all(call.input()))
    }
}

/// Never ends by itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Spin {}

impl Method for Spin {
    const NAME: &'static str = "spin";
    const NEEDS_INPUT: bool = false;

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        let mut n = call.submitted_unix_ms();
        while std::hint::black_box(n) != i64::MIN {
            n = n.wrapping_mul(3) | 1;
        }
        Ok(Output::default())
    }
}

/// Asks a service of the node and returns what it answers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Host {
    /// kv, http or sensor.
    service: String,
    /// Its operation.
    operation: String,
    /// A key or a URL.
    key: String,
    /// Gives up after so many milliseconds; 0 waits.
    #[serde(default)]
    deadline_ms: u32,
}

impl Method for Host {
    const NAME: &'static str = "host";
    const NEEDS_INPUT: bool = false;

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        let answer =
            syscall::within(self.deadline_ms).host_call(&self.service, &self.operation, &self.key, call.input());
        shown(answer.map(|a| a.data.to_vec()))
    }
}

/// Claims to be another module.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Spoof {}

impl Method for Spoof {
    const NAME: &'static str = "spoof";
    const NEEDS_INPUT: bool = false;

    fn run<'a>(self, _: &Call<'a>) -> Result<Output<'a>, Error> {
        let other = Caller::default().claiming([6; 32]);
        shown(other.host_call("kv", "get", "notes", b"").map(|a| a.data.to_vec()))
    }
}

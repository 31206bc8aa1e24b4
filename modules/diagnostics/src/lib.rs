//! Methods that measure the node rather than do work: what a call costs when
//! the work itself costs nothing.
#![forbid(unsafe_code)]

use inos_sdk::syscall;
use inos_sdk::{Call, Error, InPlace, Level, Method, Module, Output, Unit, in_place, log, method};
use schemars::JsonSchema;
use serde::Deserialize;

/// What the node sees of this crate.
pub static MODULE: Module = Module {
    name: "diagnostics",
    version: env!("CARGO_PKG_VERSION"),
    author: "INOS",
    doc: "Methods that measure the node rather than do work.",
    syscalls: &[syscall::FETCH_CHUNK, syscall::STORE_CHUNK],
    units: &[
        Unit {
            name: "echo",
            doc: "The cheapest calls there are.",
            methods: &[method::<Noop>(), method::<Echo>(), method::<Log>()],
        },
        Unit {
            name: "chunk",
            doc: "The system calls of deterministic modules.",
            methods: &[method::<Fetch>(), method::<Store>()],
        },
        Unit {
            name: "window",
            doc: "Inputs in windows of lent memory.",
            methods: &[method::<Sum>(), in_place::<Invert>(), in_place::<Load>()],
        },
    ],
    ..Module::EMPTY
};
inos_sdk::module!(MODULE);

/// Does nothing and returns nothing: the cost of a call.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Noop {}

impl Method for Noop {
    const NAME: &'static str = "noop";
    const NEEDS_INPUT: bool = false;

    fn run<'a>(self, _: &Call<'a>) -> Result<Output<'a>, Error> {
        Ok(Output::default())
    }
}

/// Returns its input untouched: the cost of moving bytes in and out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Echo {}

impl Method for Echo {
    const NAME: &'static str = "echo";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        Ok(Output::bytes(call.input()))
    }
}

/// Logs lines, numbered from 1, and returns nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Log {
    /// How many.
    #[schemars(range(min = 1, max = 256))]
    lines: u32,
}

impl Method for Log {
    const NAME: &'static str = "log";
    const NEEDS_INPUT: bool = false;

    fn run<'a>(self, _: &Call<'a>) -> Result<Output<'a>, Error> {
        for n in 1..=self.lines {
            log(Level::Info, &format!("line {n}"));
        }
        Ok(Output::default())
    }
}

/// Brings bytes of an object that the parameters name, or of the job's input when
/// they name none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fetch {
    /// The object.
    #[serde(default)]
    link: String,
    /// A block, in place of an object.
    #[serde(default)]
    address: String,
    /// A file in a folder.
    #[serde(default)]
    path: String,
    /// The first byte.
    #[serde(default)]
    offset: u64,
    /// How many bytes; 0 for all, at most 16 MiB.
    #[serde(default)]
    length: u32,
}

impl Method for Fetch {
    const NAME: &'static str = "fetch";
    const NEEDS_INPUT: bool = false;

    fn run<'a>(self, _: &Call<'a>) -> Result<Output<'a>, Error> {
        let address = syscall::address(&self.address);
        let from = match &address {
            Some(address) => syscall::Source::Address(address),
            None if !self.address.is_empty() => return Err(Error::invalid("the address is not readable")),
            None if self.link.is_empty() => syscall::Source::Input,
            None => syscall::Source::Link(&self.link),
        };
        Ok(Output::bytes(syscall::fetch_chunk(from, &self.path, self.offset, self.length)?.data))
    }
}

/// Stores the input as an object, or as one block, of the job's owner and returns
/// its link or its address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Store {
    /// The object's name.
    name: String,
    /// Whether anybody who knows its address may read it.
    #[serde(default)]
    public: bool,
    /// The input is one block, kept as it is; the output is its address in hex.
    #[serde(default)]
    block: bool,
}

impl Method for Store {
    const NAME: &'static str = "store";
    const WRITES: &'static str = "text/plain";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        if self.block {
            let address = syscall::store_block(&self.name, call.input())?;
            return Ok(Output::bytes(address.iter().map(|b| format!("{b:02x}")).collect::<String>().into_bytes()));
        }
        Ok(Output::bytes(syscall::store_chunk(&self.name, call.input(), self.public)?.into_bytes()))
    }
}

/// Adds up the input's words of 8 bytes, little-endian and modulo 2^64, where they
/// lie, and returns the sum in decimal: the cost of reading an input.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sum {}

impl Method for Sum {
    const NAME: &'static str = "sum";
    const WRITES: &'static str = "text/plain";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        let (words, rest) = call.input().as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let sum = words.iter().chain([&last]).fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
        Ok(Output::bytes(format!("{sum}\n").into_bytes()))
    }
}

/// Turns each bit of the input around, where it lies: the cost of a step that works
/// in place.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Invert {}

impl InPlace for Invert {
    const NAME: &'static str = "invert";

    fn run<'a>(self, _: &Call<'_>, input: &'a mut [u8]) -> Result<Output<'a>, Error> {
        input.iter_mut().for_each(|byte| *byte = !*byte);
        Ok(Output::bytes(&*input))
    }
}

/// Fills the input's memory from an object: where that is a window of lent memory, the
/// node writes there.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Load {
    /// The object.
    link: String,
    /// The first byte.
    #[serde(default)]
    offset: u64,
}

impl InPlace for Load {
    const NAME: &'static str = "load";

    fn run<'a>(self, _: &Call<'_>, input: &'a mut [u8]) -> Result<Output<'a>, Error> {
        let (loaded, _) = syscall::fetch_chunk_into(syscall::Source::Link(&self.link), "", self.offset, input)?;
        Ok(Output::bytes(&input[..loaded]))
    }
}

//! From a linked WebAssembly file and a [`Module`] to a module that a node
//! loads: the manifest, encoded and appended as the custom section
//! `inos.manifest`. Runs on the build machine.

use std::path::Path;
use std::process::ExitCode;

use capnp::message::Builder;

use crate::manifest_capnp::{Kind, manifest, method, unit};
use crate::method::{Entry, Module, Unit};
use crate::schema;

/// Name of the custom section.
pub const SECTION: &str = "inos.manifest";

/// The version of the ABI that has residents.
const RESIDENT_ABI: u16 = 2;

const HEADER: &[u8] = b"\0asm\x01\0\0\0";
const CUSTOM: u8 = 0;

/// Why a module could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not a core WebAssembly module.
    #[error("{0} is not a WebAssembly module")]
    NotWasm(String),
    /// A declaration that nodes refuse.
    #[error("{place}: {problem}")]
    Declaration {
        /// unit.method
        place: String,
        /// What to change.
        problem: String,
    },
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    File(String, #[source] std::io::Error),
}

/// The `main` of a module's packer: `NAME-pack IN.wasm OUT.wasm`.
///
/// ```no_run
/// # use inos_sdk::Module;
/// # static MODULE: Module = Module::EMPTY;
/// fn main() -> std::process::ExitCode {
///     inos_sdk::pack::main(&MODULE)
/// }
/// ```
pub fn main(module: &Module) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = args.as_slice() else {
        eprintln!("usage: {}-pack IN.wasm OUT.wasm", module.name);
        return ExitCode::from(2);
    };
    match file(module, Path::new(input), Path::new(output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{}-pack: {e}", module.name);
            ExitCode::FAILURE
        }
    }
}

fn file(module: &Module, input: &Path, output: &Path) -> Result<(), Error> {
    let wasm = std::fs::read(input).map_err(|e| Error::File(input.display().to_string(), e))?;
    let packed = pack(module, &wasm)
        .map_err(|e| if let Error::NotWasm(_) = e { Error::NotWasm(input.display().to_string()) } else { e })?;
    std::fs::write(output, packed).map_err(|e| Error::File(output.display().to_string(), e))
}

/// `wasm` with the manifest of `module` and without any other custom section:
/// names, producers and debug data are not the node's business, and the file's
/// hash is the module's identity.
pub fn pack(module: &Module, wasm: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = strip(wasm).ok_or_else(|| Error::NotWasm("the input".into()))?;
    let manifest = encode(module)?;
    let mut name = Vec::new();
    leb128(&mut name, SECTION.len());
    name.extend_from_slice(SECTION.as_bytes());
    out.push(CUSTOM);
    leb128(&mut out, name.len() + manifest.len());
    out.extend_from_slice(&name);
    out.extend_from_slice(&manifest);
    Ok(out)
}

/// The manifest of `module`, in standard stream framing.
pub fn encode(module: &Module) -> Result<Vec<u8>, Error> {
    let mut message = Builder::new_default();
    let mut m = message.init_root::<manifest::Builder>();
    m.set_name(module.name);
    m.set_version(module.version);
    m.set_author(module.author);
    m.set_doc(module.doc);
    m.set_abi(if module.resident { RESIDENT_ABI } else { module.abi() as u16 });
    m.set_deterministic(module.deterministic);
    m.set_kind(if module.resident { Kind::Resident } else { Kind::Guest });
    let mut limits = m.reborrow().init_limits();
    limits.set_gas(module.limits.gas);
    limits.set_memory_bytes(module.limits.memory_bytes);
    limits.set_output_bytes(module.limits.output_bytes);
    limits.set_wall_ms(module.limits.wall_ms);
    let mut syscalls = m.reborrow().init_syscalls(module.syscalls.len() as u32);
    for (i, name) in module.syscalls.iter().enumerate() {
        syscalls.set(i as u32, name);
    }
    m.set_inbox(module.inbox);
    let mut units = m.init_units(module.units.len() as u32);
    for (i, u) in module.units.iter().enumerate() {
        encode_unit(u, units.reborrow().get(i as u32))?;
    }
    // Canonical form: one segment, so equal declarations are equal bytes.
    let canonical = message
        .into_reader()
        .canonicalize()
        .map_err(|e| Error::Declaration { place: module.name.into(), problem: e.to_string() })?;
    let mut out = vec![0; 4];
    out.extend_from_slice(&(canonical.len() as u32).to_le_bytes());
    out.extend_from_slice(capnp::Word::words_to_bytes(&canonical));
    Ok(out)
}

fn encode_unit(u: &Unit, mut out: unit::Builder<'_>) -> Result<(), Error> {
    out.set_name(u.name);
    out.set_doc(u.doc);
    let mut methods = out.init_methods(u.methods.len() as u32);
    for (i, entry) in u.methods.iter().enumerate() {
        encode_method(entry, methods.reborrow().get(i as u32))
            .map_err(|problem| Error::Declaration { place: format!("{}.{}", u.name, entry.name), problem })?;
    }
    Ok(())
}

fn encode_method(entry: &Entry, mut out: method::Builder<'_>) -> Result<(), String> {
    let (doc, params) = schema::split((entry.facts.schema)())?;
    out.set_name(entry.name);
    out.set_doc(doc.as_str());
    out.set_params_schema(params.as_str());
    out.set_output_media_type(entry.facts.writes);
    out.set_input_required(entry.facts.needs_input);
    let mut reads = out.init_input_media_types(entry.facts.reads.len() as u32);
    for (i, media_type) in entry.facts.reads.iter().enumerate() {
        reads.set(i as u32, media_type);
    }
    Ok(())
}

/// The module without its custom sections; None when it is not one.
fn strip(wasm: &[u8]) -> Option<Vec<u8>> {
    let mut rest = wasm.strip_prefix(HEADER)?;
    let mut out = HEADER.to_vec();
    while let Some((&id, tail)) = rest.split_first() {
        let (length, body) = read_leb128(tail)?;
        let next = body.get(length..)?;
        if id != CUSTOM {
            out.extend_from_slice(&rest[..rest.len() - next.len()]);
        }
        rest = next;
    }
    Some(out)
}

fn leb128(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn read_leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (i, &b) in bytes.iter().enumerate().take(5) {
        value |= u64::from(b & 0x7f) << (7 * i);
        if b & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[i + 1..]));
        }
    }
    None
}

//! The table a module is made of, and what a method sees of a call.

use std::borrow::Cow;

use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Length of a job's seed.
pub const SEED_BYTES: usize = 32;

/// One method: a struct of its parameters that knows how to run.
///
/// The struct's doc comment is the method's documentation and the schema of its
/// parameters comes from its fields: their doc comments, types, serde defaults
/// and `#[schemars(range(..))]`. A node checks parameters against that schema
/// and fills in defaults before the call, so `run` sees complete, checked ones.
pub trait Method: DeserializeOwned + JsonSchema {
    /// 1 to 32 of `a-z 0-9 -`.
    const NAME: &'static str;
    /// Media types it reads, such as `image/*`; empty for anything.
    const READS: &'static [&'static str] = &[];
    /// The media type it usually writes; empty for `application/octet-stream`.
    const WRITES: &'static str = "";
    /// Whether a node refuses a call without input.
    const NEEDS_INPUT: bool = true;

    /// Does the work. The output may borrow from the input.
    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error>;
}

/// A method that works in its input's memory and may return a part of it.
///
/// Where a node lends memory in place of an input, its other borrowers see what
/// the method leaves there, and a part of it that is the output is not copied: so
/// several methods pass one buffer along. The rest is as for [`Method`], but that
/// there is always an input.
pub trait InPlace: DeserializeOwned + JsonSchema {
    /// See [`Method::NAME`].
    const NAME: &'static str;
    /// See [`Method::READS`].
    const READS: &'static [&'static str] = &[];
    /// See [`Method::WRITES`].
    const WRITES: &'static str = "";

    /// Does the work. [`Call::input`] is empty: `input` is the only way to it.
    fn run<'a>(self, call: &Call<'_>, input: &'a mut [u8]) -> Result<Output<'a>, Error>;
}

/// A [`Method`] or an [`InPlace`] as an entry of a unit's table, made by
/// [`method`] or [`in_place`].
pub struct Entry {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) facts: Facts,
}

/// How a method is run, on parameters as JSON.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    Reads(for<'a> fn(&[u8], &Call<'a>) -> Result<Output<'a>, Error>),
    InPlace(RunInPlace),
}

type RunInPlace = for<'a> fn(&[u8], &Call<'_>, &'a mut [u8]) -> Result<Output<'a>, Error>;

/// What only the manifest needs of a method; no module carries it.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) struct Facts {
    pub(crate) schema: fn() -> schemars::Schema,
    pub(crate) reads: &'static [&'static str],
    pub(crate) writes: &'static str,
    pub(crate) needs_input: bool,
}

/// The table entry of `M`.
pub const fn method<M: Method>() -> Entry {
    Entry {
        name: M::NAME,
        run: Run::Reads(run::<M>),
        #[cfg(not(target_arch = "wasm32"))]
        facts: Facts {
            schema: crate::schema::of::<M>,
            reads: M::READS,
            writes: M::WRITES,
            needs_input: M::NEEDS_INPUT,
        },
    }
}

/// The table entry of `M`, which works in its input's memory.
pub const fn in_place<M: InPlace>() -> Entry {
    Entry {
        name: M::NAME,
        run: Run::InPlace(run_in_place::<M>),
        #[cfg(not(target_arch = "wasm32"))]
        facts: Facts { schema: crate::schema::of::<M>, reads: M::READS, writes: M::WRITES, needs_input: true },
    }
}

fn run<'a, M: Method>(params: &[u8], call: &Call<'a>) -> Result<Output<'a>, Error> {
    read::<M>(M::NAME, params)?.run(call)
}

fn run_in_place<'a, M: InPlace>(params: &[u8], call: &Call<'_>, input: &'a mut [u8]) -> Result<Output<'a>, Error> {
    read::<M>(M::NAME, params)?.run(call, input)
}

fn read<P: DeserializeOwned>(name: &str, params: &[u8]) -> Result<P, Error> {
    serde_json::from_slice(params).map_err(|e| Error::invalid(format!("parameters of {name}: {e}")))
}

/// A named group of methods.
pub struct Unit {
    /// 1 to 32 of `a-z 0-9 -`.
    pub name: &'static str,
    /// What the unit is for.
    pub doc: &'static str,
    /// 1 to 64 methods with distinct names.
    pub methods: &'static [Entry],
}

/// Limits for calls that name none; zero means the node's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Gas of one call.
    pub gas: u64,
    /// Linear memory, bytes.
    pub memory_bytes: u64,
    /// Output, bytes.
    pub output_bytes: u64,
    /// Wall time, milliseconds.
    pub wall_ms: u32,
}

/// Everything a module says about itself.
pub struct Module {
    /// 1 to 32 of `a-z 0-9 -`.
    pub name: &'static str,
    /// A semantic version, usually `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// For people; at most 128 bytes.
    pub author: &'static str,
    /// One paragraph.
    pub doc: &'static str,
    /// The promise that the same call gives the same bytes everywhere.
    pub deterministic: bool,
    /// Runs inside the arena; see the feature `resident`.
    pub resident: bool,
    /// Defaults for calls that name none.
    pub limits: Limits,
    /// System calls it makes, such as [`syscall::FETCH_CHUNK`](crate::syscall); a
    /// deterministic module may fetch and store only.
    pub syscalls: &'static [&'static str],
    /// `unit.method` that takes messages of other modules as its input; empty for
    /// a module that takes none. Parameters `fromNode`, `fromModule` and `sequence`
    /// that it has are filled in.
    pub inbox: &'static str,
    /// Takes inputs of 4 MiB and more in a window: memory that the node maps
    /// instead of copying, where it can. A module with system calls does so anyway.
    pub windows: bool,
    /// 1 to 32 units with distinct names.
    pub units: &'static [Unit],
}

impl Module {
    /// A deterministic module with nothing in it, to fill in with `..`.
    pub const EMPTY: Self = Self {
        name: "",
        version: "",
        author: "",
        doc: "",
        deterministic: true,
        resident: false,
        limits: Limits { gas: 0, memory_bytes: 0, output_bytes: 0, wall_ms: 0 },
        syscalls: &[],
        inbox: "",
        windows: false,
        units: &[],
    };

    /// The version of the guest ABI that it needs: 2 for system calls, messages and
    /// windows.
    pub const fn abi(&self) -> i32 {
        if self.syscalls.is_empty() && self.inbox.is_empty() && !self.windows { 1 } else { 2 }
    }

    /// Runs a method on bytes, with a seed of zeros: for tests and for use as a
    /// plain library. `params` is a JSON object.
    pub fn run<'a>(&self, unit: &str, method: &str, params: &[u8], input: &'a [u8]) -> Result<Output<'a>, Error> {
        self.dispatch(unit, method, params, &Call { input, output_limit: u64::MAX, ..Call::default() })
    }

    pub(crate) fn dispatch<'a>(
        &self,
        unit: &str,
        method: &str,
        params: &[u8],
        call: &Call<'a>,
    ) -> Result<Output<'a>, Error> {
        match self.find(unit, method)?.run {
            Run::Reads(run) => run(params, call),
            Run::InPlace(run) => {
                let mut input = call.input.to_vec();
                let call = Call { input: &[], ..call.clone() };
                run(params, &call, &mut input).map(Output::into_owned)
            }
        }
    }

    /// Runs a method on memory that is the call's alone.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn dispatch_own<'a>(
        &self,
        unit: &str,
        method: &str,
        params: &[u8],
        mut call: Call<'a>,
        input: &'a mut [u8],
    ) -> Result<Output<'a>, Error> {
        match self.find(unit, method)?.run {
            Run::Reads(run) => {
                call.input = input;
                run(params, &call)
            }
            Run::InPlace(run) => run(params, &call, input),
        }
    }

    fn find(&self, unit: &str, method: &str) -> Result<&'static Entry, Error> {
        self.units.iter().find(|u| u.name == unit).and_then(|u| u.methods.iter().find(|m| m.name == method)).ok_or_else(
            || Error::new(crate::Kind::NotFound, format!("module {} has no method {unit}.{method}", self.name)),
        )
    }
}

/// What a method sees of the call it serves.
#[derive(Clone, Debug, Default)]
pub struct Call<'a> {
    pub(crate) input: &'a [u8],
    pub(crate) input_media_type: String,
    pub(crate) input_name: String,
    pub(crate) output_limit: u64,
    pub(crate) seed: [u8; SEED_BYTES],
    pub(crate) submitted_unix_ms: i64,
}

impl<'a> Call<'a> {
    /// The input; empty when the call has none.
    pub fn input(&self) -> &'a [u8] {
        self.input
    }

    /// A hint from the job, e.g. `image/png`; often empty, never checked.
    pub fn input_media_type(&self) -> &str {
        &self.input_media_type
    }

    /// A hint for people, never a path; often empty.
    pub fn input_name(&self) -> &str {
        &self.input_name
    }

    /// Bytes the output may have; the node refuses more.
    pub fn output_limit(&self) -> u64 {
        self.output_limit
    }

    /// When the job was submitted, Unix milliseconds: the only clock there is.
    pub fn submitted_unix_ms(&self) -> i64 {
        self.submitted_unix_ms
    }

    /// The job's seed: the only source of randomness there is.
    pub fn seed(&self) -> [u8; SEED_BYTES] {
        self.seed
    }

    /// A generator started from the job's seed: the same sequence on every node
    /// and each time it is asked for. Not for keys.
    pub fn rng(&self) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::from_seed(self.seed)
    }
}

/// What a method returns: bytes and, when it is not the declared one, their
/// media type.
#[derive(Clone, Debug, Default)]
pub struct Output<'a> {
    pub(crate) body: Cow<'a, [u8]>,
    pub(crate) media_type: &'static str,
}

impl<'a> Output<'a> {
    /// Bytes of the method's declared media type. A slice of the input is not
    /// copied.
    pub fn bytes(body: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { body: body.into(), media_type: "" }
    }

    /// Bytes of the given media type.
    pub fn typed(media_type: &'static str, body: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { body: body.into(), media_type }
    }

    fn into_owned<'b>(self) -> Output<'b> {
        Output { body: Cow::Owned(self.body.into_owned()), media_type: self.media_type }
    }

    /// The bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The media type; empty for the method's declared one.
    pub fn media_type(&self) -> &'static str {
        self.media_type
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns each byte around.
    #[derive(serde::Deserialize, JsonSchema)]
    struct Invert {
        /// How many, from the start.
        first: usize,
    }

    impl InPlace for Invert {
        const NAME: &'static str = "invert";

        fn run<'a>(self, call: &Call<'_>, input: &'a mut [u8]) -> Result<Output<'a>, Error> {
            assert!(call.input().is_empty());
            let (head, _) =
                input.split_at_mut_checked(self.first).ok_or_else(|| Error::invalid("there is less to invert"))?;
            head.iter_mut().for_each(|b| *b = !*b);
            Ok(Output::bytes(&*head))
        }
    }

    static MODULE: Module = Module {
        name: "m",
        windows: true,
        units: &[Unit { name: "u", doc: "", methods: &[in_place::<Invert>()] }],
        ..Module::EMPTY
    };

    #[test]
    fn a_library_call_in_place_leaves_the_callers_bytes_alone() {
        let input = [1, 2, 3];
        assert_eq!(MODULE.run("u", "invert", br#"{"first":2}"#, &input).unwrap().body(), [254, 253]);
        assert_eq!(input, [1, 2, 3]);
        assert_eq!(MODULE.run("u", "invert", br#"{"first":4}"#, &input).unwrap_err().kind(), crate::Kind::Invalid);
        assert!(MODULE.units[0].methods[0].facts.needs_input);
    }

    #[test]
    fn windows_need_the_second_abi() {
        assert_eq!((MODULE.abi(), Module::EMPTY.abi()), (2, 1));
    }
}

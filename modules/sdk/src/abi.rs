//! The guest ABI of `docs/abi.md`, versions 1 and 2: the only unsafe code of a module.
//!
//! Invariants:
//! - The node's pointers lie in memory that [`alloc`] or [`window`] handed out and
//!   that nobody else refers to.
//! - A response and its output live until the node has restored the instance,
//!   because both are leaked.

#[cfg(target_arch = "wasm32")]
use crate::codec::{self, Request};
#[cfg(target_arch = "wasm32")]
use crate::method::{Call, Module, Output};

/// Bytes in linear memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) pointer: u32,
    pub(crate) length: u32,
}

/// Alignment of everything the node writes; Cap'n Proto reads words.
#[cfg(target_arch = "wasm32")]
const ALIGN: usize = 8;

#[cfg(target_arch = "wasm32")]
#[link(wasm_import_module = "inos")]
unsafe extern "C" {
    #[link_name = "log"]
    fn inos_log(level: i32, pointer: *const u8, length: usize);
    #[link_name = "syscall"]
    fn inos_syscall(pointer: *const u8, length: usize) -> i64;
}

/// Submits a request and returns its completion. Only modules that call it import
/// `inos.syscall`.
#[cfg(target_arch = "wasm32")]
pub(crate) fn syscall(request: &[u8]) -> crate::syscall::Result<&'static [u8]> {
    // SAFETY: the node reads `length` bytes at `pointer` during the call and keeps nothing.
    let place = unsafe { inos_syscall(request.as_ptr(), request.len()) } as u64;
    Ok(given(Span { pointer: (place >> 32) as u32, length: place as u32 }))
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn syscall(_: &[u8]) -> crate::syscall::Result<&'static [u8]> {
    Err(crate::syscall::nowhere())
}

/// Bytes that the node wrote into memory from [`alloc`], for a completion.
#[cfg(target_arch = "wasm32")]
pub(crate) fn given(span: Span) -> &'static [u8] {
    // SAFETY: a completion names memory that the node had from inos_alloc, filled, and uses no more.
    unsafe { slice(span) }
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn given(_: Span) -> &'static [u8] {
    &[]
}

/// Where the node finds bytes during a system call.
pub(crate) fn lend(bytes: &[u8]) -> Span {
    if bytes.is_empty() {
        return Span::default();
    }
    Span { pointer: bytes.as_ptr().addr() as u32, length: bytes.len() as u32 }
}

/// Where the node puts bytes during a system call.
pub(crate) fn lend_mut(bytes: &mut [u8]) -> Span {
    Span { pointer: bytes.as_mut_ptr().expose_provenance() as u32, length: bytes.len() as u32 }
}

#[cfg(target_arch = "wasm32")]
pub(crate) fn log(level: i32, line: &str) {
    // SAFETY: the node reads `length` bytes at `pointer` during the call and keeps nothing.
    unsafe { inos_log(level, line.as_ptr(), line.len()) }
}

/// Serves `_initialize`: a panic's message and place go to the node's log before
/// the trap, which by itself carries neither.
#[cfg(target_arch = "wasm32")]
pub fn initialize() {
    std::panic::set_hook(Box::new(|panic| log(crate::Level::Error as i32, &panic.to_string())));
}

/// Serves `inos_alloc`: `size` writable bytes, never freed; 0 when there are none.
#[cfg(target_arch = "wasm32")]
pub fn alloc(size: i32) -> i32 {
    let size = (size as u32 as usize).max(ALIGN);
    let Ok(layout) = std::alloc::Layout::from_size_align(size, ALIGN) else { return 0 };
    // SAFETY: the layout's size is not zero.
    unsafe { std::alloc::alloc(layout) as i32 }
}

/// What a node maps has this many bytes, or a multiple.
#[cfg(target_arch = "wasm32")]
const WINDOW: usize = 64 << 10;

/// Serves `inos_window`: like [`alloc`], at a multiple of 64 KiB. `size` is one
/// too, so that nothing else lies in what the node maps over.
#[cfg(target_arch = "wasm32")]
pub fn window(size: i32) -> i32 {
    let size = size as u32 as usize;
    if size == 0 || size % WINDOW != 0 {
        return 0;
    }
    let Ok(layout) = std::alloc::Layout::from_size_align(size, WINDOW) else { return 0 };
    // SAFETY: the layout's size is not zero.
    unsafe { std::alloc::alloc(layout) as i32 }
}

/// Serves `inos_call`.
///
/// # Safety
///
/// `pointer` and `length`, and the input span inside the request, must be
/// memory from [`alloc`] or [`window`] that the node has filled and that nothing
/// else uses: who lends memory to be written does not touch it during the call.
#[cfg(target_arch = "wasm32")]
pub unsafe fn call(module: &Module, pointer: i32, length: i32) -> i64 {
    let span = Span { pointer: pointer as u32, length: length as u32 };
    // SAFETY: the caller's promise for the request.
    let bytes = unsafe { slice(span) };
    let answer = codec::decode_request(bytes)
        .map_err(|e| crate::Error::invalid(format!("the request is not readable: {e}")))
        // SAFETY: the caller's promise for the input.
        .and_then(|request| serve(module, &request, unsafe { slice_mut(request.input) }));
    let response = match answer {
        Ok(output) => {
            let media_type = output.media_type;
            codec::encode_response(Ok((leak(output), media_type)))
        }
        Err(error) => codec::encode_response(Err(&error)),
    };
    let place = span_of(response.leak());
    (i64::from(place.pointer) << 32) | i64::from(place.length)
}

#[cfg(target_arch = "wasm32")]
fn serve(module: &Module, request: &Request, input: &'static mut [u8]) -> Result<Output<'static>, crate::Error> {
    let call = Call {
        input: &[],
        input_media_type: request.input_media_type.clone(),
        input_name: request.input_name.clone(),
        output_limit: request.output_limit,
        seed: request.seed,
        submitted_unix_ms: request.submitted_unix_ms,
    };
    module.dispatch_own(&request.unit, &request.method, &request.params, call, input)
}

#[cfg(target_arch = "wasm32")]
fn leak(output: Output<'static>) -> Span {
    match output.body {
        std::borrow::Cow::Borrowed(bytes) => span_of(bytes),
        std::borrow::Cow::Owned(bytes) => span_of(bytes.leak()),
    }
}

/// # Safety
///
/// The span must be initialised memory that nobody writes while the instance
/// lives, or empty.
#[cfg(target_arch = "wasm32")]
unsafe fn slice(span: Span) -> &'static [u8] {
    if span.length == 0 {
        return &[];
    }
    let pointer = std::ptr::with_exposed_provenance(span.pointer as usize);
    // SAFETY: the caller's promise; not null because the length is not zero.
    unsafe { std::slice::from_raw_parts(pointer, span.length as usize) }
}

/// # Safety
///
/// As for [`slice`], and nobody else reads it either.
#[cfg(target_arch = "wasm32")]
unsafe fn slice_mut(span: Span) -> &'static mut [u8] {
    if span.length == 0 {
        return &mut [];
    }
    let pointer = std::ptr::with_exposed_provenance_mut(span.pointer as usize);
    // SAFETY: the caller's promise; not null because the length is not zero.
    unsafe { std::slice::from_raw_parts_mut(pointer, span.length as usize) }
}

#[cfg(target_arch = "wasm32")]
fn span_of(bytes: &'static [u8]) -> Span {
    if bytes.is_empty() {
        return Span::default();
    }
    Span { pointer: bytes.as_ptr().expose_provenance() as u32, length: bytes.len() as u32 }
}

/// Makes a [`Module`](crate::Module) callable: generates the exports of
/// `docs/abi.md` when the target is WebAssembly, and nothing elsewhere. Takes the path of
/// a `static`, once per crate.
#[macro_export]
macro_rules! module {
    ($module:path) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn _initialize() {
                $crate::abi::initialize()
            }

            #[unsafe(no_mangle)]
            extern "C" fn inos_abi() -> i32 {
                $module.abi()
            }

            #[unsafe(no_mangle)]
            extern "C" fn inos_alloc(size: i32) -> i32 {
                $crate::abi::alloc(size)
            }

            #[unsafe(no_mangle)]
            extern "C" fn inos_window(size: i32) -> i32 {
                $crate::abi::window(size)
            }

            #[unsafe(no_mangle)]
            extern "C" fn inos_call(pointer: i32, length: i32) -> i64 {
                // SAFETY: only the node calls this, with what it got from inos_alloc.
                unsafe { $crate::abi::call(&$module, pointer, length) }
            }
        };
    };
}

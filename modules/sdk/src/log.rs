//! Lines for the node's log. They never influence a result.

/// How loud a line is. The numbers are the ABI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Level {
    /// For the module's author.
    Debug = 0,
    /// For whoever reads the log.
    Info = 1,
    /// Something is odd and the result stands.
    Warning = 2,
    /// Something is broken.
    Error = 3,
}

/// Writes one line to the node's log; on other targets, to standard error. The
/// node cuts a line at 4096 bytes and a call at 256 lines.
pub fn log(level: Level, line: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::abi::log(level as i32, line);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {line}");
}

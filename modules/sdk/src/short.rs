//! The short form of a unit: [`unit!`](crate::unit).

/// Declares a unit and its methods in one place: a constant of type
/// [`Unit`](crate::Unit), and for each method a struct of its parameters with
/// the code that runs it. The crate depends on `serde` (with `derive`) and
/// `schemars`.
///
/// Of a method, in this order: doc comment, type, name, `reads [types]`,
/// `writes type`, `without input`, the parameters as fields of a struct, and the
/// body with names for parameters and call. All but doc, type, name, fields and
/// body may be left out.
///
/// ```
/// use inos_sdk::{Module, Output};
///
/// inos_sdk::unit! {
///     /// Text.
///     TEXT "text" {
///         /// Repeats the input.
///         Repeat "repeat" reads ["text/*"] writes "text/plain" {
///             /// How often.
///             times: usize,
///         } |params, call| {
///             Ok(Output::bytes(call.input().repeat(params.times)))
///         }
///
///         /// Greets.
///         Greet "greet" without input {} |_params, _call| { Ok(Output::bytes(&b"hello"[..])) }
///     }
/// }
///
/// static MODULE: Module = Module { name: "parrot", version: "1.0.0", units: &[TEXT], ..Module::EMPTY };
/// assert_eq!(MODULE.run("text", "repeat", br#"{"times":2}"#, b"ho").unwrap().body(), b"hoho");
/// ```
#[macro_export]
macro_rules! unit {
    (
        $(#[doc = $unit_doc:literal])+
        $unit:ident $unit_name:literal {
            $(
                $(#[$meta:meta])+
                $method:ident $name:literal
                $(reads [$($reads:literal),* $(,)?])?
                $(writes $writes:literal)?
                $(without $input:ident)?
                { $($fields:tt)* } |$params:ident, $call:ident| $body:block
            )+
        }
    ) => {
        $(#[doc = $unit_doc])+
        pub const $unit: $crate::Unit = $crate::Unit {
            name: $unit_name,
            doc: concat!($($unit_doc),+).trim_ascii(),
            methods: &[$($crate::method::<$method>()),+],
        };

        $(
            $(#[$meta])+
            #[derive(::serde::Deserialize, ::schemars::JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $method { $($fields)* }

            impl $crate::Method for $method {
                const NAME: &'static str = $name;
                $(const READS: &'static [&'static str] = &[$($reads),*];)?
                $(const WRITES: &'static str = $writes;)?
                $(const NEEDS_INPUT: bool = $crate::unit!(@without $input);)?

                fn run<'a>(self, $call: &$crate::Call<'a>) -> ::core::result::Result<$crate::Output<'a>, $crate::Error> {
                    let $params = self;
                    $body
                }
            }
        )+
    };
    (@without input) => { false };
}

#[cfg(test)]
mod tests {
    use crate::{Call, Kind, Module, Output};
    use std::io::{Read, Write};

    crate::unit! {
        /// Streams.
        COPY "copy" {
            /// Copies the input piece by piece.
            Through "through" writes "text/plain" {
                /// Bytes of a piece.
                #[schemars(range(min = 1))]
                piece: usize,
            } |params, call| {
                let mut out = call.writer();
                let mut input = call.reader();
                let mut piece = vec![0; params.piece];
                loop {
                    match input.read(&mut piece)? {
                        0 => return Ok(out.into()),
                        n => out.write_all(&piece[..n])?,
                    }
                }
            }

            /// Says nothing.
            Quiet "quiet" without input {} |_params, _call| { Ok(Output::default()) }
        }
    }

    static MODULE: Module = Module { name: "m", version: "1.0.0", units: &[COPY], ..Module::EMPTY };

    #[test]
    fn the_short_form_declares_all() {
        assert_eq!((COPY.name, COPY.doc), ("copy", "Streams."));
        assert_eq!(COPY.methods.iter().map(|m| m.name).collect::<Vec<_>>(), ["through", "quiet"]);
        assert_eq!(COPY.methods.iter().map(|m| m.facts.needs_input).collect::<Vec<_>>(), [true, false]);
        assert_eq!(COPY.methods[0].facts.writes, "text/plain");
    }

    #[test]
    fn streams_carry_bytes_and_keep_the_limit() {
        let out = MODULE.run("copy", "through", br#"{"piece":3}"#, b"0123456789").unwrap();
        assert_eq!(out.body(), b"0123456789");
        let call = Call { input: b"0123456789", output_limit: 9, ..Call::default() };
        let err = MODULE.dispatch("copy", "through", br#"{"piece":4}"#, &call).unwrap_err();
        assert_eq!(err.kind(), Kind::Exhausted);
    }
}

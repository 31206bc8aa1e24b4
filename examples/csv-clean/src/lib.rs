//! Cleans tables in CSV: trims, normalises, checks, and reports what it found.
#![forbid(unsafe_code)]

mod csv;

use std::io::Write;

use inos_sdk::{Error, Module, Output};
use serde::Serialize;

inos_sdk::unit! {
    /// Tables in CSV (RFC 4180) with a header, in UTF-8.
    TABLE "table" {
        /// Writes the table again: fields trimmed, inner white space single, empty
        /// and repeated rows gone, rows of the wrong width refused or dropped.
        Clean "clean" reads ["text/csv", "text/plain"] writes "text/csv" {
            /// What separates the fields of the input.
            #[serde(default = "comma")]
            #[schemars(length(min = 1, max = 1))]
            separator: String,
            /// Drop rows whose number of fields is not the header's, instead of refusing the table.
            #[serde(default)]
            drop_bad: bool,
        } |params, call| {
            let (rows, report) = clean(call.input(), separator(&params.separator)?)?;
            if let (Some(bad), false) = (report.bad.first(), params.drop_bad) {
                return Err(Error::invalid(format!("line {} has {} fields where the header has {}; correct it or set drop_bad", bad.line, bad.fields, report.columns.len())));
            }
            let mut out = call.writer();
            for row in &rows {
                csv::write(&mut out, row)?;
            }
            Ok(Output::from(out))
        }

        /// Reports what clean would change, and the type of each column.
        Report "report" reads ["text/csv", "text/plain"] writes "application/json" {
            /// What separates the fields of the input.
            #[serde(default = "comma")]
            #[schemars(length(min = 1, max = 1))]
            separator: String,
        } |params, call| {
            let (_, report) = clean(call.input(), separator(&params.separator)?)?;
            let mut out = call.writer();
            serde_json::to_writer_pretty(&mut out, &report).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
            Ok(Output::from(out))
        }
    }
}

fn comma() -> String {
    ",".into()
}

fn separator(text: &str) -> Result<u8, Error> {
    match text.as_bytes() {
        [c] if !matches!(c, b'"' | b'\n' | b'\r') => Ok(*c),
        _ => Err(Error::invalid("the separator is one ASCII character other than a quote and a line's end")),
    }
}

/// Rows of the wrong width that a report lists; the others are counted.
const MAX_BAD: usize = 100;

#[derive(Serialize)]
struct Findings {
    rows: usize,
    kept: usize,
    empty: usize,
    repeated: usize,
    trimmed_fields: usize,
    wrong_width: usize,
    bad: Vec<Bad>,
    columns: Vec<Column>,
}

#[derive(Serialize)]
struct Bad {
    line: usize,
    fields: usize,
}

#[derive(Serialize)]
struct Column {
    name: String,
    kind: &'static str,
    missing: usize,
}

/// The cleaned rows, header first, and what was found.
fn clean(input: &[u8], separator: u8) -> Result<(Vec<Vec<String>>, Findings), Error> {
    let text = std::str::from_utf8(input).map_err(|_| Error::invalid("the table is not UTF-8 text; convert it first"))?;
    let mut found =
        Findings { rows: 0, kept: 0, empty: 0, repeated: 0, trimmed_fields: 0, wrong_width: 0, bad: Vec::new(), columns: Vec::new() };
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for record in csv::Records::new(text.trim_start_matches('\u{feff}'), separator) {
        let csv::Record { line, mut fields } = record?;
        for f in &mut fields {
            let tidy = f.split_whitespace().collect::<Vec<_>>().join(" ");
            found.trimmed_fields += usize::from(tidy != *f);
            *f = tidy;
        }
        if rows.is_empty() {
            found.columns = fields.iter().map(|n| Column { name: n.clone(), kind: "empty", missing: 0 }).collect();
            rows.push(fields);
            continue;
        }
        found.rows += 1;
        if fields.iter().all(String::is_empty) {
            found.empty += 1;
        } else if fields.len() != found.columns.len() {
            found.wrong_width += 1;
            if found.bad.len() < MAX_BAD {
                found.bad.push(Bad { line, fields: fields.len() });
            }
        } else if !seen.insert(fields.clone()) {
            found.repeated += 1;
        } else {
            for (column, f) in found.columns.iter_mut().zip(&fields) {
                column.missing += usize::from(f.is_empty());
                column.kind = wider(column.kind, kind(f));
            }
            rows.push(fields);
        }
    }
    if rows.is_empty() {
        return Err(Error::invalid("the table is empty; its first line names the columns"));
    }
    found.kept = rows.len() - 1;
    Ok((rows, found))
}

fn kind(field: &str) -> &'static str {
    if field.is_empty() {
        "empty"
    } else if field.parse::<i64>().is_ok() {
        "integer"
    } else if field.parse::<f64>().is_ok() {
        "number"
    } else {
        "text"
    }
}

/// The narrowest kind that holds both.
fn wider(a: &'static str, b: &'static str) -> &'static str {
    const ORDER: [&str; 4] = ["empty", "integer", "number", "text"];
    let rank = |k| ORDER.iter().position(|o| *o == k);
    if rank(a) >= rank(b) { a } else { b }
}

/// What nodes see of this crate.
pub static MODULE: Module = Module {
    name: "csv-clean",
    version: env!("CARGO_PKG_VERSION"),
    doc: "Cleans and checks tables in CSV.",
    units: &[TABLE],
    ..Module::EMPTY
};
inos_sdk::module!(MODULE);

#[cfg(test)]
mod tests {
    use super::*;

    const MESSY: &[u8] = b"\xef\xbb\xbfname ,age\r\n  Ann   Lee ,41\n,\n\"Bob, Jr.\",7\nAnn Lee,41\nEve\n";

    #[test]
    fn a_messy_table_comes_out_clean() {
        let out = MODULE.run("table", "clean", br#"{"drop_bad":true}"#, MESSY).unwrap();
        assert_eq!(std::str::from_utf8(out.body()).unwrap(), "name,age\r\nAnn Lee,41\r\n\"Bob, Jr.\",7\r\n");
        let err = MODULE.run("table", "clean", b"{}", MESSY).unwrap_err();
        assert!(err.message().contains("line 6"), "{err}");
    }

    #[test]
    fn the_report_counts() {
        let out = MODULE.run("table", "report", b"{}", MESSY).unwrap();
        let v: serde_json::Value = serde_json::from_slice(out.body()).unwrap();
        assert_eq!((&v["rows"], &v["kept"], &v["empty"], &v["repeated"]), (&5.into(), &2.into(), &1.into(), &1.into()));
        assert_eq!((&v["columns"][0]["kind"], &v["columns"][1]["kind"]), (&"text".into(), &"integer".into()));
    }
}

//! Reading and writing CSV.
//!
//! Source: RFC 4180; lines may also end in a bare line feed.

use std::io::{self, Write};

use inos_sdk::Error;

/// One record and the line it begins on, from 1.
pub struct Record {
    pub line: usize,
    pub fields: Vec<String>,
}

/// The records of a text.
pub struct Records<'a> {
    rest: &'a str,
    separator: u8,
    line: usize,
}

impl<'a> Records<'a> {
    pub fn new(text: &'a str, separator: u8) -> Self {
        Self { rest: text, separator, line: 1 }
    }

    /// One field and whether it ends its record.
    fn field(&mut self) -> Result<(String, bool), Error> {
        if let Some(quoted) = self.rest.strip_prefix('"') {
            return self.quoted(quoted);
        }
        let end = self.rest.bytes().position(|b| b == self.separator || b == b'\n').unwrap_or(self.rest.len());
        let field = self.rest[..end].trim_end_matches('\r').to_string();
        Ok((field, self.finish(end)))
    }

    fn quoted(&mut self, body: &'a str) -> Result<(String, bool), Error> {
        let mut field = String::new();
        let mut rest = body;
        loop {
            let Some(at) = rest.find('"') else {
                return Err(Error::invalid(format!("the quote on line {} is not closed", self.line)));
            };
            field.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            match rest.strip_prefix('"') {
                Some(next) => {
                    field.push('"');
                    rest = next;
                }
                None => break,
            }
        }
        let line = self.line;
        self.line += field.matches('\n').count();
        self.rest = rest;
        let end = rest.bytes().position(|b| b == self.separator || b == b'\n').unwrap_or(rest.len());
        if !rest[..end].trim().is_empty() {
            return Err(Error::invalid(format!("on line {line} something follows a closing quote")));
        }
        Ok((field, self.finish(end)))
    }

    /// Moves past what ended a field; true when that was the record's end.
    fn finish(&mut self, end: usize) -> bool {
        let last = self.rest.as_bytes().get(end) != Some(&self.separator);
        self.rest = self.rest.get(end + 1..).unwrap_or("");
        last
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut record = Record { line: self.line, fields: Vec::new() };
        loop {
            match self.field() {
                Err(e) => {
                    self.rest = "";
                    return Some(Err(e));
                }
                Ok((field, last)) => {
                    record.fields.push(field);
                    if last {
                        self.line += 1;
                        return Some(Ok(record));
                    }
                }
            }
        }
    }
}

/// Writes one record, quoting where it must.
pub fn write(out: &mut impl Write, fields: &[String]) -> io::Result<()> {
    for (i, f) in fields.iter().enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        if f.contains(['"', ',', '\n', '\r']) {
            write!(out, "\"{}\"", f.replace('"', "\"\""))?;
        } else {
            out.write_all(f.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}

//! Tiles of the Mandelbrot set as PNG: one call draws one tile, so a mesh draws
//! a large picture in parts.
#![forbid(unsafe_code)]

use std::io::Write;

use inos_sdk::{Module, Output};

inos_sdk::unit! {
    /// Fractals.
    FRACTAL "fractal" {
        /// Draws a square tile of the Mandelbrot set as a grey PNG.
        Tile "tile" writes "image/png" without input {
            /// Tiles per side: 2 to the power of this.
            #[serde(default)]
            #[schemars(range(max = 40))]
            zoom: u32,
            /// Column of the tile, from the left.
            #[serde(default)]
            x: u64,
            /// Row of the tile, from the top.
            #[serde(default)]
            y: u64,
            /// Pixels per side.
            #[serde(default = "side")]
            #[schemars(range(min = 1, max = 2048))]
            size: u32,
            /// Steps before a point counts as inside.
            #[serde(default = "steps")]
            #[schemars(range(min = 1, max = 100000))]
            iterations: u32,
        } |params, call| {
            let tiles = 1u64 << params.zoom;
            if params.x >= tiles || params.y >= tiles {
                return Err(inos_sdk::Error::invalid(format!("at zoom {} there are {tiles} tiles a side, counted from 0", params.zoom)));
            }
            let mut out = call.writer();
            out.write_all(&png(params.size, &params.draw()))?;
            Ok(Output::from(out))
        }
    }
}

fn side() -> u32 {
    256
}

fn steps() -> u32 {
    500
}

impl Tile {
    /// One byte a pixel. Only additions, multiplications and divisions of
    /// doubles, which every host rounds alike.
    fn draw(&self) -> Vec<u8> {
        let size = f64::from(self.size);
        let width = 4.0 / (1u64 << self.zoom) as f64;
        let (left, top) = (self.x as f64 * width - 2.0, self.y as f64 * width - 2.0);
        let mut pixels = Vec::with_capacity((self.size * self.size) as usize);
        for row in 0..self.size {
            let im = top + (f64::from(row) + 0.5) * width / size;
            for column in 0..self.size {
                let re = left + (f64::from(column) + 0.5) * width / size;
                pixels.push(shade(escape(re, im, self.iterations), self.iterations));
            }
        }
        pixels
    }
}

/// Steps until the point leaves the circle of radius 2; `limit` when it stays.
fn escape(re: f64, im: f64, limit: u32) -> u32 {
    let (mut x, mut y) = (0.0, 0.0);
    for n in 0..limit {
        let (xx, yy) = (x * x, y * y);
        if xx + yy > 4.0 {
            return n;
        }
        y = 2.0 * x * y + im;
        x = xx - yy + re;
    }
    limit
}

/// Black inside, brighter the closer to the border.
fn shade(n: u32, limit: u32) -> u8 {
    if n == limit { 0 } else { 255 - (n % 64 * 3) as u8 }
}

/// An 8-bit grey PNG with stored (uncompressed) data, so that it needs no library.
///
/// Source: PNG specification, third edition; RFC 1950 and 1951.
fn png(size: u32, pixels: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(pixels.len() + size as usize);
    for row in pixels.chunks(size as usize) {
        raw.push(0); // filter: none
        raw.extend_from_slice(row);
    }
    let mut zlib = vec![0x78, 0x01];
    let blocks = raw.len().div_ceil(0xffff);
    for (i, block) in raw.chunks(0xffff).enumerate() {
        zlib.push(u8::from(i + 1 == blocks));
        zlib.extend_from_slice(&(block.len() as u16).to_le_bytes());
        zlib.extend_from_slice(&(!(block.len() as u16)).to_le_bytes());
        zlib.extend_from_slice(block);
    }
    zlib.extend_from_slice(&adler32(&raw).to_be_bytes());

    let mut header = Vec::new();
    header.extend_from_slice(&size.to_be_bytes());
    header.extend_from_slice(&size.to_be_bytes());
    header.extend_from_slice(&[8, 0, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut out, b"IHDR", &header);
    chunk(&mut out, b"IDAT", &zlib);
    chunk(&mut out, b"IEND", b"");
    out
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend_from_slice(kind);
    out.extend_from_slice(data);
    let crc = crc32(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

fn crc32(data: &[u8]) -> u32 {
    let mut table = [0u32; 256];
    for (i, entry) in (0u32..).zip(table.iter_mut()) {
        *entry = (0..8).fold(i, |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 });
    }
    !data.iter().fold(!0, |c, &b| table[((c ^ u32::from(b)) & 0xff) as usize] ^ (c >> 8))
}

fn adler32(data: &[u8]) -> u32 {
    let (mut a, mut b) = (1u32, 0u32);
    for &x in data {
        a = (a + u32::from(x)) % 65521;
        b = (b + a) % 65521;
    }
    b << 16 | a
}

/// What nodes see of this crate.
pub static MODULE: Module = Module {
    name: "mandelbrot",
    version: env!("CARGO_PKG_VERSION"),
    doc: "Draws the Mandelbrot set, tile by tile.",
    units: &[FRACTAL],
    ..Module::EMPTY
};
inos_sdk::module!(MODULE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_inside_and_the_corner_is_not() {
        assert_eq!(escape(0.0, 0.0, 100), 100);
        assert_eq!(escape(-1.0, 0.0, 100), 100);
        assert!(escape(-2.0, -2.0, 100) < 3);
    }

    #[test]
    fn checksums_are_the_published_ones() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn a_tile_outside_is_refused() {
        assert!(MODULE.run("fractal", "tile", br#"{"zoom":1,"x":2}"#, b"").is_err());
        let tile = MODULE.run("fractal", "tile", br#"{"size":16}"#, b"").unwrap();
        assert_eq!(&tile.body()[1..4], b"PNG");
    }
}

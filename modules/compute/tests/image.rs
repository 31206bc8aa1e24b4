//! The image unit on real and on broken pictures.

mod common;

use common::{fixture, info, pixels, run};
use inos_sdk::Kind;

fn size(output: &[u8]) -> (u64, u64) {
    let report = info(output);
    (report["width"].as_u64().unwrap(), report["height"].as_u64().unwrap())
}

#[test]
fn info_tells_what_is_shown() {
    let photo = info(&fixture("photo.jpg"));
    assert_eq!(photo["format"], "jpeg");
    assert_eq!((&photo["width"], &photo["height"], &photo["orientation"]), (&480.into(), &320.into(), &6.into()));
    let glow = info(&fixture("glow.png"));
    assert_eq!((&glow["format"], &glow["color"], &glow["bits"]), (&"png".into(), &"rgba".into(), &8.into()));
    assert_eq!(info(&fixture("lossy.webp"))["format"], "webp");
}

#[test]
fn every_format_becomes_every_format() {
    for name in ["photo.jpg", "glow.png", "lossy.webp"] {
        let input = fixture(name);
        for format in ["jpeg", "png", "webp"] {
            let (out, media_type) = run("convert", &format!(r#"{{"format":"{format}"}}"#), &input).unwrap();
            assert_eq!(media_type, format!("image/{format}"));
            assert_eq!(info(&out)["format"], format, "{name}");
            assert_eq!(info(&out)["orientation"], 1);
            assert_eq!(size(&out), size(&input), "{name} to {format}");
        }
    }
}

#[test]
fn lossless_formats_lose_nothing() {
    let glow = image::load_from_memory(&fixture("glow.png")).unwrap();
    for format in ["png", "webp"] {
        let (out, _) = run("convert", &format!(r#"{{"format":"{format}"}}"#), &fixture("glow.png")).unwrap();
        assert_eq!(image::load_from_memory(&out).unwrap(), glow, "{format}");
    }
}

#[test]
fn the_photo_is_turned_upright() {
    let (turned, _) = run("convert", r#"{"format":"png"}"#, &fixture("photo.jpg")).unwrap();
    let mut stored = fixture("photo.jpg");
    let exif = stored.windows(4).position(|w| w == b"Exif").unwrap();
    // Orientation 6 becomes 1: the entry's value, 18 bytes into the TIFF header.
    stored[exif + 6 + 18] = 1;
    assert_eq!(pixels(&turned), pixels(&stored).rotate90());
}

#[test]
fn quality_buys_size() {
    let at =
        |q: u32| run("convert", &format!(r#"{{"format":"jpeg","quality":{q}}}"#), &fixture("photo.jpg")).unwrap().0;
    let (low, high) = (at(30), at(95));
    assert!(low.len() * 2 < high.len(), "{} {}", low.len(), high.len());
}

#[test]
fn thumbnails() {
    let photo = fixture("photo.jpg");
    let (out, media_type) = run("thumbnail", r#"{"width":120}"#, &photo).unwrap();
    assert_eq!((media_type, size(&out)), ("image/jpeg", (120, 80)));
    let (out, _) = run("thumbnail", r#"{"width":120,"height":40}"#, &photo).unwrap();
    assert_eq!(size(&out), (60, 40));
    let (out, media_type) = run("thumbnail", r#"{"width":1000,"format":"same"}"#, &fixture("glow.png")).unwrap();
    assert_eq!((media_type, size(&out)), ("image/png", (96, 64)), "never grows");
}

#[test]
fn shrinking_on_load_looks_like_shrinking_after() {
    let photo = fixture("photo.jpg");
    let (small, _) = run("thumbnail", r#"{"width":60,"format":"png"}"#, &photo).unwrap();
    let (whole, _) = run("convert", r#"{"format":"png"}"#, &photo).unwrap();
    let (after, _) = run("resize", r#"{"width":60}"#, &whole).unwrap();
    let (a, b) = (pixels(&small).into_rgb8(), pixels(&after).into_rgb8());
    let error: u64 = a.iter().zip(b.iter()).map(|(x, y)| u64::from(x.abs_diff(*y))).sum();
    assert!(error < 4 * a.len() as u64, "mean difference {} of 255", error as f64 / a.len() as f64);
}

#[test]
fn resizing() {
    let table = [
        (r#"{"width":50}"#, (50, 33)),
        (r#"{"height":640}"#, (960, 640)),
        (r#"{"width":100,"height":100}"#, (100, 67)),
        (r#"{"width":100,"height":100,"fit":"cover"}"#, (100, 100)),
        (r#"{"width":7,"height":100,"fit":"stretch","filter":"nearest"}"#, (7, 100)),
        (r#"{"width":64,"filter":"catmull-rom","format":"webp"}"#, (64, 43)),
    ];
    for (params, want) in table {
        assert_eq!(size(&run("resize", params, &fixture("photo.jpg")).unwrap().0), want, "{params}");
    }
    assert_eq!(run("resize", "{}", &fixture("photo.jpg")).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn grayscale_has_no_color() {
    let (out, media_type) = run("grayscale", "{}", &fixture("photo.jpg")).unwrap();
    assert_eq!((media_type, info(&out)["color"].as_str()), ("image/jpeg", Some("gray")));
    let (out, _) = run("grayscale", "{}", &fixture("glow.png")).unwrap();
    assert_eq!(info(&out)["color"], "gray-alpha");
}

#[test]
fn blur_smooths() {
    let roughness = |png: &[u8]| {
        let p = pixels(png).into_luma8();
        let row = |y| (0..p.width()).map(move |x| (x, y));
        (0..p.height())
            .flat_map(row)
            .filter(|&(x, _)| x > 0)
            .map(|(x, y)| u64::from(p[(x, y)].0[0].abs_diff(p[(x - 1, y)].0[0])))
            .sum::<u64>()
    };
    let (sharp, _) = run("convert", r#"{"format":"png"}"#, &fixture("photo.jpg")).unwrap();
    let mut last = roughness(&sharp);
    for sigma in ["0.8", "1.9", "2.5", "9"] {
        let (out, _) = run("blur", &format!(r#"{{"sigma":{sigma},"format":"png"}}"#), &fixture("photo.jpg")).unwrap();
        let now = roughness(&out);
        assert!(now < last, "sigma {sigma}: {now} after {last}");
        last = now;
    }
    assert_eq!(run("blur", r#"{"sigma":0}"#, &sharp).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn transparency_becomes_white() {
    let (out, _) = run("convert", r#"{"format":"jpeg","quality":100}"#, &fixture("glow.png")).unwrap();
    let corner = pixels(&out).into_rgb8()[(0, 0)];
    assert!(corner.0.iter().all(|&c| c > 250), "{corner:?}");
}

#[test]
fn what_is_not_a_picture_is_refused() {
    for (input, kind) in [
        (&b""[..], Kind::Invalid),
        (b"hello, world, this is not a picture", Kind::Invalid),
        (b"\x89PNG\r\n\x1a\n and then nothing of the sort", Kind::Invalid),
        (b"\xff\xd8\xff\xe0 hardly", Kind::Invalid),
        (b"RIFF\x10\0\0\0WEBPVP8 ", Kind::Invalid),
        (b"GIF89a\x01\0\x01\0", Kind::Unsupported),
    ] {
        for method in ["info", "thumbnail", "grayscale"] {
            let error = run(method, "{}", input).unwrap_err();
            assert_eq!(error.kind(), kind, "{method} {input:?}: {error}");
        }
    }
}

#[test]
fn bombs_do_not_go_off() {
    // A PNG of 60,000 by 60,000 pixels in 57 bytes: signature, IHDR, empty IDAT, IEND.
    let mut bomb = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |name: &[u8; 4], data: &[u8]| {
        bomb.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let named: Vec<u8> = name.iter().chain(data).copied().collect();
        bomb.extend_from_slice(&named);
        bomb.extend_from_slice(&crc32(&named).to_be_bytes());
    };
    chunk(b"IHDR", &[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60, 8, 2, 0, 0, 0]);
    chunk(b"IDAT", &[]);
    chunk(b"IEND", &[]);
    for method in ["info", "thumbnail", "blur"] {
        let error = run(method, "{}", &bomb).unwrap_err();
        assert_eq!(error.kind(), Kind::Exhausted, "{error}");
        assert!(error.message().contains("60000 x 60000"), "{error}");
    }
    // The same in a JPEG's header.
    let mut jpeg = fixture("photo.jpg");
    let sof = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[sof + 5..sof + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    assert_eq!(run("thumbnail", "{}", &jpeg).unwrap_err().kind(), Kind::Exhausted);
    // And asked for by parameters.
    let huge = run("resize", r#"{"width":16384,"height":16384,"fit":"stretch"}"#, &fixture("glow.png")).unwrap_err();
    assert_eq!(huge.kind(), Kind::Exhausted);
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
    })
}

/// Damage in every place: an error or a picture, never a panic.
#[test]
fn damage_is_survived() {
    for name in ["photo.jpg", "glow.png", "lossy.webp"] {
        let good = fixture(name);
        let mut state = 1u32;
        for round in 0..300 {
            let mut bad = good.clone();
            for _ in 0..=round % 4 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % bad.len();
                bad[at] ^= 1 << (state & 7);
            }
            if round % 5 == 0 {
                bad.truncate((state >> 9) as usize % bad.len());
            }
            let _ = run("thumbnail", r#"{"width":40,"format":"png"}"#, &bad);
        }
    }
}

#[test]
fn color_profiles_stay() {
    let profile = vec![7u8; 300];
    let gray = image::RgbImage::from_pixel(9, 9, image::Rgb([1, 2, 3]));
    let mut png = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
    image::ImageEncoder::set_icc_profile(&mut encoder, profile).unwrap();
    gray.write_with_encoder(encoder).unwrap();
    for format in ["jpeg", "png", "webp"] {
        let (out, _) = run("convert", &format!(r#"{{"format":"{format}"}}"#), &png).unwrap();
        assert_eq!(info(&out)["profile"], true, "{format}");
    }
    let (out, _) = run("grayscale", "{}", &png).unwrap();
    assert_eq!(info(&out)["profile"], false);
}

//! Pictures that have to fit, looked at again.

use std::sync::OnceLock;

use image::codecs::gif::GifEncoder;
use image::{
    DynamicImage, Frame, ImageEncoder, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage, load_from_memory,
};

use crate::scene::{SECRET, photo, scene, similarity};
use crate::{AdaptError, Fitted, Format, Formats, Limits, Picture, fit, probe};

const WRITTEN: [Format; 3] = [Format::Jpeg, Format::Png, Format::Gif];

fn limits(octets: usize) -> Limits {
    let formats = Formats::from_iter(WRITTEN);
    Limits { octets, width: None, height: None, formats, decoded_pixels: 25_000_000 }
}

fn fitted(octets: &[u8], limits: &Limits) -> Picture {
    let Fitted::New(picture) = fit(octets, limits).unwrap() else { panic!("it fits as it is") };
    assert!(picture.octets.len() <= limits.octets, "{} octets", picture.octets.len());
    let told = probe(&picture.octets).unwrap();
    assert_eq!((told.format, told.width, told.height), (picture.format, picture.width, picture.height));
    assert!(limits.admit(&told, picture.octets.len()));
    picture
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// Twelve megapixels in six megabytes.
fn large() -> &'static (DynamicImage, Vec<u8>) {
    static LARGE: OnceLock<(DynamicImage, Vec<u8>)> = OnceLock::new();
    LARGE.get_or_init(|| {
        let image = scene(4000, 3000);
        let octets = photo(&image, 96, 1);
        assert!((5_500_000..7_000_000).contains(&octets.len()), "{}", octets.len());
        (image.into(), octets)
    })
}

#[test]
fn twelve_megapixels_go_to_small_and_large_carriers_and_look_good() {
    let (original, octets) = large();
    for (room, least_pixels, least_figure) in [(218_000, 1_000_000, 0.95), (745_000, 4_000_000, 0.9)] {
        let picture = fitted(octets, &limits(room));
        let figure = similarity(original, &load_from_memory(&picture.octets).unwrap());
        println!(
            "{room}: {} octets, {} by {}, {figure:.3}",
            picture.octets.len(),
            picture.width,
            picture.height
        );
        assert!(picture.octets.len() > room / 10 * 8, "room is left unused: {}", picture.octets.len());
        assert!(picture.width * picture.height > least_pixels, "{} by {}", picture.width, picture.height);
        assert!(figure > least_figure, "similarity {figure}");
    }
}

#[test]
fn what_is_alike_is_told_from_what_is_not() {
    let picture = DynamicImage::from(scene(400, 300));
    assert!(similarity(&picture, &picture) > 0.999);
    let bad = load_from_memory(&photo(&scene(400, 300), 5, 1)).unwrap();
    let blurred = picture.blur(3.0);
    let inverted = DynamicImage::from(RgbImage::from_fn(400, 300, |x, y| {
        Rgb(picture.to_rgb8().get_pixel(x, y).0.map(|colour| 255 - colour))
    }));
    for (what, other) in [("coarse", bad), ("blurred", blurred), ("inverted", inverted)] {
        let figure = similarity(&picture, &other);
        assert!(figure < 0.8, "{what}: {figure}");
    }
}

#[test]
fn what_fits_is_left_alone_to_the_octet() {
    let octets = photo(&scene(320, 240), 80, 6);
    assert_eq!(fit(&octets, &limits(octets.len())).unwrap(), Fitted::AsItIs);
    let exact = Limits { width: Some(320), height: Some(240), ..limits(octets.len()) };
    assert_eq!(fit(&octets, &exact).unwrap(), Fitted::AsItIs);
    for tight in [
        limits(octets.len() - 1),
        Limits { width: Some(319), ..exact },
        Limits { height: Some(239), ..exact },
        Limits { formats: Formats::from_iter([Format::Png]), octets: 1 << 20, ..exact },
    ] {
        fitted(&octets, &tight);
    }
}

#[test]
fn the_same_limits_give_the_same_octets() {
    let octets = photo(&scene(800, 600), 90, 1);
    assert_eq!(fitted(&octets, &limits(30_000)), fitted(&octets, &limits(30_000)));
}

#[test]
fn pictures_are_turned_and_metadata_are_gone() {
    // Stored: red on the left, blue on the right.
    let stored =
        RgbImage::from_fn(400, 200, |x, _| if x < 200 { Rgb([220, 20, 20]) } else { Rgb([20, 20, 220]) });
    // Orientation: where (across, down) red is to be seen, and whether the picture is then upright.
    for (orientation, red, upright) in
        [(1, (0, 0), false), (3, (1, 0), false), (6, (0, 0), true), (8, (0, 1), true), (5, (0, 0), true)]
    {
        let octets = photo(&stored, 95, orientation);
        assert!(octets.windows(SECRET.len()).any(|window| window == SECRET));
        let picture = fitted(&octets, &Limits { width: Some(90), height: Some(90), ..limits(1 << 20) });
        let size = if upright { (45, 90) } else { (90, 45) };
        assert_eq!((picture.width, picture.height), size, "orientation {orientation}");
        let seen = load_from_memory(&picture.octets).unwrap().into_rgb8();
        let at =
            seen.get_pixel(if red.0 == 1 { size.0 - 3 } else { 2 }, if red.1 == 1 { size.1 - 3 } else { 2 });
        assert!(at[0] > 180 && at[2] < 80, "orientation {orientation}: {at:?}");
        assert!(!picture.octets.windows(4).any(|window| window == b"Exif" || window == b"take"));
    }
}

#[test]
fn a_small_colour_profile_stays_and_one_for_other_colours_goes() {
    for (space, stays) in [(b"RGB ", true), (b"CMYK", false), (b"GRAY", false)] {
        let mut profile = vec![7; 500];
        profile[16..20].copy_from_slice(space);
        let mut octets = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut octets, 95);
        encoder.set_icc_profile(profile.clone()).unwrap();
        encoder.encode_image(&scene(400, 300)).unwrap();
        let picture = fitted(&octets, &limits(20_000));
        let kept = picture.octets.windows(profile.len()).any(|window| window == profile);
        assert_eq!(kept, stays, "{space:?}");
    }
}

#[test]
fn bombs_are_refused_by_their_first_octets() {
    let mut png = encoded(RgbImage::new(1, 1), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    let sum = crc(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&sum);
    let mut gif = encoded(RgbImage::new(1, 1), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0x50, 0xc3, 0x50, 0xc3]);
    let mut jpeg = photo(&RgbImage::new(8, 8), 50, 1);
    let frame = jpeg.windows(2).position(|window| window == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xc3, 0x50, 0xc3, 0x50]);
    for bomb in [png, gif, jpeg] {
        let refused = fit(&bomb, &limits(100)).unwrap_err();
        assert_eq!(refused, AdaptError::TooManyPixels { width: 50_000, height: 50_000, limit: 25_000_000 });
        let words = refused.to_string();
        assert!(words.contains("2500000000") && words.contains("25000000"), "{words}");
    }
}

/// The check sum of PNG chunks (PNG annex D).
fn crc(octets: &[u8]) -> u32 {
    !octets.iter().fold(!0, |sum, octet| {
        (0..8).fold(sum ^ u32::from(*octet), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

#[test]
fn what_is_no_picture_or_damaged_is_said_so() {
    for nothing in [
        &b""[..],
        b"hello",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF    WEBP",
    ] {
        assert_eq!(fit(nothing, &limits(0)), Err(AdaptError::NotAPicture), "{nothing:?}");
        assert_eq!(probe(nothing), Err(AdaptError::NotAPicture));
    }
    let png = encoded(scene(100, 100), ImageFormat::Png);
    assert!(matches!(fit(&png[..png.len() / 2], &limits(5_000)), Err(AdaptError::Damaged(_))));
    let tight = Limits { formats: Formats::default(), ..limits(5_000) };
    assert_eq!(fit(&png, &tight), Err(AdaptError::NoFormat));
    assert_eq!(fit(&png, &limits(300)), Err(AdaptError::TooSmall { octets: 300 }));
}

/// A disc with a soft edge on nothing.
fn disc(side: u32) -> RgbaImage {
    let noise = scene(side, side);
    RgbaImage::from_fn(side, side, |x, y| {
        let middle = side as f32 / 2.0;
        let inside = 1.0 - (x as f32 - middle).hypot(y as f32 - middle) / middle;
        let [red, green, blue] = noise.get_pixel(x, y).0;
        Rgba([red, green, blue, (inside * 400.0).clamp(0.0, 255.0) as u8])
    })
}

#[test]
fn transparency_stays_while_it_fits_and_is_put_on_white_then() {
    let octets = encoded(disc(600), ImageFormat::Png);
    let kept = fitted(&octets, &limits(octets.len() / 2));
    assert_eq!(kept.format, Format::Png);
    assert!(kept.width >= 300, "{}", kept.width);
    let seen = load_from_memory(&kept.octets).unwrap().into_rgba8();
    assert_eq!(seen.get_pixel(1, 1)[3], 0);
    assert_eq!(seen.get_pixel(kept.width / 2, kept.height / 2)[3], 255);
    let flat = fitted(&octets, &limits(octets.len() / 20));
    assert_eq!(flat.format, Format::Jpeg);
    let seen = load_from_memory(&flat.octets).unwrap().into_rgb8();
    assert!(seen.get_pixel(2, 2).0.iter().all(|colour| *colour > 245), "{:?}", seen.get_pixel(2, 2));
    let only_png = Limits { formats: Formats::from_iter([Format::Png]), ..limits(octets.len() / 20) };
    assert_eq!(fitted(&octets, &only_png).format, Format::Png);
}

#[test]
fn flat_drawings_stay_without_loss() {
    let drawing =
        RgbImage::from_fn(
            1000,
            800,
            |x, y| if (x / 50 + y / 50) % 2 == 0 { Rgb([0; 3]) } else { Rgb([255; 3]) },
        );
    let octets = encoded(drawing, ImageFormat::Png);
    let picture = fitted(&octets, &Limits { width: Some(500), height: Some(500), ..limits(100_000) });
    assert_eq!((picture.format, picture.width, picture.height), (Format::Png, 500, 400));
}

#[test]
fn of_an_animation_the_first_frame_remains() {
    let mut octets = Vec::new();
    let mut encoder = GifEncoder::new(&mut octets);
    for colour in [[200, 30, 30, 255], [30, 200, 30, 255], [30, 30, 200, 255]] {
        encoder.encode_frame(Frame::new(RgbaImage::from_pixel(300, 200, Rgba(colour)))).unwrap();
    }
    drop(encoder);
    assert_eq!(fit(&octets, &limits(octets.len())).unwrap(), Fitted::AsItIs, "it moves while it fits");
    let picture = fitted(&octets, &Limits { width: Some(150), ..limits(octets.len()) });
    assert_eq!((picture.width, picture.height), (150, 100));
    let seen = load_from_memory(&picture.octets).unwrap().into_rgb8();
    assert!(seen.get_pixel(75, 50)[0] > 180, "{:?}", seen.get_pixel(75, 50));
}

#[test]
fn every_type_is_read_and_only_types_that_are_taken_are_written() {
    let image = scene(300, 200);
    let webp = encoded(image.clone(), ImageFormat::WebP);
    let inputs = [
        webp.clone(),
        encoded(image.clone(), ImageFormat::Png),
        encoded(image.clone(), ImageFormat::Gif),
        encoded(DynamicImage::from(image.clone()).into_luma16(), ImageFormat::Png),
        encoded(DynamicImage::from(image.clone()).into_luma_alpha16(), ImageFormat::Png),
        photo(&image, 90, 1),
    ];
    for input in &inputs {
        for format in WRITTEN {
            let limits = Limits { formats: Formats::from_iter([format]), width: Some(299), ..limits(20_000) };
            let picture = fitted(input, &limits);
            assert_eq!(picture.format, format);
            let seen = load_from_memory(&picture.octets).unwrap();
            let figure = similarity(&DynamicImage::from(image.clone()), &seen);
            assert!(figure > 0.45, "{format:?} from {:?}: {figure}", &input[..4]);
        }
    }
    let only_webp = Limits { formats: Formats::from_iter([Format::WebP]), ..limits(webp.len() - 1) };
    assert_eq!(fit(&webp, &only_webp), Err(AdaptError::NoFormat));
}

#[test]
fn hostile_octets_end_in_an_error() {
    let good = [
        photo(&scene(64, 48), 70, 6),
        encoded(disc(40), ImageFormat::Png),
        encoded(disc(40), ImageFormat::Gif),
        encoded(disc(40), ImageFormat::WebP),
    ];
    let mut seed = 1u32;
    for octets in &good {
        for _ in 0..300 {
            let mut bad = octets.clone();
            for _ in 0..4 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (seed >> 8) as usize % bad.len();
                bad[at] = seed as u8;
            }
            let small = Limits { decoded_pixels: 1_000_000, width: Some(20), ..limits(4_000) };
            if let Ok(Fitted::New(picture)) = fit(&bad, &small) {
                assert!(picture.octets.len() <= 4_000 && picture.width <= 20);
            }
        }
    }
}

/// A PNG chunk with its check sum.
fn chunk(kind: &[u8; 4], octets: &[u8]) -> Vec<u8> {
    let body = [&kind[..], octets].concat();
    [&u32::try_from(octets.len()).unwrap().to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
}

/// A zlib stream of so many zeros. It is made of stored blocks, which is enough: what counts is that more comes out of it
/// than a reader may hold for that picture.
fn stored(octets: usize) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut left = octets;
    while left > 0 {
        let size = u16::try_from(left.min(65_535)).unwrap();
        left -= usize::from(size);
        out.push(u8::from(left == 0));
        out.extend(size.to_le_bytes());
        out.extend((!size).to_le_bytes());
        out.extend(std::iter::repeat_n(0, usize::from(size)));
    }
    // The check sum of zeros: one, and their number.
    let sum = u32::try_from(octets % 65_521).unwrap() << 16 | 1;
    out.extend(sum.to_be_bytes());
    out
}

/// More octets than the picture has pixels, hidden in what describes it or in what is behind its last row.
#[test]
fn what_is_packed_beyond_the_pixels_is_not_unpacked() {
    let png = encoded(scene(60, 40), ImageFormat::Png);
    let (head, rest) = png.split_at(33);
    let flood = stored(4 << 20);
    for (name, hidden) in [
        ("profile", chunk(b"iCCP", &[b"p\0\0".as_slice(), &flood].concat())),
        ("comment", chunk(b"zTXt", &[b"Comment\0\0".as_slice(), &flood].concat())),
        ("international comment", chunk(b"iTXt", &[b"Comment\0\x01\0\0\0".as_slice(), &flood].concat())),
    ] {
        let bomb = [head, &hidden, rest].concat();
        let limits = Limits { width: Some(30), ..limits(20_000) };
        match fit(&bomb, &limits) {
            Ok(Fitted::New(picture)) => assert!(picture.octets.len() <= 20_000, "{name}"),
            Ok(Fitted::AsItIs) => panic!("{name}: it is too wide"),
            Err(error) => {
                assert!(matches!(error, AdaptError::Damaged(_) | AdaptError::NotAPicture), "{name}: {error}");
            }
        }
    }
    let rows = chunk(b"IDAT", &flood);
    let long = [head, &rows, &chunk(b"IEND", b"")].concat();
    let result = fit(&long, &Limits { width: Some(30), ..limits(20_000) });
    assert!(result.is_ok() || matches!(result, Err(AdaptError::Damaged(_))), "{result:?}");
}

/// A canvas of a few pixels and a frame that is far larger, or thousands of frames.
#[test]
fn frames_do_not_multiply_the_work() {
    let mut gif = encoded(RgbImage::new(40, 30), ImageFormat::Gif);
    let frame = gif.iter().position(|octet| *octet == b',').unwrap();
    gif[frame + 5..frame + 9].copy_from_slice(&[0x50, 0xc3, 0x50, 0xc3]);
    let small = Limits { width: Some(20), ..limits(10_000) };
    let result = fit(&gif, &small);
    assert!(
        result.is_ok() || matches!(result, Err(AdaptError::Damaged(_) | AdaptError::TooManyPixels { .. }))
    );
    let mut many = Vec::new();
    let mut encoder = GifEncoder::new(&mut many);
    for shade in 0..500_u16 {
        let colour = Rgba([shade.to_le_bytes()[0], 0, 0, 255]);
        encoder.encode_frame(Frame::new(RgbaImage::from_pixel(200, 100, colour))).unwrap();
    }
    drop(encoder);
    let begun = std::time::Instant::now();
    assert!(matches!(fit(&many, &small), Ok(Fitted::New(_))));
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(20),
        "all frames were decoded: {:?}",
        begun.elapsed()
    );
}

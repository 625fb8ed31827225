//! Pictures for tests, made by code: a landscape with fine detail, and a figure of how alike two pictures are.

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, Rgb, RgbImage};

/// A sky with a sun, hills with grass, a wall with windows, a board with writing, and the noise of a sensor.
pub(crate) fn scene(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
        let noise = (hash(x, y) % 11) as f32 - 5.0;
        Rgb(shade(u, v).map(|colour| (colour + noise).clamp(0.0, 255.0) as u8))
    })
}

fn shade(u: f32, v: f32) -> [f32; 3] {
    if (0.08..0.42).contains(&u) && (0.55..0.9).contains(&v) {
        return board((u - 0.08) / 0.34, (v - 0.55) / 0.35);
    }
    if (0.6..0.85).contains(&u) && (0.3..0.8).contains(&v) {
        return wall((u - 0.6) / 0.25, (v - 0.3) / 0.5);
    }
    let hill = 0.55 + 0.08 * (u * 9.0).sin() + 0.03 * (u * 31.0).sin();
    if v > hill {
        let grass = texture(u * 400.0, v * 300.0) + texture(u * 1600.0, v * 900.0) * 0.5;
        return [40.0 + grass * 60.0, 90.0 + grass * 90.0, 30.0 + grass * 30.0];
    }
    let sun = (1.0 - ((u - 0.3).hypot(v - 0.2) / 0.25)).max(0.0).powi(2);
    [90.0 + v * 120.0 + sun * 160.0, 150.0 + v * 90.0 + sun * 100.0, 235.0 - v * 30.0 + sun * 20.0]
}

/// Rows of letters that nobody can read: dark cells of a grid.
fn board(u: f32, v: f32) -> [f32; 3] {
    let (column, row) = (u * 120.0, v * 80.0);
    let in_line = (row as u32) % 8 < 6 && (column as u32) % 6 < 5 && (0.05..0.95).contains(&u);
    let ink = in_line && hash(column as u32, row as u32) % 5 < 2;
    if ink { [25.0, 20.0, 35.0] } else { [245.0, 240.0, 225.0] }
}

fn wall(u: f32, v: f32) -> [f32; 3] {
    let (column, row) = ((u * 5.0).fract(), (v * 8.0).fract());
    if (0.25..0.75).contains(&column) && (0.2..0.8).contains(&row) {
        return [60.0 + 120.0 * row, 80.0 + 110.0 * row, 110.0 + 100.0 * row];
    }
    let brick = ((v * 160.0).fract() < 0.12 || (u * 60.0 + (v * 160.0).floor() * 0.5).fract() < 0.06) as u8;
    let stain = texture(u * 80.0, v * 120.0) * 35.0;
    [170.0 - stain + f32::from(brick) * 30.0, 85.0 - stain + f32::from(brick) * 90.0, 70.0 - stain * 0.5]
}

/// Smooth noise between 0 and 1.
fn texture(x: f32, y: f32) -> f32 {
    let corner = |dx: u32, dy: u32| (hash(x as u32 + dx, y as u32 + dy) % 256) as f32 / 255.0;
    let (u, v) = (x.fract(), y.fract());
    let upper = corner(0, 0) * (1.0 - u) + corner(1, 0) * u;
    let lower = corner(0, 1) * (1.0 - u) + corner(1, 1) * u;
    upper * (1.0 - v) + lower * v
}

fn hash(x: u32, y: u32) -> u32 {
    let mut mixed = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77);
    mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2c1b_3c6d);
    mixed = (mixed ^ (mixed >> 12)).wrapping_mul(0x297a_2d39);
    mixed ^ (mixed >> 15)
}

/// A JPEG as a phone makes it: with a preview-free EXIF block that says where it was taken, and `orientation`.
pub(crate) fn photo(image: &RgbImage, quality: u8, orientation: u8) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut octets, quality);
    encoder.set_exif_metadata(exif(orientation)).unwrap();
    encoder.encode(image, image.width(), image.height(), ExtendedColorType::Rgb8).unwrap();
    octets
}

/// TIFF, big-endian: orientation (tag 0x0112) and an artist (tag 0x013b).
fn exif(orientation: u8) -> Vec<u8> {
    let mut tiff = b"MM\0\x2a\0\0\0\x08\0\x02".to_vec();
    tiff.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    tiff.extend([0x01, 0x3b, 0, 2, 0, 0, 0, SECRET.len() as u8, 0, 0, 0, 38]);
    tiff.extend([0; 4]);
    tiff.extend(SECRET);
    tiff
}

/// What must not leave the house with a picture that was changed.
pub(crate) const SECRET: &[u8] = b"taken at 47.3769 N 8.5417 E\0";

/// How alike two pictures are, from 0 to 1: mean structural similarity of their brightness in windows of 8 by 8
/// (Wang et al. 2004), the first one scaled to the size of the second.
pub(crate) fn similarity(original: &DynamicImage, picture: &DynamicImage) -> f64 {
    let (width, height) = (picture.width(), picture.height());
    let original = original.resize_exact(width, height, FilterType::Lanczos3).into_luma8();
    let picture = picture.to_luma8();
    let (mut sum, mut windows) = (0.0, 0.0);
    for top in (0..height - 7).step_by(4) {
        for left in (0..width - 7).step_by(4) {
            let window = (0..64).map(|at| (left + at % 8, top + at / 8));
            sum += alike(window.map(|(x, y)| (original.get_pixel(x, y)[0], picture.get_pixel(x, y)[0])));
            windows += 1.0;
        }
    }
    sum / windows
}

fn alike(window: impl Iterator<Item = (u8, u8)>) -> f64 {
    let (mut a, mut b, mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, y) in window {
        let (x, y) = (f64::from(x), f64::from(y));
        (a, b, aa, bb, ab) = (a + x, b + y, aa + x * x, bb + y * y, ab + x * y);
    }
    let (a, b) = (a / 64.0, b / 64.0);
    let (va, vb, cov) = (aa / 64.0 - a * a, bb / 64.0 - b * b, ab / 64.0 - a * b);
    let (c1, c2) = (6.5025, 58.5225);
    ((2.0 * a * b + c1) * (2.0 * cov + c2)) / ((a * a + b * b + c1) * (va + vb + c2))
}

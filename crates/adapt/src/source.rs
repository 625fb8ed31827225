//! A decoded picture, and smaller ones made from it.

use std::borrow::Cow;
use std::io::Cursor;

use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Rgb, RgbImage, RgbaImage};

use crate::{AdaptError, Format, Probe};

/// A picture in memory: grey or colour where it is opaque, else colour with alpha, multiplied into the
/// colours so that it can be scaled without fringes.
pub(crate) struct Source {
    pixels: DynamicImage,
    orientation: Orientation,
    /// The colour profile, where it is small and fits the colours that are written.
    pub(crate) profile: Option<Vec<u8>>,
    /// Whether something of it is transparent.
    pub(crate) transparent: bool,
    /// Whether it comes from a type that loses nothing.
    pub(crate) lossless: bool,
}

impl Source {
    /// Decodes a picture whose number of pixels is known to be bearable.
    pub(crate) fn decode(octets: &[u8], probe: &Probe) -> Result<Self, AdaptError> {
        let damaged = |error: image::ImageError| AdaptError::Damaged(error.to_string());
        let mut reader = ImageReader::with_format(Cursor::new(octets), probe.format.image_format());
        let mut limits = image::Limits::default();
        limits.max_image_width = Some(probe.width);
        limits.max_image_height = Some(probe.height);
        limits.max_alloc = Some(probe.pixels() * OCTETS_PER_PIXEL + SLACK);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(damaged)?;
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let profile = decoder.icc_profile().ok().flatten().filter(|profile| is_small_rgb(profile));
        let decoded = DynamicImage::from_decoder(decoder).map_err(damaged)?;
        let lossless = matches!(probe.format, Format::Png | Format::Gif);
        let coloured = decoded.color().has_color();
        let (pixels, transparent) = simplified(decoded);
        let profile = profile.filter(|_| coloured);
        Ok(Self { pixels, orientation, profile, transparent, lossless })
    }

    /// Width and height as the picture is to be seen.
    pub(crate) fn size(&self) -> (u32, u32) {
        let (width, height) = (self.pixels.width(), self.pixels.height());
        if self.turns() { (height, width) } else { (width, height) }
    }

    fn turns(&self) -> bool {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        matches!(self.orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
    }

    /// The picture as it is to be seen, `width` by `height` large. Scaled before it is turned, as less has
    /// to be moved then.
    pub(crate) fn scaled(&self, (width, height): (u32, u32)) -> Cow<'_, DynamicImage> {
        let (width, height) = if self.turns() { (height, width) } else { (width, height) };
        let mut scaled = self.shrunk(width, height);
        if self.orientation != Orientation::NoTransforms {
            scaled.to_mut().apply_orientation(self.orientation);
        }
        scaled
    }

    fn shrunk(&self, width: u32, height: u32) -> Cow<'_, DynamicImage> {
        let (from_width, from_height) = (self.pixels.width(), self.pixels.height());
        if (from_width, from_height) == (width, height) {
            return Cow::Borrowed(&self.pixels);
        }
        if u64::from(width) * u64::from(height) > SHARP_PIXELS {
            return Cow::Owned(self.pixels.thumbnail_exact(width, height));
        }
        let (twice_wide, twice_high) = (width.saturating_mul(2), height.saturating_mul(2));
        let sharp =
            |image: &DynamicImage| Cow::Owned(image.resize_exact(width, height, FilterType::Lanczos3));
        if from_width > twice_wide && from_height > twice_high {
            sharp(&self.pixels.thumbnail_exact(twice_wide, twice_high))
        } else {
            sharp(&self.pixels)
        }
    }
}

/// The same picture as grey, colour, or colour with alpha multiplied in; and whether it is the latter.
fn simplified(decoded: DynamicImage) -> (DynamicImage, bool) {
    if !decoded.color().has_alpha() {
        let opaque = match decoded.color().has_color() {
            true => DynamicImage::ImageRgb8(decoded.into_rgb8()),
            false => DynamicImage::ImageLuma8(decoded.into_luma8()),
        };
        return (opaque, false);
    }
    let mut pixels = decoded.into_rgba8();
    if pixels.pixels().all(|pixel| pixel[3] == u8::MAX) {
        return (DynamicImage::ImageRgb8(DynamicImage::ImageRgba8(pixels).into_rgb8()), false);
    }
    for pixel in pixels.pixels_mut() {
        let alpha = u16::from(pixel[3]);
        for colour in &mut pixel.0[..3] {
            *colour = ((u16::from(*colour) * alpha + 127) / 255) as u8;
        }
    }
    (DynamicImage::ImageRgba8(pixels), true)
}

/// The colours of a picture whose alpha was multiplied in, with the alpha apart again.
pub(crate) fn divided(mut pixels: RgbaImage) -> RgbaImage {
    for pixel in pixels.pixels_mut() {
        let alpha = u16::from(pixel[3]);
        for colour in &mut pixel.0[..3] {
            // Where nothing is to be seen there is no colour either.
            let whole = (u16::from(*colour) * 255 + alpha / 2).checked_div(alpha).unwrap_or(0);
            *colour = whole.min(255) as u8;
        }
    }
    pixels
}

/// A picture whose alpha was multiplied in, put on white.
pub(crate) fn on_white(pixels: &RgbaImage) -> RgbImage {
    let mut flat = RgbImage::new(pixels.width(), pixels.height());
    for (to, from) in flat.pixels_mut().zip(pixels.pixels()) {
        let paper = u8::MAX - from[3];
        *to = Rgb([0, 1, 2].map(|at| from[at].saturating_add(paper)));
    }
    flat
}

/// A profile of another kind of colours than is written would spoil them.
fn is_small_rgb(profile: &[u8]) -> bool {
    profile.len() <= MAX_PROFILE && profile.get(16..20) == Some(b"RGB ")
}

/// ICC.1: bytes 16 to 19 name the colour space. Profiles of cameras and phones have some hundred octets.
const MAX_PROFILE: usize = 4096;
/// Four channels of 16 bits, the most that a decoder may want for its output, and as much for its work.
const OCTETS_PER_PIXEL: u64 = 16;
const SLACK: u64 = 1 << 20;
/// Pictures up to this are scaled with the better filter, which takes 32 octets for each pixel of the result.
const SHARP_PIXELS: u64 = 3_000_000;

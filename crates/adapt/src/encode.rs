//! One picture, encoded within a number of octets or not at all.

use std::io::{self, Write};

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageResult};

use crate::source::{divided, on_white};
use crate::{AdaptError, Format};

/// How a picture is encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Coding {
    /// JPEG of that quality, 1 to 100.
    Jpeg(u8),
    /// PNG.
    Png,
    /// GIF with the 256 colours that suit it best.
    Gif,
}

impl Coding {
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Jpeg(_) => Format::Jpeg,
            Self::Png => Format::Png,
            Self::Gif => Format::Gif,
        }
    }
}

/// An encoded picture: the octets where they are few enough, else only their number.
pub(crate) struct Encoded {
    kept: Vec<u8>,
    written: usize,
    limit: usize,
}

impl Encoded {
    /// Encodes `image`, whose alpha is multiplied in where it has one.
    pub(crate) fn new(
        image: &DynamicImage,
        profile: Option<&Vec<u8>>,
        coding: Coding,
        limit: usize,
    ) -> Result<Self, AdaptError> {
        let mut out = Self { kept: Vec::new(), written: 0, limit };
        let done = match coding {
            Coding::Jpeg(quality) => jpeg(image, profile, quality, &mut out),
            Coding::Png => png(image, profile, &mut out),
            Coding::Gif => gif(image, &mut out),
        };
        done.map_err(|error| AdaptError::Damaged(error.to_string()))?;
        Ok(out)
    }

    /// How many times larger than allowed it is; 1 and less is small enough.
    pub(crate) fn excess(&self) -> f64 {
        self.written as f64 / self.limit.max(1) as f64
    }

    /// The octets, where they are few enough.
    pub(crate) fn octets(self) -> Option<Vec<u8>> {
        (self.written <= self.limit).then_some(self.kept)
    }
}

impl Write for Encoded {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.written += octets.len();
        if self.written <= self.limit {
            self.kept.extend_from_slice(octets);
        } else {
            self.kept = Vec::new();
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn jpeg(image: &DynamicImage, profile: Option<&Vec<u8>>, quality: u8, out: &mut Encoded) -> ImageResult<()> {
    let (width, height) = (image.width(), image.height());
    let mut encoder = JpegEncoder::new_with_quality(out, quality);
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile.clone()).map_err(image::ImageError::Unsupported)?;
    }
    match image {
        DynamicImage::ImageLuma8(grey) => encoder.encode(grey, width, height, ExtendedColorType::L8),
        DynamicImage::ImageRgba8(clear) => {
            encoder.encode(&on_white(clear), width, height, ExtendedColorType::Rgb8)
        }
        DynamicImage::ImageRgb8(colours) => encoder.encode(colours, width, height, ExtendedColorType::Rgb8),
        other => encoder.encode(&other.to_rgb8(), width, height, ExtendedColorType::Rgb8),
    }
}

fn png(image: &DynamicImage, profile: Option<&Vec<u8>>, out: &mut Encoded) -> ImageResult<()> {
    let mut encoder = PngEncoder::new_with_quality(out, CompressionType::Default, FilterType::Adaptive);
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile.clone()).map_err(image::ImageError::Unsupported)?;
    }
    match image {
        DynamicImage::ImageRgba8(clear) => {
            DynamicImage::ImageRgba8(divided(clear.clone())).write_with_encoder(encoder)
        }
        opaque => opaque.write_with_encoder(encoder),
    }
}

fn gif(image: &DynamicImage, out: &mut Encoded) -> ImageResult<()> {
    let pixels = match image {
        DynamicImage::ImageRgba8(clear) => divided(clear.clone()),
        opaque => opaque.to_rgba8(),
    };
    GifEncoder::new_with_speed(out, GIF_SPEED).encode(
        &pixels,
        pixels.width(),
        pixels.height(),
        ExtendedColorType::Rgba8,
    )
}

/// 1 picks the colours best, 30 fastest.
const GIF_SPEED: i32 = 10;

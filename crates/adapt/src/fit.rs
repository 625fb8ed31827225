//! The search for the best picture that fits.

use std::borrow::Cow;

use image::DynamicImage;

use crate::encode::{Coding, Encoded};
use crate::source::Source;
use crate::{AdaptError, Format, Formats, Probe, probe};

/// What a picture has to keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Most octets of it.
    pub octets: usize,
    /// Most pixels in a row; absent for no limit.
    pub width: Option<u32>,
    /// Most rows; absent for no limit.
    pub height: Option<u32>,
    /// The types that it may have.
    pub formats: Formats,
    /// A picture of more pixels is refused, even where it fits. Decoding takes up to about 16 octets of memory for each.
    pub decoded_pixels: u64,
}

impl Limits {
    /// Whether a picture keeps to them as it is.
    pub fn admit(&self, probe: &Probe, octets: usize) -> bool {
        octets <= self.octets
            && self.width.is_none_or(|most| probe.width <= most)
            && self.height.is_none_or(|most| probe.height <= most)
            && self.formats.contains(probe.format)
    }
}

/// A picture that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fitted {
    /// The given one fits as it is.
    AsItIs,
    /// A new one.
    New(Picture),
}

/// An encoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The octets.
    pub octets: Vec<u8>,
    /// Their type.
    pub format: Format,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Makes the best picture of `octets` that keeps to `limits`.
///
/// A JPEG has the largest scale at which [`GOOD`] quality fits, and then the highest quality up to [`BEST`]; the
/// scales are a quarter of a halving apart. Where no scale is small enough for that, the smallest one goes with
/// what quality fits, [`LEAST`] at least. Pictures of types that lose nothing stay such (as PNG) where that fits
/// without scaling for the octets' sake, transparent ones down to half the scale.
///
/// # Errors
/// Each [`AdaptError`].
pub fn fit(octets: &[u8], limits: &Limits) -> Result<Fitted, AdaptError> {
    let probe = probe(octets)?;
    if probe.pixels() > limits.decoded_pixels {
        let (width, height, limit) = (probe.width, probe.height, limits.decoded_pixels);
        return Err(AdaptError::TooManyPixels { width, height, limit });
    }
    if limits.admit(&probe, octets.len()) {
        return Ok(Fitted::AsItIs);
    }
    let source = Source::decode(octets, &probe)?;
    let search = Search { base: base(source.size(), limits), source: &source, limits };
    search.best().map(Fitted::New)
}

/// The size that the limits on pixels leave.
fn base((width, height): (u32, u32), limits: &Limits) -> (f64, f64) {
    let room = |most: Option<u32>, is: u32| most.map_or(1.0, |most| f64::from(most) / f64::from(is));
    let scale = room(limits.width, width).min(room(limits.height, height)).min(1.0);
    (f64::from(width) * scale, f64::from(height) * scale)
}

struct Search<'a> {
    source: &'a Source,
    /// Width and height at step 0.
    base: (f64, f64),
    limits: &'a Limits,
}

/// Of a try: the picture, or how many times it is too large.
enum Outcome {
    Fits(Picture),
    Exceeds(f64),
}

impl Search<'_> {
    fn best(&self) -> Result<Picture, AdaptError> {
        let writes = |format| self.limits.formats.contains(format);
        let lossless_steps = match (self.source.transparent, self.source.lossless) {
            (true, _) => Some(HALF),
            (false, true) => Some(0),
            (false, false) => None,
        };
        if let Some(last) = lossless_steps.filter(|_| writes(Format::Png))
            && let Some(picture) = self.first(Coding::Png, last)?
        {
            return Ok(picture);
        }
        if writes(Format::Jpeg) {
            return self.jpeg();
        }
        for (format, coding) in [(Format::Png, Coding::Png), (Format::Gif, Coding::Gif)] {
            if writes(format)
                && let Some(picture) = self.first(coding, self.last_step())?
            {
                return Ok(picture);
            }
        }
        if writes(Format::Png) || writes(Format::Gif) {
            Err(self.too_small())
        } else {
            Err(AdaptError::NoFormat)
        }
    }

    fn jpeg(&self) -> Result<Picture, AdaptError> {
        let last = self.last_step();
        match self.first_step(Coding::Jpeg(GOOD), last)? {
            Some(step) => self.finest(step, GOOD, BEST),
            None => self.finest(last, LEAST, GOOD),
        }
    }

    /// The highest quality from `least` to `most` that fits at `step`.
    fn finest(&self, step: u32, least: u8, most: u8) -> Result<Picture, AdaptError> {
        let image = self.image(step);
        let (mut low, mut high, mut best) = (least, most, None);
        while low <= high {
            let quality = low.midpoint(high);
            match self.encode(&image, Coding::Jpeg(quality))? {
                Outcome::Fits(picture) => (low, best) = (quality + 1, Some(picture)),
                Outcome::Exceeds(_) => high = quality - 1,
            }
        }
        best.ok_or_else(|| self.too_small())
    }

    /// The picture at the first step, up to `last`, at which it fits.
    fn first(&self, coding: Coding, last: u32) -> Result<Option<Picture>, AdaptError> {
        let Some(step) = self.first_step(coding, last)? else { return Ok(None) };
        match self.encode(&self.image(step), coding)? {
            Outcome::Fits(picture) => Ok(Some(picture)),
            Outcome::Exceeds(_) => Ok(None),
        }
    }

    /// The first step, up to `last`, at which it fits. Goes ahead by what is too much, as octets go with the
    /// area, and then back as long as it still fits.
    fn first_step(&self, coding: Coding, last: u32) -> Result<Option<u32>, AdaptError> {
        let (mut step, mut too_large) = (0, None);
        while let Outcome::Exceeds(times) = self.encode(&self.image(step), coding)? {
            too_large = Some(step);
            if step == last {
                return Ok(None);
            }
            step = (step + (times.log2() * STEPS_PER_AREA) as u32).clamp(step + 1, last);
        }
        while step > too_large.map_or(0, |failed| failed + 1) {
            match self.encode(&self.image(step - 1), coding)? {
                Outcome::Fits(_) => step -= 1,
                Outcome::Exceeds(_) => break,
            }
        }
        Ok(Some(step))
    }

    fn encode(&self, image: &DynamicImage, coding: Coding) -> Result<Outcome, AdaptError> {
        let encoded = Encoded::new(image, self.source.profile.as_ref(), coding, self.limits.octets)?;
        let excess = encoded.excess();
        let (format, width, height) = (coding.format(), image.width(), image.height());
        Ok(match encoded.octets() {
            Some(octets) => Outcome::Fits(Picture { octets, format, width, height }),
            None => Outcome::Exceeds(excess),
        })
    }

    fn image(&self, step: u32) -> Cow<'_, DynamicImage> {
        self.source.scaled(self.size(step))
    }

    fn size(&self, step: u32) -> (u32, u32) {
        let scale = (0..step).fold(1.0, |scale, _| scale * SHRINK);
        let pixels = |side: f64| (side * scale).round().max(1.0) as u32;
        (pixels(self.base.0), pixels(self.base.1))
    }

    /// The last step at which the longer side is not shorter than [`SMALLEST`].
    fn last_step(&self) -> u32 {
        let longer = |step| {
            let (width, height) = self.size(step);
            width.max(height)
        };
        (0..MAX_STEPS).take_while(|step| longer(step + 1) >= SMALLEST).last().map_or(0, |step| step + 1)
    }

    fn too_small(&self) -> AdaptError {
        AdaptError::TooSmall { octets: self.limits.octets }
    }
}

/// Quality of JPEG below which a smaller scale looks better.
const GOOD: u8 = 72;
/// Quality of JPEG above which nobody sees a difference.
const BEST: u8 = 92;
/// Least quality of JPEG.
const LEAST: u8 = 30;
/// Width and height shrink by that at each step: four steps halve them.
const SHRINK: f64 = 0.840_896_415_253_714_5;
/// The step at which width and height are halved.
const HALF: u32 = 4;
/// Steps that halve the area.
const STEPS_PER_AREA: f64 = 2.0;
/// Pixels of the longer side below which no picture is made.
const SMALLEST: u32 = 96;
/// More than enough for 65,535 pixels.
const MAX_STEPS: u32 = 64;

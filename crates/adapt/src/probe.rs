//! What a picture is, told from its first octets.

use std::io::Cursor;

use image::{ImageReader, guess_format};

use crate::{AdaptError, Format};

/// Type and size of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The type, whatever anybody claims it to be.
    pub format: Format,
    /// Pixels in a row, as they are stored: before the picture is turned.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Probe {
    /// Width times height.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// Reads the type and size of a picture without decoding it.
///
/// # Errors
/// [`AdaptError::NotAPicture`].
pub fn probe(octets: &[u8]) -> Result<Probe, AdaptError> {
    let format = guess_format(octets).ok().and_then(Format::of).ok_or(AdaptError::NotAPicture)?;
    let reader = ImageReader::with_format(Cursor::new(octets), format.image_format());
    let (width, height) = reader.into_dimensions().map_err(|_| AdaptError::NotAPicture)?;
    if width == 0 || height == 0 {
        return Err(AdaptError::NotAPicture);
    }
    Ok(Probe { format, width, height })
}

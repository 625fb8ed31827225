//! Writing at the pace the script wants, for both protocols.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Writes octets to a stream, at `drip` octets a second if given.
pub(crate) async fn write_slowly(
    stream: &mut TcpStream,
    octets: &[u8],
    drip: Option<u32>,
) -> std::io::Result<()> {
    let Some(drip) = drip.filter(|drip| *drip > 0) else {
        return stream.write_all(octets).await;
    };
    // Twenty steps a second, or one octet at a time where that is slower.
    let step = (drip / 20).max(1);
    let pause = Duration::from_secs_f64(f64::from(step) / f64::from(drip));
    for piece in octets.chunks(step as usize) {
        stream.write_all(piece).await?;
        stream.flush().await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

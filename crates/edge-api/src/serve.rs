//! The API's listener.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::{Extension, Router};
use mmsgw_net::{Alpn, BindError, Drain, HttpLimits, Listener, ServerTls, TlsError, bind, serve_http};

use crate::config::{ApiSettings, SettingsError};

/// A listener at work.
#[derive(Debug)]
pub struct Listening {
    /// The address really bound.
    pub address: SocketAddr,
    /// Its side of TLS, to be reloaded when certificates change.
    pub tls: Option<Arc<ServerTls>>,
}

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings cannot work.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The address cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The TLS files cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Listens and serves `router` as tasks of `drain`: the API's router, perhaps merged with others.
/// Has to be called within a Tokio runtime; answers as soon as the address is bound.
///
/// # Errors
/// [`ServeError`]; nothing is started then.
pub async fn serve(router: Router, settings: &ApiSettings, drain: &Drain) -> Result<Listening, ServeError> {
    settings.check()?;
    let (socket, address) = bind(settings.listen)?;
    serve_on((socket.into(), address), router, settings, drain)
}

/// The same on a listener that is open already, whose address is in `settings` and beside it.
///
/// # Errors
/// [`ServeError`]; nothing is started then.
pub fn serve_on(
    (listener, address): (Listener, SocketAddr),
    router: Router,
    settings: &ApiSettings,
    drain: &Drain,
) -> Result<Listening, ServeError> {
    settings.check()?;
    let tls = settings.tls.as_ref().map(|tls| ServerTls::load(tls, Alpn::Http)).transpose()?.map(Arc::new);
    let limits = HttpLimits {
        max_connections: settings.max_connections,
        max_connections_per_peer: settings.max_connections_per_peer,
        // Longer than the slowest answer, see the envelope.
        stall_timeout: settings.request_timeout.0.saturating_mul(3),
        ..HttpLimits::default()
    };
    // Streams that go on by themselves end with the listener.
    let router = router.layer(Extension(drain.clone()));
    drain.spawn(serve_http(listener, tls.clone(), limits, drain.clone(), router));
    tracing::info!(%address, tls = tls.is_some(), "the API listens");
    Ok(Listening { address, tls })
}

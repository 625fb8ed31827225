//! What can be replaced while it is in use: a listener's paths, the way to applications, the way to media.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::routing::future::RouteFuture;
use bytes::Bytes;
use mmsgw_edge_callout::{Callout, Fetch};
use mmsgw_engine::{Call, CallVerdict, FetchError, Fetcher, Notifier};
use tower::Service;

/// Paths that may be others for the next request. Clones share them.
#[derive(Clone)]
pub(crate) struct LiveRouter(Arc<ArcSwap<Router>>);

impl LiveRouter {
    pub(crate) fn new(router: Router) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(router)))
    }

    /// Has further requests answered by `router`; those in hand end as they began.
    pub(crate) fn replace(&self, router: Router) {
        self.0.store(Arc::new(router));
    }

    /// The same as one router, which never changes itself.
    pub(crate) fn as_router(&self) -> Router {
        Router::new().fallback_service(self.clone())
    }
}

impl Service<Request> for LiveRouter {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Router::clone(&self.0.load()).call(request)
    }
}

/// The way to applications.
pub(crate) struct LiveNotifier(pub(crate) ArcSwap<Callout>);

#[async_trait]
impl Notifier for LiveNotifier {
    async fn notify(&self, call: &Call<'_>) -> CallVerdict {
        self.0.load_full().notify(call).await
    }
}

/// The way to media behind URLs.
pub(crate) struct LiveFetcher(pub(crate) ArcSwap<Fetch>);

#[async_trait]
impl Fetcher for LiveFetcher {
    fn check(&self, url: &str) -> Result<(), FetchError> {
        self.0.load().check(url)
    }

    async fn fetch(&self, url: &str, content_type: &str) -> Result<Bytes, FetchError> {
        self.0.load_full().fetch(url, content_type).await
    }
}

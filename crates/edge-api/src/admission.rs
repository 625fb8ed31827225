//! Who is let in: requests beyond what may be in hand are answered 503 before anything of them is read.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mmsgw_contract::{Problem, ProblemCode};
use mmsgw_net::{Admission, Admitted};
use parking_lot::Mutex;

use crate::api::Api;
use crate::body::pour_away;
use crate::error::Refused;

/// The place of a request among those in hand, which holds the octets of its body.
#[derive(Clone)]
pub(crate) struct Place(Arc<Mutex<Admitted>>);

impl Place {
    /// Whether there is room for a body that has grown to so many octets.
    pub(crate) fn grow(&self, octets: usize) -> bool {
        self.0.lock().grow(octets)
    }
}

/// Around each request whose body is read as a whole.
pub(crate) async fn admit(State(api): State<Api>, request: Request, next: Next) -> Response {
    let announced = usize::try_from(request.body().size_hint().lower()).unwrap_or(usize::MAX);
    // What is larger than any body may be is refused for that, and holds nothing.
    let octets = if announced > api.max_body { 0 } else { announced };
    admitted(&api.admission, octets, request, next).await
}

/// Around each request whose body is a stream, of which no more than a line is held.
pub(crate) async fn admit_stream(State(api): State<Api>, request: Request, next: Next) -> Response {
    admitted(&api.admission, api.max_line, request, next).await
}

async fn admitted(admission: &Admission, octets: usize, mut request: Request, next: Next) -> Response {
    let Some(place) = admission.admit(octets) else {
        pour_away(request.into_body());
        return Refused::from(busy()).into_response();
    };
    let place = Place(Arc::new(Mutex::new(place)));
    request.extensions_mut().insert(place.clone());
    let response = next.run(request).await;
    drop(place);
    response
}

/// What is said to who comes at the wrong moment.
pub(crate) fn busy() -> Problem {
    Problem::new(ProblemCode::Busy, "as much as may be is in hand").retry_after(PAUSE)
}

/// A moment later there is mostly room.
const PAUSE: Duration = Duration::from_secs(1);

//! Fetches media by URL.
//!
//! Answers for which URLs are fetched at all, how long that may take and how much may come. It trusts nothing that
//! the other side says: sizes are counted, each redirect is judged like the first URL, and a name that leads to a
//! private address is refused where the connection is made. Nothing is kept here; the engine stores what comes.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use mmsgw_engine::{FetchError, Fetcher};
use mmsgw_net::{AddressGuard, BodyError, GuardError, HttpClient, HttpSettings, read_limited};
use reqwest::Response;
use tokio::time::timeout;
use url::Url;

use crate::config::FetchSettings;
use crate::file::Roots;
use crate::verdict::explain;
use crate::{MAX_URL, SetupError};

/// The way to media: `http`, `https` and, under configured directories, `file`.
#[derive(Debug)]
pub struct Fetch {
    client: HttpClient,
    guard: AddressGuard,
    roots: Roots,
    limit: Duration,
    max_size: usize,
    max_redirects: usize,
}

impl Fetch {
    /// Makes it ready; nothing is connected to yet.
    ///
    /// # Errors
    /// [`SetupError`] when TLS files cannot be used or a directory is not an absolute path.
    pub fn new(settings: &FetchSettings) -> Result<Self, SetupError> {
        let guard = AddressGuard::new(settings.allow_networks.clone()).https_only(settings.https_only);
        let http = HttpSettings {
            connect_timeout: settings.connect_timeout.0,
            total_timeout: settings.timeout.0,
            tls: settings.tls.clone(),
            guard: Some(guard.clone()),
            ..HttpSettings::default()
        };
        Ok(Self {
            client: HttpClient::new(&http)?,
            guard,
            roots: Roots::new(&settings.file_roots)?,
            limit: settings.timeout.0,
            max_size: settings.max_size.as_usize(),
            max_redirects: settings.max_redirects,
        })
    }

    /// The URL, if its text allows to fetch it.
    fn read_url(&self, text: &str) -> Result<Url, FetchError> {
        if text.len() > MAX_URL {
            return Err(refused(format!("a URL has at most {MAX_URL} octets")));
        }
        let url: Url = text.parse().map_err(|error| refused(format!("not a URL: {error}")))?;
        self.judge(&url)?;
        Ok(url)
    }

    fn judge(&self, url: &Url) -> Result<(), FetchError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("a URL must not carry a user name or password".into()));
        }
        if url.scheme() == FILE {
            return self.roots.check(url).map(|_| ());
        }
        self.guard.check_url(url).map_err(|refusal| refused(refusal.to_string()))
    }

    async fn fetch_file(&self, url: Url) -> Result<Bytes, FetchError> {
        let (roots, max) = (self.roots.clone(), self.max_size);
        let read = tokio::task::spawn_blocking(move || roots.read(&url, max));
        read.await.unwrap_or_else(|error| Err(FetchError::Later(format!("reading the file: {error}"))))
    }

    async fn fetch_http(&self, mut url: Url, content_type: &str) -> Result<Bytes, FetchError> {
        for _ in 0..=self.max_redirects {
            let answer = self.ask(&url).await?;
            if !answer.status().is_redirection() {
                return self.take(answer, content_type).await;
            }
            url = self.next(&url, &answer)?;
        }
        Err(refused(format!("more than {} redirects", self.max_redirects)))
    }

    async fn ask(&self, url: &Url) -> Result<Response, FetchError> {
        let request = self.client.request(Method::GET, url.clone());
        let request = request.map_err(|refusal| refused(refusal.to_string()))?;
        request.send().await.map_err(|error| match GuardError::in_chain(&error) {
            Some(refusal) => refused(refusal.to_string()),
            None if error.is_builder() => refused("the URL cannot be fetched".into()),
            None => FetchError::Later(explain(&error)),
        })
    }

    /// Where a redirect leads, judged like any URL; from the web it leads to the web only.
    fn next(&self, url: &Url, answer: &Response) -> Result<Url, FetchError> {
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.filter(|text| text.len() <= MAX_URL);
        let next = location.and_then(|text| url.join(text).ok());
        let next = next.ok_or_else(|| refused(format!("answer {} leads nowhere", answer.status())))?;
        if next.scheme() == FILE || next.as_str().len() > MAX_URL {
            return Err(refused("a redirect leads to a URL that is not fetched".into()));
        }
        self.judge(&next)?;
        Ok(next)
    }

    async fn take(&self, answer: Response, content_type: &str) -> Result<Bytes, FetchError> {
        judge_status(answer.status())?;
        judge_type(answer.headers(), content_type)?;
        read_limited(answer, self.max_size).await.map_err(|error| match error {
            BodyError::Read(error) => FetchError::Later(explain(&error)),
            other => refused(other.to_string()),
        })
    }
}

#[async_trait]
impl Fetcher for Fetch {
    fn check(&self, url: &str) -> Result<(), FetchError> {
        self.read_url(url).map(|_| ())
    }

    async fn fetch(&self, url: &str, content_type: &str) -> Result<Bytes, FetchError> {
        let url = self.read_url(url)?;
        let work = async {
            if url.scheme() == FILE {
                self.fetch_file(url).await
            } else {
                self.fetch_http(url, content_type).await
            }
        };
        let late = || FetchError::Later("not fetched within the time-out".into());
        timeout(self.limit, work).await.unwrap_or_else(|_| Err(late()))
    }
}

fn judge_status(status: StatusCode) -> Result<(), FetchError> {
    let reason = format!("the media server answered {status}");
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(FetchError::Missing(reason)),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(FetchError::Later(reason))
        }
        status if status.is_server_error() => Err(FetchError::Later(reason)),
        _ => Err(refused(reason)),
    }
}

/// The octets must be what the part says they are, as far as the server says anything about that.
fn judge_type(headers: &HeaderMap, wanted: &str) -> Result<(), FetchError> {
    let coded = headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if coded {
        return Err(refused("the media come in a content coding that was not asked for".into()));
    }
    let Some(stated) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let stated = essence(stated.to_str().unwrap_or("unreadable"));
    let unsure = ["", "application/octet-stream", "binary/octet-stream"];
    if unsure.contains(&stated.as_str()) || stated == essence(wanted) {
        return Ok(());
    }
    let stated: String = stated.chars().take(100).collect();
    Err(refused(format!("the media are {stated}, not {}", essence(wanted))))
}

/// Type and subtype without parameters, `image/jpg` under its real name.
fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "image/jpg" { "image/jpeg".into() } else { essence }
}

fn refused(reason: String) -> FetchError {
    FetchError::Refused(reason)
}

const FILE: &str = "file";

#[cfg(test)]
mod tests;

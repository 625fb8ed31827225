//! Where the servers are: one, a master that sentinels know, or a cluster. Makes connections, and keeps none.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mmsgw_store::StoreError;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, TlsMode,
    Value,
};
use secrecy::ExposeSecret;
use tokio::time::timeout;

use crate::config::{RedisMode, RedisSettings};

/// The servers of a store.
pub(crate) struct Servers {
    settings: RedisSettings,
    nodes: Vec<ConnectionInfo>,
    certificates: Option<TlsCertificates>,
    password: Option<String>,
    /// Counts questions to sentinels, so that each begins with another one: the first may be the one that is gone.
    questions: AtomicUsize,
}

/// A connection that many callers share.
#[derive(Clone)]
pub(crate) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Sends commands together, in a cluster to the master of `key`, and gives back an answer for each.
    pub(crate) async fn send(&mut self, commands: &Pipeline, key: &str) -> RedisResult<Vec<Value>> {
        let count = commands.len();
        match self {
            Self::One(connection) => connection.send_packed_commands(commands, 0, count).await,
            Self::Cluster(connection) => {
                let route = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                connection.route_pipeline(commands.clone(), 0, count, route).await
            }
        }
    }
}

impl Servers {
    /// Reads addresses and files.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] with all that is wrong.
    pub(crate) fn new(settings: &RedisSettings) -> Result<Self, StoreError> {
        let faults = settings.faults();
        if !faults.is_empty() {
            return Err(StoreError::Unusable(faults.join("; ")));
        }
        let password = match (&settings.password, &settings.password_file) {
            (Some(password), _) => Some(password.expose_secret().to_owned()),
            (None, Some(file)) => Some(read_text(file)?.trim_end_matches(['\r', '\n']).to_owned()),
            (None, None) => None,
        };
        let certificates = read_certificates(settings)?;
        let mut servers = Self {
            settings: settings.clone(),
            nodes: Vec::new(),
            certificates,
            password,
            questions: AtomicUsize::new(0),
        };
        for address in &settings.servers {
            servers.nodes.push(servers.node(address)?);
        }
        Ok(servers)
    }

    /// True where scripts may touch every key.
    pub(crate) fn are_one(&self) -> bool {
        self.settings.mode != RedisMode::Cluster
    }

    fn node(&self, address: &str) -> Result<ConnectionInfo, StoreError> {
        let info = address.into_connection_info().map_err(|e| unusable(address, &e))?;
        let info = info.set_redis_settings(self.login());
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Ok(info);
        }
        let Some(certificates) = &self.certificates else { return Ok(info) };
        let client = Client::build_with_tls(info, certificates.clone()).map_err(|e| unusable(address, &e))?;
        Ok(client.get_connection_info().clone())
    }

    fn login(&self) -> RedisConnectionInfo {
        let mut login = RedisConnectionInfo::default().set_db(i64::from(self.settings.database));
        if let Some(username) = &self.settings.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        login.set_lib_name("mmsgw", env!("CARGO_PKG_VERSION"))
    }

    /// A new connection, within the time for one.
    pub(crate) async fn connect(&self) -> RedisResult<Connection> {
        let limit = self.settings.connect_timeout.0;
        // Boxed, as the library's futures are large.
        timeout(limit, Box::pin(self.connect_now())).await.unwrap_or_else(|_| Err(too_slow(limit)))
    }

    async fn connect_now(&self) -> RedisResult<Connection> {
        if self.settings.mode == RedisMode::Cluster {
            return self.cluster()?.get_async_connection().await.map(Connection::Cluster);
        }
        let client = self.master().await?;
        client.get_multiplexed_async_connection_with_config(&self.config()).await.map(Connection::One)
    }

    /// A new connection that is subscribed to a channel. In a cluster every node tells what is published on any.
    pub(crate) async fn subscribe(&self, channel: &str) -> RedisResult<PubSub> {
        let limit = self.settings.connect_timeout.0;
        let mut trouble = too_slow(limit);
        let clients = match self.settings.mode {
            RedisMode::Cluster => self.nodes.iter().map(|node| Client::open(node.clone())).collect(),
            _ => timeout(limit, Box::pin(self.master())).await.map(|client| vec![client]).unwrap_or_default(),
        };
        for client in clients {
            let subscribed = async {
                let mut connection = client?.get_async_pubsub().await?;
                connection.subscribe(channel).await?;
                Ok(connection)
            };
            match timeout(limit, Box::pin(subscribed)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => trouble = error,
                Err(_) => trouble = too_slow(limit),
            }
        }
        Err(trouble)
    }

    /// The server that takes writes. Sentinels are asked anew each time: what they said before may be the trouble.
    async fn master(&self) -> RedisResult<Client> {
        match self.settings.mode {
            RedisMode::Sentinel => self.sentinels()?.async_get_client().await,
            _ => Client::open(self.nodes[0].clone()),
        }
    }

    fn sentinels(&self) -> RedisResult<SentinelClient> {
        let settings = &self.settings;
        let first = self.questions.fetch_add(1, Ordering::Relaxed) % self.nodes.len();
        let (last, next) = self.nodes.split_at(first);
        let addresses = next.iter().chain(last).map(|node| node.addr().clone());
        let mut builder =
            SentinelClientBuilder::new(addresses, &settings.master, SentinelServerType::Master)?
                .set_client_to_redis_db(i64::from(settings.database));
        if let Some(username) = &settings.username {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(username) = &settings.sentinel_username {
            builder = builder.set_client_to_sentinel_username(username);
        }
        if let Some(password) = &settings.sentinel_password {
            builder = builder.set_client_to_sentinel_password(password.expose_secret());
        }
        if matches!(self.nodes[0].addr(), ConnectionAddr::TcpTls { .. }) {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
            if let Some(certificates) = &self.certificates {
                builder = builder
                    .set_client_to_redis_certificates(certificates.clone())
                    .set_client_to_sentinel_certificates(certificates.clone());
            }
        }
        builder.build()
    }

    fn cluster(&self) -> RedisResult<ClusterClient> {
        // The link repeats what failed, and says so to the script; here a call is tried once, but for redirections.
        let mut builder = ClusterClientBuilder::new(self.nodes.clone())
            .retries(REDIRECTIONS)
            .min_retry_wait(10)
            .max_retry_wait(50)
            .connection_timeout(self.settings.connect_timeout.0)
            .response_timeout(self.settings.timeout.0);
        if let Some(certificates) = &self.certificates {
            builder = builder.certs(certificates.clone());
        }
        builder.build()
    }

    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.settings.connect_timeout.0))
            // The link has the limit; a call that waits for replicas has one of its own.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(1024)
    }
}

fn read_certificates(settings: &RedisSettings) -> Result<Option<TlsCertificates>, StoreError> {
    let tls = &settings.tls;
    let read = |file: &Option<_>| file.as_deref().map(read_octets).transpose();
    let (root_cert, cert, key) = (read(&tls.ca_file)?, read(&tls.cert_file)?, read(&tls.key_file)?);
    let pair = cert.zip(key);
    let client_tls = pair.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
    if root_cert.is_none() && client_tls.is_none() {
        return Ok(None);
    }
    Ok(Some(TlsCertificates { client_tls, root_cert }))
}

fn read_octets(file: &Path) -> Result<Vec<u8>, StoreError> {
    std::fs::read(file).map_err(|e| StoreError::Unusable(format!("{}: {e}", file.display())))
}

fn read_text(file: &Path) -> Result<String, StoreError> {
    std::fs::read_to_string(file).map_err(|e| StoreError::Unusable(format!("{}: {e}", file.display())))
}

fn unusable(address: &str, error: &RedisError) -> StoreError {
    StoreError::Unusable(format!("servers: `{address}`: {error}"))
}

/// What took longer than it may.
pub(crate) fn too_slow(limit: Duration) -> RedisError {
    RedisError::from((ErrorKind::Io, "no answer in time", format!("{} ms", limit.as_millis())))
}

const REDIRECTIONS: u32 = 2;

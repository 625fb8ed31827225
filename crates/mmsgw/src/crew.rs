//! The groups at work in this process: each can end and begin by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mmsgw_domain::{GroupName, InstanceId};
use mmsgw_edge_mm4::{Mm4Gateway, Mm4Scales};
use mmsgw_edge_mm7::{Mm7Gateway, Mm7Scales};
use mmsgw_engine::{Engine, Gateway, Group, InstanceIdentity};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::GatewaySettings;
use crate::roles::{Role, Roles};

/// Everybody at work.
pub(crate) struct Crew {
    engine: Engine,
    roles: Roles,
    stop: CancellationToken,
    /// Ends when all have ended.
    tasks: TaskTracker,
    posts: Arc<Mutex<HashMap<GroupName, Post>>>,
}

/// What this process does for one group.
struct Post {
    stop: CancellationToken,
    tasks: TaskTracker,
    instances: Vec<InstanceId>,
    /// Whether it was told to end, and has not done so in time.
    is_over: bool,
}

/// A group that can begin: everything that could go wrong about it has been done.
pub(crate) struct Recruit {
    settings: GatewaySettings,
    /// The way to the carrier, where this process has that role.
    gateway: Option<Arc<dyn Gateway>>,
}

impl Recruit {
    pub(crate) fn group(&self) -> &GroupName {
        self.settings.group()
    }
}

impl Crew {
    pub(crate) fn new(engine: &Engine, roles: &Roles) -> Self {
        Self {
            engine: engine.clone(),
            roles: roles.clone(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            posts: Arc::default(),
        }
    }

    /// Prepares the way to the carrier of `settings`.
    ///
    /// # Errors
    /// Files and settings that cannot be used.
    pub(crate) fn recruit(&self, settings: &GatewaySettings) -> anyhow::Result<Recruit> {
        let speaks = self.roles.include(Role::Gateway);
        let gateway = speaks.then(|| open_gateway(settings, id_of(settings, settings.name()))).transpose()?;
        Ok(Recruit { settings: settings.clone(), gateway })
    }

    /// Makes the group known, and starts what this process does for it.
    pub(crate) fn man(&self, recruit: Recruit) {
        if self.stop.is_cancelled() {
            return;
        }
        let Recruit { settings, gateway } = recruit;
        let group = self.engine.know_group(settings.group_settings());
        weigh(&group, &settings);
        // What one before it has not finished in time belongs to it now: ids of instances are the same.
        let tasks = self.posts.lock().remove(settings.group()).map(|before| before.tasks).unwrap_or_default();
        tasks.reopen();
        let (stop, instances) = (self.stop.child_token(), Vec::new());
        let mut post = Post { stop, tasks, instances, is_over: false };
        if let Some(gateway) = gateway {
            let identity = post.enlist(id_of(&settings, settings.name()), &self.roles);
            let identity = identity.speaking(settings.protocol());
            self.engine.run_group(&group, &gateway, identity, &post.stop, &post.tasks);
        }
        if self.roles.include(Role::Callout) {
            let identity = post.enlist(id_of(&settings, "callout"), &self.roles);
            self.engine.run_callbacks(&group, identity, &post.stop, &post.tasks);
        }
        post.tasks.close();
        let tasks = post.tasks.clone();
        self.tasks.spawn(async move { tasks.wait().await });
        self.posts.lock().insert(group.settings.name.clone(), post);
    }

    /// Has a group take nothing more, finish what is in hand and hand back the rest. False where it did not end within
    /// `limit`: it then goes on with what is in hand, and with nothing else.
    pub(crate) async fn relieve(&self, group: &GroupName, limit: Duration) -> bool {
        let (tasks, instances) = match self.posts.lock().get_mut(group) {
            Some(post) => {
                post.stop.cancel();
                post.is_over = true;
                (post.tasks.clone(), post.instances.clone())
            }
            None => return true,
        };
        let (engine, posts, group) = (self.engine.clone(), Arc::clone(&self.posts), group.clone());
        let leaving = self.tasks.spawn(async move {
            tasks.wait().await;
            // Another may be in its place by now, under the same id.
            if posts.lock().get(&group).is_some_and(|post| post.is_over) {
                dismiss(&engine, &instances).await;
                posts.lock().remove(&group);
            }
        });
        tokio::time::timeout(limit, leaving).await.is_ok()
    }

    /// Tells the others of this process, where no instance in it does.
    pub(crate) fn announce_process(&self) {
        if self.roles.include(Role::Gateway) || self.roles.include(Role::Callout) {
            return;
        }
        let id = InstanceId::of_process(&self.roles.name(), &host_name(), std::process::id());
        let identity = InstanceIdentity::new(id, self.roles.name());
        self.engine.run_process(identity, &self.stop, &self.tasks);
    }

    /// Runs a task that ends when [`Crew::stop`] says so.
    pub(crate) fn also(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// When nobody takes anything new.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Has everybody take nothing more and finish what is in hand. False where somebody has not, after `limit`.
    pub(crate) async fn end(&self, limit: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }
}

impl Post {
    fn enlist(&mut self, id: InstanceId, roles: &Roles) -> InstanceIdentity {
        self.instances.push(id.clone());
        InstanceIdentity::new(id, roles.name())
    }
}

async fn dismiss(engine: &Engine, instances: &[InstanceId]) {
    for id in instances {
        if let Err(error) = engine.dismiss(id).await {
            tracing::warn!(instance = %id, %error, "cannot take leave; what it held comes back when leases lapse");
        }
    }
}

/// Tells a group how large its messages are on the wire.
pub(crate) fn weigh(group: &Group, gateway: &GatewaySettings) {
    match gateway {
        GatewaySettings::Mm4(s) => group.weigh_by(Mm4Scales::new(s)),
        GatewaySettings::Mm7(s) => group.weigh_by(Mm7Scales::new(s)),
    }
}

/// One instance's way to its carrier.
fn open_gateway(settings: &GatewaySettings, instance: InstanceId) -> anyhow::Result<Arc<dyn Gateway>> {
    let named = || format!("gateway {} of group {}", settings.name(), settings.group());
    Ok(match settings {
        GatewaySettings::Mm4(s) => Arc::new(Mm4Gateway::new(s, instance).with_context(named)?),
        GatewaySettings::Mm7(s) => Arc::new(Mm7Gateway::new(s, instance).with_context(named)?),
    })
}

fn id_of(settings: &GatewaySettings, name: &str) -> InstanceId {
    InstanceId::new(settings.group(), name, &host_name(), std::process::id())
}

/// What this host calls itself.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

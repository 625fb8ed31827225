//! `mmsgw render`: shows what would go out, octet for octet, without a carrier.
//!
//! The template goes the way of a request to the API, into a store of its own in a fresh directory; only the
//! last step is left out.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mmsgw_contract::TemplateRequest;
use mmsgw_domain::{Clock, InstanceId, SystemClock};
use mmsgw_edge_mm4::Mm4Gateway;
use mmsgw_edge_mm7::Mm7Gateway;
use mmsgw_engine::Outbound;

use crate::assemble;
use crate::cli::RenderArgs;
use crate::config::{GatewaySettings, Settings};

/// One mail or request.
struct Rendered {
    /// Whom it is for, and what goes before it on the wire.
    about: String,
    octets: Vec<u8>,
}

pub(crate) async fn run(args: RenderArgs) -> anyhow::Result<()> {
    let settings = settings(&args)?;
    let gateway = pick(&settings, &args.gateway)?;
    let outbound = outbound(&settings, &gateway, &args.template).await?;
    let rendered = match &gateway {
        GatewaySettings::Mm4(s) => mails(s, &outbound).await?,
        GatewaySettings::Mm7(s) => requests(s, &outbound).await?,
    };
    let end = if matches!(gateway, GatewaySettings::Mm4(_)) { "eml" } else { "http" };
    if let Some(directory) = &args.into {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    }
    for (index, one) in rendered.iter().enumerate() {
        eprintln!("{}", one.about);
        match &args.into {
            Some(directory) => {
                let file = directory.join(format!("{}.{end}", index + 1));
                std::fs::write(&file, &one.octets)
                    .with_context(|| format!("cannot write {}", file.display()))?;
                eprintln!("  in {}", file.display());
            }
            None => std::io::stdout().write_all(&one.octets)?,
        }
    }
    Ok(())
}

/// The configuration, or where there is none and the gateway is named by its file, all defaults.
fn settings(args: &RenderArgs) -> anyhow::Result<Settings> {
    let file = PathBuf::from(&args.gateway);
    let mut settings = match (args.config.exists(), file.is_file()) {
        (true, false) => Settings::load(&args.config)?,
        (true, true) => Settings::load_with(&args.config, Some(&[file]))?,
        (false, true) => Settings::load_gateway_alone(&args.config, &file)?,
        (false, false) => bail!(
            "there is neither a configuration `{}` nor a gateway file `{}`",
            args.config.display(),
            args.gateway
        ),
    };
    // Whoever runs this may read what lies beside the template.
    if let Some(directory) = args.template.parent() {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        settings.callout.media.file_roots.extend(directory.canonicalize());
    }
    Ok(settings)
}

fn pick(settings: &Settings, wanted: &str) -> anyhow::Result<GatewaySettings> {
    let by_file = Path::new(wanted).is_file();
    let mut gateways = settings.gateways.iter().map(|gateway| &gateway.settings);
    let fits = |g: &&GatewaySettings| by_file || g.group().as_str() == wanted || g.name() == wanted;
    gateways.find(fits).cloned().with_context(|| format!("there is no gateway `{wanted}`"))
}

async fn outbound(settings: &Settings, gateway: &GatewaySettings, file: &Path) -> anyhow::Result<Outbound> {
    let body = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let now = SystemClock.now();
    let request = TemplateRequest::read(&body, &settings.api.rules()?, now)
        .map_err(|problem| anyhow::anyhow!("{}: {problem}", file.display()))?;
    let (draft, submission) = mmsgw_edge_api::drafts(request);
    let mut submission = submission
        .with_context(|| format!("{}: `send` is missing, which says whom it is for", file.display()))?;
    submission.group = Some(gateway.group().clone());
    let directory = tempfile::tempdir()?;
    let engine = assemble::engine_in(settings, directory.path(), gateway).await?;
    let (message, _) = engine.submit_new(draft, submission).await?;
    Ok(engine.prepare(message.id).await?)
}

async fn mails(settings: &mmsgw_edge_mm4::Mm4Settings, outbound: &Outbound) -> anyhow::Result<Vec<Rendered>> {
    let gateway = Mm4Gateway::new(settings, instance(&settings.gateway.group, &settings.gateway.name))?;
    let previews = gateway.preview(outbound).await.map_err(anyhow::Error::msg)?;
    let rendered = |preview: mmsgw_edge_mm4::Preview| {
        let rcpt_to: String = preview.rcpt_to.iter().map(|to| format!("\n  RCPT TO:<{to}>")).collect();
        let about =
            format!("a mail of {} octets\n  MAIL FROM:<{}>{rcpt_to}", preview.mail.len(), preview.mail_from);
        Rendered { about, octets: preview.mail }
    };
    Ok(previews.into_iter().map(rendered).collect())
}

async fn requests(
    settings: &mmsgw_edge_mm7::Mm7Settings,
    outbound: &Outbound,
) -> anyhow::Result<Vec<Rendered>> {
    let gateway = Mm7Gateway::new(settings, instance(&settings.gateway.group, &settings.gateway.name))?;
    let previews = gateway.preview(outbound).await.map_err(anyhow::Error::msg)?;
    let rendered = |preview: mmsgw_edge_mm7::Preview| {
        let octets = [preview.head.as_bytes(), &preview.body].concat();
        let about = format!(
            "a request of {} octets to {} numbers at {}",
            octets.len(),
            preview.recipients.len(),
            settings.outbound.remote_host
        );
        Rendered { about, octets }
    };
    Ok(previews.into_iter().map(rendered).collect())
}

fn instance(group: &mmsgw_domain::GroupName, name: &str) -> InstanceId {
    InstanceId::new(group, name, "localhost", std::process::id())
}

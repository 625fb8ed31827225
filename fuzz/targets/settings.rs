//! Files of the operator: sections of the main file, gateway files, dialects; the first line says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mmsgw_edge_api::ApiSettings;
use mmsgw_edge_callout::CalloutSettings;
use mmsgw_edge_mm4::{Mm4File, ReceiverSettings};
use mmsgw_edge_mm7::Mm7File;
use mmsgw_engine::config::OwnDialects;

fuzz_target!(|text: &str| {
    let Some((kind, text)) = text.split_once('\n') else { return };
    let mut own = OwnDialects::default();
    match kind {
        "api" => drop(toml::from_str::<ApiSettings>(text).map(|settings| settings.check())),
        "mm4rx" => drop(toml::from_str::<ReceiverSettings>(text).map(|settings| settings.check())),
        "mm4" => drop(
            toml::from_str::<Mm4File>(text).map(|file| file.settle(&own).map(|settings| settings.check())),
        ),
        "mm7" => drop(
            toml::from_str::<Mm7File>(text).map(|file| file.settle(&own).map(|settings| settings.check())),
        ),
        "callout" => drop(toml::from_str::<CalloutSettings>(text)),
        _ => {
            let _ = own.add("mine", text.to_owned());
            let gateway = |protocol: &str| {
                format!(
                    "[gateway]\nprotocol = '{protocol}'\ndialect = 'mine'\nname = 'a'\ngroup = 'a'\n[outbound]\nremote_host = 'a'\nlocal_domain = 'b'\n"
                )
            };
            drop(
                toml::from_str::<Mm4File>(&gateway("MM4"))
                    .map(|file| file.settle(&own).map(|settings| settings.check())),
            );
            let mm7 = gateway("MM7").replace("local_domain = 'b'\n", "");
            drop(
                toml::from_str::<Mm7File>(&mm7)
                    .map(|file| file.settle(&own).map(|settings| settings.check())),
            );
        }
    }
});

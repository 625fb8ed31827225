//! `mmsgw key`: makes an API key.

use mmsgw_edge_api::ApiKey;
use secrecy::ExposeSecret;

use crate::cli::KeyArgs;

pub(crate) fn run(args: &KeyArgs) -> anyhow::Result<()> {
    let made = ApiKey::generate();
    let scopes: Vec<String> = args.scopes.iter().map(|scope| format!("\"{scope}\"")).collect();
    println!("For the application, shown only now:\n\n  {}\n", made.secret.expose_secret());
    println!("For the main configuration file:\n");
    println!(
        "[[api.key]]\nname = {:?}\nhash = \"{}\"\nscopes = [{}]",
        args.name,
        made.hash,
        scopes.join(", ")
    );
    Ok(())
}

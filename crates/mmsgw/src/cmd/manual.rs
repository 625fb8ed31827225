//! `mmsgw completions` and `mmsgw man`: made from the command line's own description.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

pub(crate) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mmsgw", &mut text);
    Ok(std::io::stdout().write_all(&text)?)
}

/// The page of the command, and then those of its commands, as one.
pub(crate) fn man() -> anyhow::Result<()> {
    let mut text = Vec::new();
    let mut root = Cli::command();
    root.build();
    render(&root, &mut text)?;
    Ok(std::io::stdout().write_all(&text)?)
}

fn render(command: &clap::Command, text: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(text)?;
    command.get_subcommands().filter(|sub| sub.get_name() != "help").try_for_each(|sub| render(sub, text))
}

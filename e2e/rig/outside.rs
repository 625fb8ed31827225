//! Programs that are not ours: independent readers and a real mail server.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;

use super::LIMIT;

/// A program and the Debian package that has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

/// Where the program is.
///
/// # Panics
/// Where it is not installed: a scenario that could not look has not passed.
pub(crate) fn program(wanted: Program) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.extend(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from));
    let found = places.into_iter().map(|place| place.join(wanted.name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("`{}` is not installed: apt-get install {}", wanted.name, wanted.package))
}

/// Runs a Python program with `arguments`, `input` at its standard input; gives back what it printed.
///
/// # Panics
/// Where it does not end with success.
pub(crate) async fn run_python(script: &str, arguments: &[&str], input: &[u8]) -> String {
    let interpreter = program(Program { name: "python3", package: "python3" });
    let mut child = tokio::process::Command::new(interpreter)
        .arg("-I")
        .arg("-c")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = tokio::spawn(async move {
        let _ = stdin.write_all(&input).await;
    });
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.expect("python3 ends").unwrap();
    feeding.await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "python3: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

//! Media from `file` URLs, under configured directories only.
//!
//! What counts is where the opened file really is, after all symbolic links: it must be a regular file under the
//! real place of a configured directory. That is judged on the file once opened, so that nobody can swap it between
//! the judgement and the reading.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use mmsgw_engine::FetchError;
use url::Url;

use crate::SetupError;

/// The directories under which files may be read.
#[derive(Debug, Clone)]
pub(crate) struct Roots(Vec<PathBuf>);

impl Roots {
    pub(crate) fn new(roots: &[PathBuf]) -> Result<Self, SetupError> {
        match roots.iter().find(|root| !root.is_absolute()) {
            Some(root) => Err(SetupError::RelativeRoot(root.clone())),
            None => Ok(Self(roots.to_vec())),
        }
    }

    /// The path in a `file` URL and the configured directory that it is under, judged by their text.
    pub(crate) fn check(&self, url: &Url) -> Result<(PathBuf, &Path), FetchError> {
        let path = url.to_file_path().map_err(|()| refused("a `file` URL must name a file on this host"))?;
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(refused("a `file` URL must not contain `..`"));
        }
        let root = self.0.iter().find(|root| path.starts_with(root));
        let root =
            root.ok_or_else(|| refused("the file is not under a directory that media may come from"))?;
        Ok((path, root))
    }

    /// Reads the file of a `file` URL, at most `max` octets. Blocks.
    pub(crate) fn read(&self, url: &Url, max: usize) -> Result<Bytes, FetchError> {
        let (path, root) = self.check(url)?;
        let root = fs::canonicalize(root)
            .map_err(|error| FetchError::Later(format!("the media directory cannot be reached: {error}")))?;
        let real = fs::canonicalize(&path).map_err(|error| explain(&error))?;
        inside(&real, &root)?;
        regular(&fs::metadata(&real).map_err(|error| explain(&error))?)?;
        let file = open(&real).map_err(|error| explain(&error))?;
        regular(&file.metadata().map_err(|error| explain(&error))?)?;
        inside(&whereabouts(&file, &path).map_err(|error| explain(&error))?, &root)?;
        slurp(file, max)
    }
}

fn inside(real: &Path, root: &Path) -> Result<(), FetchError> {
    if real.starts_with(root) { Ok(()) } else { Err(refused("the file leads out of the media directory")) }
}

fn regular(metadata: &fs::Metadata) -> Result<(), FetchError> {
    if metadata.is_file() { Ok(()) } else { Err(refused("not a regular file")) }
}

fn slurp(file: File, max: usize) -> Result<Bytes, FetchError> {
    let length = file.metadata().map_err(|error| explain(&error))?.len();
    if length > max as u64 {
        return Err(too_large(max));
    }
    let mut octets = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    file.take(max as u64 + 1).read_to_end(&mut octets).map_err(|error| explain(&error))?;
    // It may have grown meanwhile.
    if octets.len() > max { Err(too_large(max)) } else { Ok(octets.into()) }
}

/// Opens without waiting for a writer, should somebody have put a pipe there this very moment.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, NON_BLOCKING);
    options.open(path)
}

/// `O_NONBLOCK` where it has the value that nearly all ports of Linux share; elsewhere we do without.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]
const NON_BLOCKING: i32 = 0o4000;
#[cfg(all(
    unix,
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
    ))
))]
const NON_BLOCKING: i32 = 0;

/// Where an opened file really is, from the kernel.
#[cfg(target_os = "linux")]
fn whereabouts(file: &File, _path: &Path) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd;
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Where an opened file really is: where its path leads now, if that is still the same file.
#[cfg(all(unix, not(target_os = "linux")))]
fn whereabouts(file: &File, path: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let real = fs::canonicalize(path)?;
    let (opened, named) = (file.metadata()?, fs::symlink_metadata(&real)?);
    let same = (opened.dev(), opened.ino()) == (named.dev(), named.ino());
    if same { Ok(real) } else { Err(io::Error::other("the file was replaced meanwhile")) }
}

fn explain(error: &io::Error) -> FetchError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FetchError::Missing("no such file".into()),
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => {
            refused(&format!("the file cannot be read: {error}"))
        }
        _ => FetchError::Later(format!("the file cannot be read: {error}")),
    }
}

fn refused(reason: &str) -> FetchError {
    FetchError::Refused(reason.to_owned())
}

fn too_large(max: usize) -> FetchError {
    refused(&format!("larger than {max} octets"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    struct Place {
        _keep: tempfile::TempDir,
        base: PathBuf,
    }

    /// `media/` is the configured directory, `secret` and `mediaevil/x` lie outside.
    fn place() -> Place {
        let keep = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(keep.path()).unwrap();
        for directory in ["media/sub", "mediaevil"] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        for file in ["media/a.jpg", "media/sub/b b.jpg", "secret", "mediaevil/x"] {
            fs::write(base.join(file), file).unwrap();
        }
        Place { _keep: keep, base }
    }

    impl Place {
        fn read_from(&self, root: &str, url_path: &str) -> Result<Bytes, FetchError> {
            let roots = Roots::new(&[self.base.join(root)]).unwrap();
            let url = format!("file://{}/{url_path}", self.base.display()).parse().unwrap();
            roots.read(&url, 20)
        }

        fn read(&self, url_path: &str) -> Result<Bytes, FetchError> {
            self.read_from("media", url_path)
        }
    }

    fn is_refused(result: &Result<Bytes, FetchError>) -> bool {
        matches!(result, Err(FetchError::Refused(_)))
    }

    #[test]
    fn files_under_the_directory_are_read() {
        let place = place();
        assert_eq!(place.read("media/a.jpg").unwrap(), "media/a.jpg");
        assert_eq!(place.read("media/sub/b%20b.jpg").unwrap(), "media/sub/b b.jpg");
        symlink("a.jpg", place.base.join("media/link.jpg")).unwrap();
        assert_eq!(place.read("media/link.jpg").unwrap(), "media/a.jpg");
        symlink("media", place.base.join("shared")).unwrap();
        assert_eq!(place.read_from("shared", "shared/a.jpg").unwrap(), "media/a.jpg");
    }

    #[test]
    fn nothing_else_is() {
        let place = place();
        symlink("../secret", place.base.join("media/file")).unwrap();
        symlink("..", place.base.join("media/directory")).unwrap();
        symlink("circle", place.base.join("media/circle")).unwrap();
        for path in [
            "secret",
            "mediaevil/x",
            "media/../secret",
            "media/..%2fsecret",
            "media/%2e%2e/secret",
            "media/sub/..%2f..%2fsecret",
            "media/file",
            "media/directory/secret",
            "media/sub",
            "media",
            "media/a%00.jpg",
        ] {
            let result = place.read(path);
            assert!(is_refused(&result), "{path}: {result:?}");
        }
        assert!(place.read("media/circle").is_err());
        assert!(matches!(place.read("media/none.jpg"), Err(FetchError::Missing(_))));
        assert!(matches!(place.read("media/a.jpg/b"), Err(FetchError::Missing(_))));
        assert!(matches!(place.read_from("gone", "gone/a.jpg"), Err(FetchError::Later(_))));
    }

    #[test]
    fn a_pipe_is_refused_without_waiting_for_it() {
        let place = place();
        let pipe = place.base.join("media/pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(is_refused(&place.read("media/pipe")));
        // Had it been swapped in after the first look, opening it would not have waited for a writer either.
        assert!(regular(&open(&pipe).unwrap().metadata().unwrap()).is_err());
    }

    #[test]
    fn the_place_of_an_opened_file_is_where_it_really_is() {
        let place = place();
        symlink("../secret", place.base.join("media/file")).unwrap();
        let path = place.base.join("media/file");
        let file = open(&path).unwrap();
        assert_eq!(whereabouts(&file, &path).unwrap(), place.base.join("secret"));
    }

    #[test]
    fn sizes_are_limited() {
        let place = place();
        fs::write(place.base.join("media/20"), [0; 20]).unwrap();
        fs::write(place.base.join("media/21"), [0; 21]).unwrap();
        assert_eq!(place.read("media/20").unwrap().len(), 20);
        assert!(is_refused(&place.read("media/21")));
    }

    #[test]
    fn other_hosts_and_relative_directories_are_refused() {
        let roots = Roots::new(&["/".into()]).unwrap();
        assert!(roots.check(&"file://elsewhere/etc/passwd".parse().unwrap()).is_err());
        assert!(roots.check(&"file:///etc/passwd".parse().unwrap()).is_ok());
        let none = Roots::new(&[]).unwrap();
        assert!(none.check(&"file:///etc/passwd".parse().unwrap()).is_err());
        assert!(matches!(Roots::new(&["media".into()]), Err(SetupError::RelativeRoot(_))));
    }
}

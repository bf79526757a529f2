//! Master keys: 32 bytes each, as text.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};
use sha2::{Digest, Sha256};

/// The variable that holds keys.
const VARIABLE: &str = "FANFARE_MASTER_KEY";
/// Bytes of a key.
const SIZE: usize = 32;
/// Largest file that is read, bytes.
const FILE_MAX: u64 = 64 * 1024;

/// One key. `Debug` shows its id alone.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    bytes: [u8; SIZE],
}

impl MasterKey {
    /// A new one. Fails when the system's generator does.
    pub fn make() -> Result<Self, SysError> {
        let mut bytes = [0; SIZE];
        SysRng.try_fill_bytes(&mut bytes)?;
        Ok(Self::of(bytes))
    }

    fn of(bytes: [u8; SIZE]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"fanfare master key id");
        hash.update(bytes);
        Self { id: hex::encode(&hash.finalize()[..4]), bytes }
    }

    /// 8 hexadecimal digits that tell keys apart and nothing else about them.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as it is written down.
    pub fn reveal(&self) -> String {
        STANDARD.encode(self.bytes)
    }

    pub(super) fn bytes(&self) -> [u8; SIZE] {
        self.bytes
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = if text.len() == SIZE * 2 {
            hex::decode(text).ok()?
        } else {
            let engines = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD];
            engines.iter().find_map(|engine| engine.decode(text).ok())?
        };
        let bytes: [u8; SIZE] = bytes.try_into().ok()?;
        // Somebody's example, and no key.
        bytes.iter().any(|byte| *byte != bytes[0]).then(|| Self::of(bytes))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not keys.
    #[error(
        "{place}: key {number} is not 32 bytes in base64 or hexadecimal; make one with \
         `fanfare secrets new-key`"
    )]
    Wrong {
        /// The variable, or the file.
        place: String,
        /// Which of them, from 1.
        number: usize,
    },
    /// Set, but to nothing.
    #[error("{0} holds no key; make one with `fanfare secrets new-key`")]
    Empty(String),
    /// The file is not there, or cannot be read.
    #[error("the key file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be made.
    #[error(
        "a key for the secrets in the store cannot be written to {path}: {source}; give one as \
         FANFARE_MASTER_KEY or [secrets] key_file"
    )]
    Unwritable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    NoRandomness(#[from] SysError),
}

/// The keys that the environment and the settings give: those of `FANFARE_MASTER_KEY` first, then
/// those of the file.
pub fn configured(
    file: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<MasterKey>, KeyError> {
    let mut keys = Vec::new();
    if let Some(text) = env(VARIABLE) {
        keys.extend(parse(VARIABLE, &text)?);
    }
    if let Some(path) = file {
        keys.extend(read(path)?);
    }
    Ok(keys)
}

/// Keys parted by blanks, commas or line ends; what follows a `#` is a comment.
fn parse(place: &str, text: &str) -> Result<Vec<MasterKey>, KeyError> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.flat_map(|line| line.split([',', ' ', '\t', '\r']));
    let words = words.filter(|word| !word.is_empty());
    let keys = words.enumerate().map(|(n, word)| {
        let wrong = || KeyError::Wrong { place: place.to_owned(), number: n + 1 };
        MasterKey::parse(word).ok_or_else(wrong)
    });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(KeyError::Empty(place.to_owned())) } else { Ok(keys) }
}

/// The keys of a file.
pub(super) fn read(path: &Path) -> Result<Vec<MasterKey>, KeyError> {
    let shown = path.display().to_string();
    let open = || {
        let file = std::fs::File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        let mut text = String::new();
        file.take(FILE_MAX).read_to_string(&mut text)?;
        Ok((mode, text))
    };
    let (mode, text) =
        open().map_err(|source| KeyError::Unreadable { path: shown.clone(), source })?;
    if mode & 0o004 != 0 {
        tracing::warn!("{shown} holds master keys and can be read by everybody: chmod 600");
    }
    parse(&shown, &text)
}

/// Makes a file with a new key, for its owner alone, unless there is one already; the keys in it,
/// and whether it was made.
pub(super) fn read_or_make(path: &Path) -> Result<(Vec<MasterKey>, bool), KeyError> {
    if path.exists() {
        return Ok((read(path)?, false));
    }
    let key = MasterKey::make()?;
    let text = format!(
        "# Encrypts the secrets in fanfare.db. Without it they cannot be read: keep a copy elsewhere.\n{}\n",
        key.reveal()
    );
    match write_new(path, &text) {
        Ok(()) => Ok((vec![key], true)),
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((read(path)?, false)),
        Err(source) => Err(KeyError::Unwritable { path: path.display().to_string(), source }),
    }
}

/// Whole or not at all, and never over another.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    // Made with 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    std::fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<MasterKey>, KeyError> {
        configured(None, &|name| (name == VARIABLE).then(|| text.to_owned()))
    }

    #[test]
    fn keys_are_read_in_every_usual_spelling() {
        let key = MasterKey::make().unwrap();
        let hex = hex::encode(key.bytes);
        let url = URL_SAFE_NO_PAD.encode(key.bytes);
        let all = format!("{}, {hex}\n# old {hex}\n{url} # the same\n", key.reveal());
        let ids: Vec<_> = of(&all).unwrap().iter().map(|key| key.id().to_owned()).collect();
        assert_eq!(ids, [key.id(), key.id(), key.id()]);
        assert_ne!(MasterKey::make().unwrap().id(), key.id());
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        let good = MasterKey::make().unwrap().reveal();
        let zeros = STANDARD.encode([0; 32]);
        for wrong in ["password", &good[..20], &format!("{good}{good}"), &zeros] {
            let error = of(&format!("{good} {wrong}")).unwrap_err().to_string();
            assert!(error.contains("FANFARE_MASTER_KEY: key 2") && !error.contains(wrong));
        }
        assert!(of("").unwrap_err().to_string().contains("holds no key"));
        let debug = format!("{:?}", MasterKey::parse(&good));
        assert!(!debug.contains(&good[..8]) && !debug.contains("bytes: ["), "{debug}");
    }

    #[test]
    fn a_key_file_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let (made, new) = read_or_make(&path).unwrap();
        let (again, new_again) = read_or_make(&path).unwrap();
        assert_eq!((new, new_again), (true, false));
        assert_eq!(made[0].id(), again[0].id());
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let from_file = configured(Some(&path), &|_| None).unwrap();
        assert_eq!(from_file[0].id(), made[0].id());
        let missing = configured(Some(&dir.path().join("none")), &|_| None).unwrap_err();
        assert!(missing.to_string().contains("none cannot be read"), "{missing}");
    }
}

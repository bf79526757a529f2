//! Master keys: 32 bytes each, written as text.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};
use sha2::{Digest, Sha256};

/// The environment variable that holds keys.
const VARIABLE: &str = "FANFARE_MASTER_KEY";
/// Bytes in a key.
const SIZE: usize = 32;
/// Largest key file that is read, in bytes.
const FILE_MAX: u64 = 64 * 1024;

/// One key. `Debug` shows only its id.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    bytes: [u8; SIZE],
}

impl MasterKey {
    /// Generates a key. Fails if the system's random number generator fails.
    pub fn generate() -> Result<Self, SysError> {
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

    /// 8 hexadecimal digits that identify the key and reveal nothing else about it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as text, to store it somewhere.
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
        // A single repeated byte is an example, not a key.
        bytes.iter().any(|byte| *byte != bytes[0]).then(|| Self::of(bytes))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why master keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A text is not a key.
    #[error(
        "{place}: key {number} is not 32 bytes in base64 or hexadecimal; create one with \
             `fanfare secrets new-key`"
    )]
    Invalid {
        /// The variable or the file.
        place: String,
        /// The number of the key, from 1.
        number: usize,
    },
    /// The variable or file is empty.
    #[error("{0} contains no key; create one with `fanfare secrets new-key`")]
    Empty(String),
    /// The file does not exist or cannot be read.
    #[error("the key file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be created.
    #[error(
        "the master key file {path} cannot be created: {source}; make the folder writable, or pass \
             a key as FANFARE_MASTER_KEY or [secrets] key_file"
    )]
    Unwritable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The system's random number generator failed.
    #[error("the system's random number generator failed: {0}; try again")]
    NoRandomness(#[from] SysError),
}

/// The keys from the environment and the settings: those of `FANFARE_MASTER_KEY` first, then those
/// of the file.
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

/// Parses keys separated by blanks, commas or line breaks. `#` begins a comment.
fn parse(place: &str, text: &str) -> Result<Vec<MasterKey>, KeyError> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.flat_map(|line| line.split([',', ' ', '\t', '\r']));
    let words = words.filter(|word| !word.is_empty());
    let keys = words.enumerate().map(|(n, word)| {
        let invalid = || KeyError::Invalid { place: place.to_owned(), number: n + 1 };
        MasterKey::parse(word).ok_or_else(invalid)
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
        tracing::warn!(
            "{shown} contains master keys and is readable by all users; run `chmod 600 {shown}`"
        );
    }
    parse(&shown, &text)
}

/// Reads a key file. If it does not exist, creates it with a new key, readable only by its owner.
/// Returns the keys and whether the file was created.
pub(super) fn read_or_create(path: &Path) -> Result<(Vec<MasterKey>, bool), KeyError> {
    if path.exists() {
        return Ok((read(path)?, false));
    }
    let key = MasterKey::generate()?;
    let text = format!(
        "# Encrypts the secrets in fanfare.db, which cannot be read without it. Keep a copy elsewhere.\n{}\n",
        key.reveal()
    );
    match write_new(path, &text) {
        Ok(()) => Ok((vec![key], true)),
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((read(path)?, false)),
        Err(source) => Err(KeyError::Unwritable { path: path.display().to_string(), source }),
    }
}

/// Writes the whole file or nothing, and never overwrites a file.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    // The temporary file has mode 0600.
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
    fn keys_are_accepted_in_every_usual_encoding() {
        let key = MasterKey::generate().unwrap();
        let hex = hex::encode(key.bytes);
        let url = URL_SAFE_NO_PAD.encode(key.bytes);
        let all = format!("{}, {hex}\n# old {hex}\n{url} # the same\n", key.reveal());
        let ids: Vec<_> = of(&all).unwrap().iter().map(|key| key.id().to_owned()).collect();
        assert_eq!(ids, [key.id(), key.id(), key.id()]);
        assert_ne!(MasterKey::generate().unwrap().id(), key.id());
    }

    #[test]
    fn an_invalid_key_is_refused_and_not_shown() {
        let good = MasterKey::generate().unwrap().reveal();
        let zeros = STANDARD.encode([0; 32]);
        for wrong in ["password", &good[..20], &format!("{good}{good}"), &zeros] {
            let error = of(&format!("{good} {wrong}")).unwrap_err().to_string();
            assert!(error.contains("FANFARE_MASTER_KEY: key 2") && !error.contains(wrong));
        }
        assert!(of("").unwrap_err().to_string().contains("contains no key"));
        let debug = format!("{:?}", MasterKey::parse(&good));
        assert!(!debug.contains(&good[..8]) && !debug.contains("bytes: ["), "{debug}");
    }

    #[test]
    fn a_key_file_is_created_once_and_readable_only_by_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let (made, new) = read_or_create(&path).unwrap();
        let (again, new_again) = read_or_create(&path).unwrap();
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

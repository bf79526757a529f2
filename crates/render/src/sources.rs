//! Where templates come from, and which file is which part of which template.
//!
//! The binary has the built-in templates. The files of the server's folder replace them, and a
//! tenant's own templates replace both.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fanfare_contract::Part;
use include_dir::{Dir, include_dir};

use super::error::TemplateError;
use super::links::Links;

/// The built-in templates. A new file is included when this crate is compiled again.
static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../templates");

/// The template for a type without a template of its own.
pub(super) const DEFAULT: &str = "_default";
/// The template for a digest.
pub(super) const DIGEST: &str = "_digest";
/// Most bytes of a template file.
const FILE_BYTES: u64 = 256 * 1024;

/// What an engine has besides the built-in templates.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A folder with the layout of `templates/`. Its files replace built-in templates or add new
    /// ones.
    pub dir: Option<PathBuf>,
    /// Links for every tenant. A tenant's own link with the same name replaces one.
    pub links: Links,
    /// The tenants that set a name, links, or templates.
    pub tenants: BTreeMap<String, Tenant>,
}

/// What one tenant sets for its messages.
#[derive(Clone, Debug, Default)]
pub struct Tenant {
    /// The display name. Templates show the tenant's id if it is `None`.
    pub name: Option<String>,
    /// Links into the tenant's own systems.
    pub links: Links,
    /// Templates by path, for example `email/kyc.session.created/subject.txt.hbs`.
    pub overrides: BTreeMap<String, String>,
}

/// Where a template comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The binary.
    Builtin,
    /// The folder that the key `templates` in the server's settings names.
    Folder,
    /// The tenant.
    Tenant,
}

/// The format of a template. Each has its own escape and its own partials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    Text,
    Html,
    Slack,
}

impl Format {
    pub(super) fn of(part: Part) -> Self {
        match part {
            Part::Subject | Part::Text => Self::Text,
            Part::Html => Self::Html,
            Part::Slack => Self::Slack,
        }
    }

    /// The path of the partial with this name.
    pub(super) fn partial(self, name: &str) -> String {
        match self {
            Self::Text => format!("email/partials/{name}.txt.hbs"),
            Self::Html => format!("email/partials/{name}.mjml.hbs"),
            Self::Slack => format!("slack/partials/{name}.json.hbs"),
        }
    }
}

/// A template's event type (or `_default`, `_digest`) and part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) kind: String,
    pub(super) part: Part,
}

impl Name {
    /// The name in errors and lists: `email/kyc.session.created/html`, `slack/_default`.
    pub(super) fn display(&self) -> String {
        let kind = &self.kind;
        match self.part {
            Part::Subject => format!("email/{kind}/subject"),
            Part::Html => format!("email/{kind}/html"),
            Part::Text => format!("email/{kind}/text"),
            Part::Slack => format!("slack/{kind}"),
        }
    }
}

/// What a file is, by its path in the layout.
enum Role {
    Template(Name),
    Partial,
}

fn role(path: &str) -> Result<Role, &'static str> {
    let template = |kind: &str, part| {
        let valid = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
        let name = Name { kind: kind.to_owned(), part };
        if valid {
            Ok(Role::Template(name))
        } else {
            Err(
                "the event type in the path is not valid; use ASCII letters, digits, `_`, `-`, and `.`",
            )
        }
    };
    match path.split('/').collect::<Vec<_>>()[..] {
        ["email", "partials", file]
            if file.ends_with(".mjml.hbs") || file.ends_with(".txt.hbs") =>
        {
            Ok(Role::Partial)
        }
        ["slack", "partials", file] if file.ends_with(".json.hbs") => Ok(Role::Partial),
        ["email", kind, "subject.txt.hbs"] => template(kind, Part::Subject),
        ["email", kind, "body.mjml.hbs" | "html.mjml.hbs"] => template(kind, Part::Html),
        ["email", kind, "body.txt.hbs" | "text.txt.hbs"] => template(kind, Part::Text),
        ["slack", file] if file.ends_with(".json.hbs") => {
            template(file.trim_end_matches(".json.hbs"), Part::Slack)
        }
        _ => Err("this is not the path of a template; rename it to \
                  email/<type>/{subject.txt,body.mjml,body.txt}.hbs, slack/<type>.json.hbs, \
                  email/partials/<name>.{mjml,txt}.hbs, or slack/partials/<name>.json.hbs"),
    }
}

/// The templates and partials of one owner.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) templates: BTreeMap<Name, File>,
    partials: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) source: String,
    pub(super) origin: Origin,
}

impl Layer {
    /// The built-in templates.
    pub(super) fn builtin() -> (Self, Vec<TemplateError>) {
        let mut files = Vec::new();
        let mut folders = vec![&FILES];
        while let Some(folder) = folders.pop() {
            folders.extend(folder.dirs());
            for file in
                folder.files().filter(|file| file.path().extension().is_some_and(|e| e == "hbs"))
            {
                let source = file.contents_utf8().unwrap_or_default().to_owned();
                files.push((file.path().to_string_lossy().replace('\\', "/"), source));
            }
        }
        Self::of(files, Origin::Builtin)
    }

    /// The templates in a folder. Hidden files and files that do not end in `.hbs` are ignored.
    pub(super) fn folder(root: &Path) -> (Self, Vec<TemplateError>) {
        let (mut files, mut errors) = (Vec::new(), Vec::new());
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            if let Err(error) = read_folder(root, &folder, &mut folders, &mut files) {
                let path = folder.display().to_string();
                errors
                    .push(TemplateError::new(path, format!("the folder cannot be read: {error}")));
            }
        }
        let (layer, faults) = Self::of(files, Origin::Folder);
        errors.extend(faults);
        (layer, errors)
    }

    /// A tenant's own templates.
    pub(super) fn tenant(overrides: &BTreeMap<String, String>) -> (Self, Vec<TemplateError>) {
        let files = overrides.iter().map(|(path, source)| (path.clone(), source.clone()));
        Self::of(files.collect(), Origin::Tenant)
    }

    fn of(files: Vec<(String, String)>, origin: Origin) -> (Self, Vec<TemplateError>) {
        let mut layer = Self::default();
        let mut errors = Vec::new();
        for (path, source) in files {
            if source.len() as u64 > FILE_BYTES {
                let message =
                    format!("the file has {} bytes; the limit is {FILE_BYTES}", source.len());
                errors.push(TemplateError::new(path, message));
                continue;
            }
            // Some editors write a BOM. CR LF would make line numbers wrong.
            let source = source.trim_start_matches('\u{feff}').replace("\r\n", "\n");
            match role(&path) {
                Ok(Role::Template(name)) => {
                    let shown = name.display();
                    let file = File { path, source, origin };
                    if layer.templates.insert(name, file).is_some() {
                        let message = "two files have this template; remove one of them";
                        errors.push(TemplateError::new(shown, message));
                    }
                }
                Ok(Role::Partial) => drop(layer.partials.insert(path, source)),
                Err(message) => errors.push(TemplateError::new(path, message)),
            }
        }
        (layer, errors)
    }

    /// Whether the layer has the partial at this path.
    pub(super) fn has_partial(&self, path: &str) -> bool {
        self.partials.contains_key(path)
    }

    /// Whether the layer has any partial.
    pub(super) fn has_partials(&self) -> bool {
        !self.partials.is_empty()
    }

    /// A partial's path and source, by format and name.
    pub(super) fn partial(&self, format: Format, name: &str) -> Option<(String, &str)> {
        let path = format.partial(name);
        let source = self.partials.get(&path)?.as_str();
        Some((path, source))
    }
}

fn read_folder(
    root: &Path,
    folder: &Path,
    folders: &mut Vec<PathBuf>,
    files: &mut Vec<(String, String)>,
) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if name.ends_with(".hbs") {
            let inside = path.strip_prefix(root).unwrap_or(&path);
            let inside = inside.to_string_lossy().replace('\\', "/");
            files.push((inside, fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

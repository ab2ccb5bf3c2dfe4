//! Installed packages: where they are, and their modules on demand. No interpreter is started.

use std::path::{Path, PathBuf};

use crate::discover::Found;

/// Directories that installed modules are looked up in.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    directories: Vec<PathBuf>,
    /// The version of the environment's interpreter, where `pyvenv.cfg` says it.
    pub version: Option<(u8, u8)>,
}

impl Environment {
    /// The environment of `python` (an interpreter or an environment's directory), else the active one, else the
    /// `.venv` or `venv` nearest to the project.
    ///
    /// # Errors
    ///
    /// `python` was given and holds no `site-packages`.
    pub fn find(python: Option<&Path>, project: &Path) -> Result<Self, String> {
        if let Some(python) = python {
            let root = root_of(python);
            return Self::at(&root)
                .ok_or_else(|| format!("`{}` is no Python environment: it has no `site-packages`", python.display()));
        }
        let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
        let near = project.ancestors().flat_map(|directory| [directory.join(".venv"), directory.join("venv")]);
        Ok(active.into_iter().chain(near).find_map(|root| Self::at(&root)).unwrap_or_default())
    }

    fn at(root: &Path) -> Option<Self> {
        let mut directories = Vec::new();
        let libraries = [root.join("lib"), root.join("Lib")];
        for library in &libraries {
            directories.extend(Some(library.join("site-packages")).filter(|path| path.is_dir()));
            let mut versions: Vec<PathBuf> =
                std::fs::read_dir(library).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            versions.sort();
            for version in versions {
                let is_python =
                    version.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("python3"));
                directories.extend(Some(version.join("site-packages")).filter(|path| is_python && path.is_dir()));
            }
        }
        if directories.is_empty() {
            return None;
        }
        let extra: Vec<PathBuf> = directories.iter().flat_map(|directory| path_files(directory)).collect();
        directories.extend(extra);
        let version = std::fs::read_to_string(root.join("pyvenv.cfg")).ok().and_then(|text| configured_version(&text));
        Some(Self { directories, version })
    }

    /// The file of an installed module.
    pub fn locate(&self, module: &str) -> Option<Found> {
        let relative: PathBuf = module.split('.').collect();
        self.directories.iter().find_map(|directory| {
            let base = directory.join(&relative);
            let package = base.join("__init__.py");
            let (path, is_package) =
                if package.is_file() { (package, true) } else { (base.with_extension("py"), false) };
            path.is_file().then(|| Found { path, names: vec![module.to_owned()], is_package })
        })
    }

    /// Where it looks.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Whether there is anything to look in.
    pub fn is_empty(&self) -> bool {
        self.directories.is_empty()
    }
}

/// `env/bin/python` stands for `env`; a base interpreter's prefix works alike.
fn root_of(python: &Path) -> PathBuf {
    if python.is_dir() {
        return python.to_path_buf();
    }
    // An environment's `bin/python` is a link out of it, so the link itself says where the environment is.
    python.parent().and_then(Path::parent).map_or_else(|| python.to_path_buf(), Path::to_path_buf)
}

/// Directories that `.pth` files add; lines that run code are not followed.
fn path_files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "pth")) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#'])) {
            if !line.starts_with("import ") {
                found.extend(Some(directory.join(line)).filter(|path| path.is_dir()));
            }
        }
    }
    found
}

fn configured_version(text: &str) -> Option<(u8, u8)> {
    let line = text.lines().find(|line| line.trim_start().starts_with("version"))?;
    parse_version(line.split_once('=')?.1.trim())
}

/// `3.11` or `3.11.7` as a pair.
pub fn parse_version(text: &str) -> Option<(u8, u8)> {
    let mut parts = text.trim().split('.');
    let major = parts.next()?.trim().parse().ok()?;
    let minor: String = parts.next()?.chars().take_while(char::is_ascii_digit).collect();
    Some((major, minor.parse().ok()?))
}

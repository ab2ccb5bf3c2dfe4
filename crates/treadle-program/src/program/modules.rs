//! The module graph: which file an import means.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use bitcode::{Decode, Encode};
use rustc_hash::FxHashMap;

use crate::facts::FileFacts;
use crate::ids::FileId;

/// One file of a program, lowered.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The file, as the user would write it.
    pub path: Arc<Path>,
    /// The dotted names it can be imported by, the best first.
    pub names: Vec<String>,
    /// Whether it is a package's `__init__`.
    pub is_package: bool,
    /// Whether it belongs to an installed package: asked about, never reported on.
    pub installed: bool,
    /// What it says.
    pub facts: Facts,
}

/// What a file says, read when somebody first asks.
#[derive(Clone)]
pub struct Facts(Arc<LazyLock<FileFacts, Box<dyn FnOnce() -> FileFacts + Send>>>);

impl Facts {
    /// Facts that `read` gives when they are asked for.
    pub fn later(read: impl FnOnce() -> FileFacts + Send + 'static) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(read))))
    }
}

impl From<FileFacts> for Facts {
    fn from(facts: FileFacts) -> Self {
        let facts = Self::later(move || facts);
        LazyLock::force(&facts.0);
        facts
    }
}

impl Deref for Facts {
    type Target = FileFacts;

    fn deref(&self) -> &FileFacts {
        &self.0
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts").finish_non_exhaustive()
    }
}

/// A dotted prefix of module names that no file stands for: a namespace package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct NamespaceId(pub u32);

/// Where an absolute dotted module name leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// A file.
    File(FileId),
    /// A namespace package.
    Namespace(NamespaceId),
}

/// Module names and the files behind them.
#[derive(Debug, Default)]
pub struct Modules {
    by_name: FxHashMap<Box<str>, FileId>,
    /// `directory/stem` of files that stand in no package: scripts import their neighbours by bare name.
    by_neighbour: FxHashMap<Box<str>, FileId>,
    namespaces: FxHashMap<Box<str>, NamespaceId>,
    namespace_names: Vec<Box<str>>,
}

impl Modules {
    /// Takes in the names of all files. Earlier files and better names win; the program's own files win over installed ones.
    pub fn new(files: &[SourceFile]) -> Self {
        let mut modules = Self::default();
        let deepest = files.iter().map(|file| file.names.len()).max().unwrap_or(0);
        for installed in [false, true] {
            for rank in 0..deepest {
                for (number, file) in files.iter().enumerate().filter(|(_, file)| file.installed == installed) {
                    if let Some(name) = file.names.get(rank) {
                        modules.by_name.entry(name.as_str().into()).or_insert(FileId(number as u32));
                    }
                }
            }
        }
        for (number, file) in files.iter().enumerate() {
            if let Some(key) = neighbour_key(&file.path, file.path.file_stem().and_then(|stem| stem.to_str()))
                && !file.installed
            {
                modules.by_neighbour.entry(key.into()).or_insert(FileId(number as u32));
            }
            for name in &file.names {
                modules.add_namespaces(name);
            }
        }
        modules
    }

    fn add_namespaces(&mut self, name: &str) {
        let mut prefix = name;
        while let Some((parent, _)) = prefix.rsplit_once('.') {
            prefix = parent;
            if self.by_name.contains_key(prefix) || self.namespaces.contains_key(prefix) {
                continue;
            }
            let id = NamespaceId(self.namespace_names.len() as u32);
            self.namespace_names.push(prefix.into());
            self.namespaces.insert(prefix.into(), id);
        }
    }

    /// The module of an absolute dotted name.
    pub fn find(&self, name: &str) -> Option<Module> {
        let file = self.by_name.get(name).copied().map(Module::File);
        file.or_else(|| self.namespaces.get(name).copied().map(Module::Namespace))
    }

    /// The module a file means by a bare absolute name, its neighbours considered first when it is in no package.
    pub fn find_from(&self, file: &SourceFile, name: &str) -> Option<Module> {
        let (head, rest) = name.split_once('.').map_or((name, None), |(head, rest)| (head, Some(rest)));
        let in_package = file.is_package || file.names.first().is_none_or(|own| own.contains('.'));
        if !in_package
            && rest.is_none()
            && let Some(key) = neighbour_key(&file.path, Some(head))
            && let Some(found) = self.by_neighbour.get(key.as_str())
        {
            return Some(Module::File(*found));
        }
        self.find(name)
    }

    /// The dotted name of a namespace package.
    pub fn namespace(&self, id: NamespaceId) -> &str {
        &self.namespace_names[id.0 as usize]
    }
}

/// The absolute dotted name of `level` dots and `module` in a file.
pub(crate) fn absolute(file: &SourceFile, level: u32, module: &str) -> Option<String> {
    if level == 0 {
        return Some(module.to_owned());
    }
    let mut package = file.names.first()?.as_str();
    let up = if file.is_package { level - 1 } else { level };
    for _ in 0..up {
        package = package.rsplit_once('.').map_or("", |(parent, _)| parent);
    }
    Some(match (package.is_empty(), module.is_empty()) {
        (_, true) => package.to_owned(),
        (true, false) => module.to_owned(),
        (false, false) => format!("{package}.{module}"),
    })
}

fn neighbour_key(path: &Path, stem: Option<&str>) -> Option<String> {
    Some(format!("{}/{}", path.parent()?.display(), stem?))
}

//! Whose code a file is: the program's, a package's, Python's, or that of those who only pass on what others ask for.

use treadle_events::Owner;

/// Where code comes from that is not the program's.
#[derive(Clone, Debug)]
pub(crate) struct Libraries {
    /// The directory of Python's own modules.
    pub(crate) python: String,
    /// Directories whose code only passes on what others ask for: asyncio's and ours.
    pub(crate) inner: Vec<String>,
}

/// Whose code it is, from the nearest to the program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kin {
    Program,
    Package,
    Python,
    Inner,
    /// Where a loop begins to run: whoever is above has nothing to do with what it runs.
    Entry,
}

impl Kin {
    pub(crate) fn owner(self, file: &str) -> Owner {
        match self {
            Self::Program => Owner::Program,
            Self::Package => Owner::Package(package(file).unwrap_or_default().to_owned()),
            Self::Python | Self::Inner | Self::Entry => Owner::Python,
        }
    }
}

impl Libraries {
    /// Whose code a file is, and whether it only passes on what others ask for.
    pub(crate) fn owner(&self, file: &str) -> (Owner, bool) {
        let kin = self.kin(file);
        (kin.owner(file), kin == Kin::Inner)
    }

    pub(crate) fn kin(&self, file: &str) -> Kin {
        if self.inner.iter().any(|directory| is_inside(file, directory)) {
            return Kin::Inner;
        }
        if package(file).is_some() {
            return Kin::Package;
        }
        if file.starts_with("<frozen ") || is_inside(file, &self.python) {
            return Kin::Python;
        }
        Kin::Program
    }
}

fn is_inside(file: &str, directory: &str) -> bool {
    !directory.is_empty() && file.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// The installed package that a file belongs to.
fn package(file: &str) -> Option<&str> {
    let (_, rest) = file.rsplit_once("/site-packages/").or_else(|| file.rsplit_once("/dist-packages/"))?;
    let first = rest.split('/').next()?;
    Some(first.strip_suffix(".py").unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_apart_by_where_its_file_is() {
        let libraries = Libraries {
            python: "/usr/lib/python3.13".to_owned(),
            inner: vec!["/usr/lib/python3.13/asyncio".to_owned(), "/env/site-packages/treadle".to_owned()],
        };
        for (file, kin) in [
            ("/srv/app/main.py", Kin::Program),
            ("<string>", Kin::Program),
            ("/usr/lib/python3.13/json/decoder.py", Kin::Python),
            ("/usr/lib/python3.13/asyncio/tasks.py", Kin::Inner),
            ("/usr/lib/python3.13/asyncio_tools.py", Kin::Python),
            ("/env/site-packages/treadle/loop/base.py", Kin::Inner),
            ("/env/site-packages/treadle_extras/base.py", Kin::Package),
            ("/usr/lib/python3.13/site-packages/six.py", Kin::Package),
            ("<frozen importlib._bootstrap>", Kin::Python),
        ] {
            assert!(libraries.kin(file) == kin, "{file}");
        }
        assert_eq!(package("/env/site-packages/aiohttp/web.py"), Some("aiohttp"));
        assert_eq!(package("/usr/lib/python3/dist-packages/six.py"), Some("six"));
    }
}

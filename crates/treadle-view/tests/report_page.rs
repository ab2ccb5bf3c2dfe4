//! The page of `treadle report` is generated and committed: here it is compared with its sources, without Node.
//!
//! `tests/run-report check` compares the bytes too, where Node is. What the page shows is tested in a browser, by
//! `make test-report`.

use std::path::Path;

const MAKE_ANEW: &str = "`make report-page` makes it anew";

#[test]
fn page_is_made_of_the_sources_that_are_here() -> std::io::Result<()> {
    let page = include_str!("../src/report/page.html");
    let told = page.split_once("sources: ").and_then(|(_, rest)| rest.get(..16));
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("report");
    let mut files = Vec::new();
    collect(&sources, "", &mut files)?;
    files.sort();
    assert!(files.iter().any(|name| name == "package-lock.json"), "{files:?}");
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for name in &files {
        let bytes = std::fs::read(sources.join(name))?;
        hash = fnv(hash, format!("{name}\0{}\0", bytes.len()).as_bytes());
        hash = fnv(hash, &bytes);
    }
    assert_eq!(told, Some(format!("{hash:016x}").as_str()), "the page is stale; {MAKE_ANEW}");
    Ok(())
}

#[test]
fn page_has_each_placeholder_once_and_asks_nothing_of_the_network() {
    let page = include_str!("../src/report/page.html");
    for placeholder in ["@@TITLE@@", "@@REPORT@@"] {
        assert_eq!(page.matches(placeholder).count(), 1, "{placeholder}; {MAKE_ANEW}");
    }
    assert_eq!(page.matches("@@").count(), 4, "a placeholder was left");
    assert!(page.contains("content=\"default-src 'none'; "), "nothing but the file itself may be asked for");
    assert!(!page.contains(" src=\"http") && !page.contains("@import"));
    assert!(page.len() <= 400 * 1024, "{} bytes", page.len());
}

/// FNV-1a, as `report/build.mjs` computes it.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// All files, named from the directory of the sources.
fn collect(directory: &Path, prefix: &str, files: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "node_modules" {
            continue;
        }
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), files)?;
        } else {
            files.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

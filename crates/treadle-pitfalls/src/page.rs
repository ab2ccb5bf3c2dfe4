//! What a page is made of: sections, the programs in them, and the marks in the programs.
//!
//! `page.md` is written for people; the programs in it are tests at the same time. `cases.md` beside it holds further
//! programs that would only make the page long. Both are read here, for the tests and for the documentation.

/// The headings of a page, in order.
pub const HEADINGS: [&str; 5] =
    ["What it looks like", "Why it hurts", "Write this instead", "When it is fine", "How treadle sees it"];

/// The headings of `cases.md`, in order: programs with marks, and programs in which nothing is to be found.
pub const CASE_HEADINGS: [&str; 2] = ["Found", "Silent"];

/// A block of Python under a heading.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<'p> {
    /// The heading it stands under.
    pub heading: &'p str,
    /// The line of the page it starts on, from 1.
    pub line: usize,
    /// Whether it is also meant to be executed: `py run`.
    pub runs: bool,
    /// Its files. A line `# file: app/db.py` begins one; without such a line the only file is `app.py`.
    pub files: Vec<File<'p>>,
}

/// A file of a block.
#[derive(Debug, PartialEq, Eq)]
pub struct File<'p> {
    /// Relative, with `/`.
    pub path: &'p str,
    /// The text, marks included: they are comments.
    pub text: String,
}

/// `# error: words` at the end of a line: a finding of the checker on that line whose message contains the words. `# watch: words` is the same
/// for the doctor.
#[derive(Debug, PartialEq, Eq)]
pub struct Mark<'p> {
    /// The line in the file, from 1.
    pub line: usize,
    /// Words of the message.
    pub words: &'p str,
}

impl Block<'_> {
    /// How many findings the block's marks ask the checker for.
    pub fn hits(&self) -> usize {
        self.files.iter().map(|file| file.marks().count()).sum()
    }

    /// How many findings they ask the doctor for.
    pub fn watches(&self) -> usize {
        self.files.iter().map(|file| file.watches().count()).sum()
    }
}

impl File<'_> {
    /// The marks in the file.
    pub fn marks(&self) -> impl Iterator<Item = Mark<'_>> {
        self.text.lines().enumerate().filter_map(|(at, line)| {
            line.split_once("# error: ").map(|(_, words)| Mark { line: at + 1, words: before_watch(words) })
        })
    }

    /// The marks for the doctor: `# watch: words`, after one for the checker if there is one.
    pub fn watches(&self) -> impl Iterator<Item = Mark<'_>> {
        self.text.lines().enumerate().filter_map(|(at, line)| {
            line.split_once("# watch: ").map(|(_, words)| Mark { line: at + 1, words: words.trim() })
        })
    }
}

fn before_watch(words: &str) -> &str {
    words.split_once("# watch: ").map_or(words, |(words, _)| words).trim()
}

/// The level-two headings of a page, in order.
pub fn headings(page: &str) -> Vec<&str> {
    let mut in_code = false;
    let outside_code = page.lines().filter(|line| {
        in_code ^= line.starts_with("```");
        !in_code
    });
    outside_code.filter_map(|line| line.strip_prefix("## ")).collect()
}

/// The Python blocks of a page, in order.
pub fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut heading = "";
    let mut fence = Fence::None;
    for (at, line) in page.lines().enumerate() {
        match (&fence, line.strip_prefix("```")) {
            (Fence::None, None) => heading = line.strip_prefix("## ").unwrap_or(heading),
            (Fence::None, Some(kind @ ("py" | "py run"))) => {
                fence = Fence::Python;
                found.push(Block { heading, line: at + 1, runs: kind == "py run", files: Vec::new() });
            }
            (Fence::None, Some(_)) => fence = Fence::Other,
            (_, Some(_)) => fence = Fence::None,
            (Fence::Other, None) => {}
            (Fence::Python, None) => {
                if let Some(block) = found.last_mut() {
                    add_line(block, line);
                }
            }
        }
    }
    found
}

enum Fence {
    None,
    Python,
    Other,
}

fn add_line<'p>(block: &mut Block<'p>, line: &'p str) {
    if let Some(path) = line.strip_prefix("# file: ") {
        block.files.push(File { path: path.trim(), text: String::new() });
        return;
    }
    if block.files.is_empty() {
        block.files.push(File { path: "app.py", text: String::new() });
    }
    if let Some(file) = block.files.last_mut() {
        file.text.push_str(line);
        file.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_be_marked_for_both() {
        let page = "```py run\nf()  # error: bad thing # watch: worse\ng()  # watch: slow\n```\n";
        let blocks = blocks(page);
        let file = &blocks[0].files[0];
        assert_eq!(file.marks().collect::<Vec<_>>(), [Mark { line: 1, words: "bad thing" }]);
        assert_eq!(
            file.watches().collect::<Vec<_>>(),
            [Mark { line: 1, words: "worse" }, Mark { line: 2, words: "slow" }]
        );
        assert_eq!((blocks[0].hits(), blocks[0].watches()), (1, 2));
    }

    const PAGE: &str = "# name\n\n## What it looks like\n\n```py\nx = 1\nf()  # error: bad\n```\n\n```text\n## no heading\n```\n\n\
                        ## When it is fine\n\n```py run\n# file: a/b.py\ny\n# file: c.py\nz\n```\n";

    #[test]
    fn blocks_know_their_heading_and_files() {
        let blocks = blocks(PAGE);
        let seen: Vec<_> = blocks.iter().map(|block| (block.heading, block.line, block.runs)).collect();
        assert_eq!(seen, [("What it looks like", 5, false), ("When it is fine", 16, true)]);
        let paths: Vec<_> = blocks[1].files.iter().map(|file| (file.path, file.text.as_str())).collect();
        assert_eq!(paths, [("a/b.py", "y\n"), ("c.py", "z\n")]);
    }

    #[test]
    fn marks_say_line_and_words() {
        let blocks = blocks(PAGE);
        let marks: Vec<_> = blocks[0].files[0].marks().collect();
        assert_eq!(marks, [Mark { line: 2, words: "bad" }]);
        assert_eq!(blocks[0].hits(), 1);
    }

    #[test]
    fn headings_in_code_are_no_headings() {
        assert_eq!(headings(PAGE), ["What it looks like", "When it is fine"]);
    }
}

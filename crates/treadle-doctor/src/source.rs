//! What stands in the source at the place that a thread executes: the function that is called there.

use std::collections::HashMap;

use treadle_events::{Frame, Owner, Span};
use treadle_run::Around;

/// Files that are kept, and how long one may be.
const FILES: usize = 64;
const SIZE: u64 = 2 << 20;

/// Lines of files that were asked for.
#[derive(Default)]
pub(crate) struct Sources(HashMap<String, Vec<String>>);

impl Sources {
    /// A line of a file, from 1; empty if there is none.
    pub(crate) fn line(&mut self, file: &str, line: u32) -> &str {
        if self.0.len() >= FILES && !self.0.contains_key(file) {
            self.0.clear();
        }
        let lines = self.0.entry(file.to_owned()).or_insert_with(|| lines(file));
        (line as usize).checked_sub(1).and_then(|at| lines.get(at)).map_or("", String::as_str)
    }

    /// The function that a frame calls: by the frame of that, or by its own text.
    pub(crate) fn called(&mut self, frame: &Frame, callee: Option<&Frame>) -> Option<String> {
        if frame.place.owner == Owner::Python && callee.is_none() {
            return None;
        }
        match callee.map(|callee| (callee, &callee.place.owner)) {
            Some((callee, Owner::Python)) => canonical(callee).or_else(|| self.written(frame)),
            Some((callee, _)) => self.written(frame).or_else(|| Some(callee.place.function.clone())),
            None => self.written(frame),
        }
    }

    /// The name by which the text at a frame's place calls something.
    fn written(&mut self, frame: &Frame) -> Option<String> {
        let Span { line, end_line, columns } = frame.span?;
        let (from, to) = columns?;
        let mut text = String::new();
        for number in line..=end_line.min(line + 50) {
            let all = self.line(&frame.place.file, number);
            let end = if number == end_line { (to as usize).min(all.len()) } else { all.len() };
            let begin = if number == line { from as usize } else { 0 };
            text.push_str(all.get(begin..end)?);
            text.push('\n');
        }
        callee(text.trim_end())
    }

    /// What stands around a wait: the innermost `while` or `for` that it is in.
    pub(crate) fn around(&mut self, file: &str, line: u32) -> Around {
        let text = self.line(file, line).to_owned();
        if text.trim_start().starts_with("while ") {
            return Around::OnlyWait;
        }
        let mut depth = indentation(&text);
        let mut inside = 0;
        for above in (1..line).rev() {
            let text = self.line(file, above);
            let word = text.trim_start();
            if word.is_empty() || word.starts_with('#') {
                continue;
            }
            if indentation(text) >= depth {
                inside += 1;
                continue;
            }
            depth = indentation(text);
            if word.starts_with("while ") {
                let is_last = !is_inside(self.line(file, line + 1), depth);
                return if inside == 0 && is_last { Around::OnlyWait } else { Around::While };
            }
            if ["for ", "async for ", "def ", "async def ", "class "].iter().any(|word_of| word.starts_with(word_of)) {
                break;
            }
            inside += 1;
        }
        Around::Other
    }

    /// The `import` that stands on a line.
    pub(crate) fn import(&mut self, file: &str, line: u32) -> Option<String> {
        let text = self.line(file, line).trim();
        let mut words = text.split_whitespace();
        let (first, module) = (words.next()?, words.next()?.trim_end_matches([',', ';']));
        match first {
            "import" => Some(format!("import {module}")),
            "from" => Some(format!("from {module} import …")),
            _ => None,
        }
    }
}

fn indentation(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// Whether a line belongs to a block whose head is so deep.
fn is_inside(text: &str, depth: usize) -> bool {
    let word = text.trim_start();
    !word.is_empty() && !word.starts_with('#') && indentation(text) > depth
}

fn lines(file: &str) -> Vec<String> {
    let is_readable = std::fs::metadata(file).is_ok_and(|data| data.is_file() && data.len() <= SIZE);
    let text = if is_readable { std::fs::read(file).unwrap_or_default() } else { Vec::new() };
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

/// What the text of a call calls: `rows.sort` of `rows.sort(key=f(x))`.
fn callee(text: &str) -> Option<String> {
    let inside = text.strip_suffix(')')?;
    let open = opening(inside)?;
    let before = inside.get(..open)?.trim_end();
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '.';
    let begin = before
        .rfind(|letter| !is_name(letter))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    // What stands before a dot may be anything that has this method.
    let is_operand = before[..begin].ends_with([' ', '+', '*', '/', '-', '%', '=', ',']);
    let name = before[begin..].trim_start_matches('.');
    let is_right = !is_operand && name.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
    (is_right && name.len() <= 80).then(|| name.to_owned())
}

/// Where the parenthesis opens that closes at the end of a text. Strings are told from code as well as one can from behind.
fn opening(inside: &str) -> Option<usize> {
    let mut open = Vec::new();
    let (mut quote, mut escaped) = (None, false);
    for (at, letter) in inside.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(begun), _) if begun == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '(' | '[' | '{') => open.push(at),
            (None, ')' | ']' | '}') => drop(open.pop()),
            _ => {}
        }
    }
    match open.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

/// How programs name a function of Python's own: `json.loads`, `subprocess.Popen`.
fn canonical(frame: &Frame) -> Option<String> {
    let file = &frame.place.file;
    let path = match file.strip_prefix("<frozen ") {
        Some(module) => module.trim_end_matches('>').to_owned(),
        None => file.rsplit_once("/lib/python3").and_then(|(_, rest)| rest.split_once('/'))?.1.replace('/', "."),
    };
    let path = path.trim_end_matches(".py").trim_end_matches(".__init__");
    let module: Vec<&str> = path.split('.').filter(|part| !part.starts_with('_')).collect();
    let function = frame.place.function.trim_end_matches(".__init__").trim_end_matches(".__new__");
    let is_plain = !function.contains('<') && !module.is_empty();
    is_plain.then(|| format!("{}.{function}", module.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use treadle_events::Place;

    #[test]
    fn callee_is_what_stands_before_the_last_parentheses() {
        for (text, name) in [
            ("time.sleep(0.3)", Some("time.sleep")),
            ("sleep(0.3)", Some("sleep")),
            ("rows.sort(key=lambda row: (row[0], f(row)))", Some("rows.sort")),
            ("hashlib.pbkdf2_hmac(\"sha1\", b\")\", salt, 10)", Some("hashlib.pbkdf2_hmac")),
            ("open(path).read()", Some("read")),
            ("pools[0].acquire(\n    timeout=3,\n)", Some("acquire")),
            ("f(x)(y)", None),
            ("a + f(x)", None),
            ("rows[0]", None),
            ("(1, 2)", None),
        ] {
            assert_eq!(callee(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn functions_of_python_are_named_as_programs_do() {
        let named = |file: &str, function: &str| {
            let place = Place { file: file.to_owned(), line: 1, function: function.to_owned(), owner: Owner::Python };
            canonical(&Frame { place, span: None, is_inner: false, code: 0, offset: 0 })
        };
        let lib = "/usr/lib/python3.13";
        for (file, function, name) in [
            (format!("{lib}/json/__init__.py"), "loads", Some("json.loads")),
            (format!("{lib}/subprocess.py"), "Popen.__init__", Some("subprocess.Popen")),
            (format!("{lib}/concurrent/futures/_base.py"), "Future.result", Some("concurrent.futures.Future.result")),
            ("<frozen os>".to_owned(), "walk", Some("os.walk")),
            (format!("{lib}/re/__init__.py"), "<lambda>", None),
            ("/srv/app.py".to_owned(), "main", None),
        ] {
            assert_eq!(named(&file, function).as_deref(), name);
        }
    }
}

//! `# treadle:` comments, and texts of odd shapes: empty, broken, deep, long, with unusual line ends.

use super::lowered;
use crate::facts::{DirectiveKind, FileFacts};

/// Each directive: what it asks for, the names it gives and the text it covers.
fn directives(text: &str) -> Vec<String> {
    let facts = lowered(text);
    let list = |names: &[(Box<str>, treadle_finding::Span)]| {
        for (name, span) in names {
            assert_eq!(&text[span.range()], &**name, "the bytes of a name are those of the name");
        }
        names.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join("+")
    };
    let show = |directive: &crate::facts::Directive| match &directive.kind {
        DirectiveKind::Ignore { names, covers } => format!("ignore {} in {}", list(names), text[covers.range()].trim()),
        DirectiveKind::IgnoreFile { names } => format!("ignore-file {}", list(names)),
        DirectiveKind::Unknown(words) => format!("unknown {words}"),
    };
    facts.directives.iter().map(show).collect()
}

/// The texts of the calls of a file.
fn calls(facts: &FileFacts, text: &str) -> Vec<String> {
    facts.calls.iter().map(|call| text[facts.expr(call.expr).span.range()].to_owned()).collect()
}

#[test]
fn a_comment_behind_a_statement_covers_its_logical_line() {
    assert_eq!(directives("f()\ng()  # treadle: ignore[a]\nh()"), ["ignore a in g()  # treadle: ignore[a]"]);
    let text = "f(  # treadle: ignore[a]\n  x,\n)\ng()";
    assert_eq!(directives(text), ["ignore a in f(  # treadle: ignore[a]\n  x,\n)"]);
    let text = "f(\n  x,\n)  # treadle: ignore[a]\ng()";
    assert_eq!(directives(text), ["ignore a in f(\n  x,\n)  # treadle: ignore[a]"]);
}

#[test]
fn a_comment_on_a_line_of_its_own_covers_the_statement_that_follows() {
    assert_eq!(directives("f()\n# treadle: ignore[a]\n\n# more\ng()\nh()"), ["ignore a in g()"]);
    assert_eq!(directives("if x:\n  # treadle: ignore[a]\n  g()\n  h()"), ["ignore a in g()"]);
}

#[test]
fn a_comment_before_a_compound_statement_covers_its_header_and_nothing_of_its_body() {
    let text = "# treadle: ignore[a]\nif x:\n  f()";
    assert_eq!(directives(text), ["ignore a in if x:"]);
    let facts = lowered(text);
    let DirectiveKind::Ignore { covers, .. } = &facts.directives[0].kind else { panic!("not an ignore") };
    assert_eq!(&text[covers.range()], "if x:");
    assert_eq!(directives("# treadle: ignore[a]\n@b\ndef f(x=g()): h()"), ["ignore a in @b\ndef f(x=g()):"]);
}

#[test]
fn a_comment_behind_part_of_a_header_covers_the_whole_header() {
    let text = "def f(  # treadle: ignore[a]\n  x=g(),\n):\n  h()";
    assert_eq!(directives(text), ["ignore a in def f(  # treadle: ignore[a]\n  x=g(),\n):"]);
    assert_eq!(directives("if x:  # treadle: ignore[a]\n  f()"), ["ignore a in if x:  # treadle: ignore[a]"]);
}

#[test]
fn a_comment_between_a_decorator_and_its_function_covers_their_header() {
    let text = "@b\n# treadle: ignore[a]\ndef f(x=g()):\n  h()";
    assert_eq!(directives(text), ["ignore a in @b\n# treadle: ignore[a]\ndef f(x=g()):"]);
}

#[test]
fn a_comment_names_what_it_ignores() {
    assert_eq!(
        directives("f()  # treadle: ignore[ a-b,c ] for a reason")[0],
        "ignore a-b+c in f()  # treadle: ignore[ a-b,c ] for a reason"
    );
    assert_eq!(directives("f()  #treadle:ignore[a]"), ["ignore a in f()  #treadle:ignore[a]"]);
    assert_eq!(
        directives("f()  # noqa: X1  # treadle: ignore[a]")[0],
        "ignore a in f()  # noqa: X1  # treadle: ignore[a]"
    );
}

#[test]
fn an_ignore_without_names_in_brackets_covers_nothing() {
    assert_eq!(directives("f()  # treadle: ignore"), ["ignore  in "]);
    assert_eq!(directives("f()  # treadle: ignore[a"), ["ignore  in "]);
}

#[test]
fn a_comment_may_speak_for_the_whole_file() {
    assert_eq!(directives("# treadle: ignore-file\nf()"), ["ignore-file "]);
    assert_eq!(directives("f()\n# treadle: ignore-file[a, b]"), ["ignore-file a+b"]);
}

#[test]
fn a_malformed_list_of_names_does_not_silence_the_whole_file() {
    for words in ["ignore-file[a", "ignore-file [a]", "ignore-file[]"] {
        assert_eq!(directives(&format!("# treadle: {words}\nf()")), [format!("unknown {words}")]);
    }
    assert_eq!(directives("# treadle: ignore-file, for a reason [1]"), ["ignore-file "]);
}

#[test]
fn other_words_are_kept_as_written() {
    assert_eq!(directives("# treadle: be quiet \n"), ["unknown be quiet"]);
}

#[test]
fn what_only_looks_like_a_comment_is_none() {
    assert_eq!(directives("x = '# treadle: ignore[a]'\n# see treadle: ignore[a]"), [""; 0]);
}

#[test]
fn a_comment_ends_before_its_line_end() {
    let text = "f()  # treadle: ignore[a]\r\ng()\r\n";
    let facts = lowered(text);
    assert_eq!(&text[facts.directives[0].span.range()], "# treadle: ignore[a]");
}

#[test]
fn an_empty_file_is_a_module_that_only_begins_and_ends() {
    let facts = lowered("");
    assert_eq!((facts.functions.len(), facts.exprs.len(), facts.syntax_errors.len()), (1, 0, 0));
    let module = facts.function(FileFacts::MODULE);
    assert_eq!(facts.next(module.entry), [module.exit]);
    assert_eq!(facts.line_starts, [0]);
}

#[test]
fn what_stands_around_a_syntax_error_is_still_lowered() {
    let text = "f()\nx = = 1\ndef g():\n  return h(\n\nk()";
    let facts = lowered(text);
    assert!(!facts.syntax_errors.is_empty());
    assert_eq!(calls(&facts, text)[0], "f()");
    assert!(facts.functions.iter().any(|function| facts.name(function.name) == "g"));
    let text = "f(\n\nclass A:\n  def m(self): g()\n";
    let facts = lowered(text);
    assert!(!facts.syntax_errors.is_empty());
    assert!(calls(&facts, text).iter().any(|call| call == "g()"));
}

#[test]
fn what_is_nested_too_deeply_is_left_out_and_said() {
    let terms = |count: usize| format!("f()\nx = {}\ng()", vec!["y"; count].join(" + "));
    assert_eq!(lowered(&terms(300)).syntax_errors, []);
    let text = terms(1000);
    let facts = lowered(&text);
    assert_eq!(facts.syntax_errors.len(), 1);
    assert_eq!(&*facts.syntax_errors[0].message, "expressions are nested too deeply to be understood");
    assert_eq!(calls(&facts, &text), ["f()", "g()"]);
}

#[test]
fn a_byte_order_mark_moves_no_span() {
    let text = "\u{feff}f()";
    let facts = lowered(text);
    assert_eq!(facts.syntax_errors, []);
    assert_eq!(calls(&facts, text), ["f()"]);
}

#[test]
fn every_line_end_of_python_starts_a_line() {
    let text = "a()\r\nb()\rc()\nd()";
    let facts = lowered(text);
    assert_eq!(facts.syntax_errors, []);
    assert_eq!(facts.line_starts, [0, 5, 9, 13]);
    let lines: Vec<usize> = facts.calls.iter().map(|call| facts.line_of(facts.expr(call.expr).span.start)).collect();
    assert_eq!(lines, [0, 1, 2, 3]);
}

#[test]
fn a_form_feed_is_a_blank() {
    let text = "a()\n\u{c}b()\n";
    let facts = lowered(text);
    assert_eq!(facts.syntax_errors, []);
    assert_eq!(calls(&facts, text), ["a()", "b()"]);
    assert_eq!(facts.line_starts, [0, 4, 9]);
}

#[test]
fn a_very_long_line_is_lowered_to_its_end() {
    let text = format!("f({})", vec!["g()"; 20_000].join(", "));
    let facts = lowered(&text);
    assert_eq!(facts.calls.len(), 20_001);
    assert_eq!(facts.arguments(&facts.calls[20_000]).len(), 20_000);
}

#[test]
fn statements_stand_in_order_with_outer_ones_first() {
    let text = "if a:\n  while b: c\nd; e";
    let facts = lowered(text);
    let texts: Vec<&str> = facts.statements.iter().map(|span| &text[span.range()]).collect();
    assert_eq!(texts, ["if a:\n  while b: c", "while b: c", "c", "d", "e"]);
}

#[test]
fn an_indentation_with_tabs_is_noticed() {
    assert!(lowered("if a:\n\tb").tabs);
    assert!(!lowered("if a:\n  b\t").tabs);
}

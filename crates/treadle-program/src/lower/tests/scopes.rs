//! Scopes: whose variable a name is, where it gets its values, and what functions, classes and imports say.

use super::lowered;
use crate::facts::{BindingKind, ExprKind, FileFacts, FunctionKind, ImportKind, LocalId, RegionKind};

fn owned(facts: &FileFacts, id: LocalId) -> String {
    let local = facts.local(id);
    format!("{}@{}", facts.name(local.name), facts.name(facts.function(local.function).name))
}

/// Every name that is read, in source order, with the scope that owns it; `?` for nobody's.
fn reads(text: &str) -> Vec<String> {
    let facts = lowered(text);
    let mut found = Vec::new();
    for expr in &facts.exprs {
        match expr.kind {
            ExprKind::Local(local) => found.push((expr.span.start, owned(&facts, local))),
            ExprKind::Global(name) => found.push((expr.span.start, format!("{}@?", facts.name(name)))),
            _ => {}
        }
    }
    found.sort();
    found.into_iter().map(|(_, name)| name).collect()
}

/// Every binding: the variable, its owner and what kind of value it gets.
fn bindings(text: &str) -> Vec<String> {
    let facts = lowered(text);
    let kind = |kind: BindingKind| match kind {
        BindingKind::Unpacked { index, .. } => format!("Unpacked {index:?}"),
        BindingKind::Iterated { index, nested, .. } => format!("Iterated {index:?} {nested}"),
        BindingKind::Entered { is_async, whole, .. } => format!("Entered {is_async} {whole}"),
        other => format!("{other:?}").split([' ', '(']).next().unwrap_or_default().to_owned(),
    };
    facts.bindings.iter().map(|binding| format!("{} {}", owned(&facts, binding.local), kind(binding.kind))).collect()
}

#[test]
fn a_name_that_nothing_binds_is_global() {
    assert_eq!(reads("print(x)\ny = 1\ny"), ["print@?", "x@?", "y@<module>"]);
}

#[test]
fn a_name_bound_anywhere_in_a_function_is_its_own() {
    assert_eq!(reads("x = 1\ndef f():\n  x\n  x = 2"), ["x@f"]);
}

#[test]
fn a_function_does_not_see_the_variables_of_a_class_around_it() {
    assert_eq!(reads("x = 1\nclass A:\n  x = 2\n  x\n  def f(self): x"), ["x@A", "x@<module>"]);
}

#[test]
fn a_default_and_a_decorator_are_read_where_the_function_stands() {
    assert_eq!(reads("x = 1\n@x\ndef f(x=x): x"), ["x@<module>", "x@<module>", "x@f"]);
}

#[test]
fn a_global_statement_makes_the_module_s_variable() {
    assert_eq!(
        bindings("x = 0\ndef f():\n  global x\n  x = 1"),
        ["x@<module> Value", "f@<module> Function", "x@<module> Value"]
    );
}

#[test]
fn a_global_statement_is_enough_to_make_a_variable_of_the_module() {
    let text = "def f():\n  global x\n  x = 1\ndef g(): return x";
    assert_eq!(bindings(text)[2], "x@<module> Value");
    assert_eq!(reads(text), ["x@<module>"]);
}

#[test]
fn a_nonlocal_statement_makes_the_variable_of_the_function_around() {
    let text = "def f():\n  x = 0\n  def g():\n    nonlocal x\n    x = 1";
    assert_eq!(bindings(text), ["f@<module> Function", "x@f Value", "g@f Function", "x@f Value"]);
    let facts = lowered(text);
    let captured: Vec<bool> = facts.locals.iter().map(|local| local.captured).collect();
    assert_eq!(captured, [false, true, false], "f, x, g");
}

#[test]
fn the_bindings_of_a_variable_are_chained() {
    let facts = lowered("x = 1\ny = 2\nx = 3\ndel x");
    let chain: Vec<u32> = facts.bindings_of(LocalId(0)).map(|(id, _)| id.0).collect();
    assert_eq!(chain, [0, 2, 3]);
}

#[test]
fn augmented_assignment_and_deletion_are_not_reads() {
    let text = "x = 1\nx += 1\ndel x";
    assert_eq!(bindings(text), ["x@<module> Value", "x@<module> Augmented", "x@<module> Deleted"]);
    assert_eq!(lowered(text).locals[0].loads, 0);
    assert_eq!(lowered("x = 1\nx\nx.y = 2\ndel x[0]").locals[0].loads, 3);
}

#[test]
fn a_comprehension_has_variables_of_its_own() {
    let facts = lowered("x = 1\n[x for x in y]\n[x for x in y]\nx\nx");
    let loads: Vec<u32> = facts.locals.iter().map(|local| local.loads).collect();
    assert_eq!(loads, [2, 1, 1]);
}

#[test]
fn the_iterable_of_a_comprehension_is_read_around_it() {
    let facts = lowered("x = 1\n[x for x in x]");
    let loads: Vec<u32> = facts.locals.iter().map(|local| local.loads).collect();
    assert_eq!(loads, [1, 1]);
}

#[test]
fn a_walrus_in_a_comprehension_binds_around_it() {
    assert_eq!(reads("def f():\n  [y := x for x in z]\n  y"), ["x@f", "z@?", "y@f"]);
    let facts = lowered("[y := x for x in z]\ny");
    let names: Vec<&str> = facts.locals.iter().map(|local| facts.name(local.name)).collect();
    assert_eq!(names, ["y", "x"]);
    assert_eq!(facts.locals[0].loads, 1);
}

#[test]
fn a_lambda_sees_the_variables_of_the_comprehension_around_it() {
    assert_eq!(reads("[lambda: x for x in y]"), ["x@<module>", "y@?"]);
    assert!(lowered("[lambda: x for x in y]").locals[0].captured);
}

#[test]
fn a_parameter_of_a_lambda_hides_the_variable_of_the_comprehension_around_it() {
    assert_eq!(reads("[lambda x: x for x in y]"), ["x@<lambda>", "y@?"]);
    assert_eq!(reads("[lambda x: lambda: x for x in y]"), ["x@<lambda>", "y@?"]);
}

#[test]
fn the_parts_of_an_unpacking_know_their_positions() {
    assert_eq!(
        bindings("a, (b, *c), d = e"),
        [
            "a@<module> Unpacked Some(0)",
            "b@<module> Unpacked None",
            "c@<module> Unpacked None",
            "d@<module> Unpacked Some(2)"
        ]
    );
    assert_eq!(
        bindings("[a, *b, c] = e"),
        ["a@<module> Unpacked Some(0)", "b@<module> Unpacked None", "c@<module> Unpacked None"]
    );
}

#[test]
fn the_target_of_a_loop_knows_its_position_in_the_item() {
    assert_eq!(bindings("for a in b: pass"), ["a@<module> Iterated None false"]);
    assert_eq!(
        bindings("[0 for a, (b, c) in d]"),
        ["a@<module> Iterated Some(0) false", "b@<module> Iterated None true", "c@<module> Iterated None true"]
    );
}

#[test]
fn every_statement_that_binds_says_how() {
    let table = [
        ("x: int", "x@<module> Declared"),
        ("with a as x: pass", "x@<module> Entered false true"),
        ("async def f():\n  async with a as (x, y): pass", "x@f Entered true false"),
        ("try: pass\nexcept A as x: pass", "x@<module> Caught"),
        ("import x.y", "x@<module> Import"),
        ("from a import b as x", "x@<module> Import"),
        ("def x(): pass", "x@<module> Function"),
        ("class x: pass", "x@<module> Class"),
        ("match a:\n  case [B(c=x)]: pass", "x@<module> Opaque"),
        ("match a:\n  case {'k': 1, **x}: pass", "x@<module> Opaque"),
        ("match a:\n  case [_, *x] | (1 as x): pass", "x@<module> Opaque"),
        ("type x = int", "x@<module> Opaque"),
        ("f(x := 1)", "x@<module> Value"),
        ("lambda x: 0", "x@<lambda> Param"),
    ];
    for (text, expected) in table {
        assert!(bindings(text).iter().any(|binding| binding == expected), "{text}: {:?}", bindings(text));
    }
}

#[test]
fn a_type_parameter_is_bound_for_its_function_alone() {
    assert_eq!(reads("def f[T](x: T) -> T: T\nT"), ["T@<module>", "T@<module>", "T@<module>", "T@?"]);
    assert_eq!(
        bindings("def f[T, *U, **V](): pass")[..3],
        ["T@<module> Opaque", "U@<module> Opaque", "V@<module> Opaque"]
    );
}

#[test]
fn a_type_parameter_of_a_class_is_seen_by_its_methods() {
    let facts = lowered("T = 1\nclass A[T](B[T]):\n  def f(self, x: T): pass\nT");
    let named: Vec<u32> =
        facts.locals.iter().filter(|local| facts.name(local.name) == "T").map(|local| local.loads).collect();
    assert_eq!(named, [1, 2], "the module's and the class's");
}

#[test]
fn a_type_alias_has_type_parameters_of_its_own() {
    assert_eq!(reads("type X[T: int] = list[T]\nT"), ["int@?", "list@?", "T@<module>", "T@?"]);
}

#[test]
fn a_string_in_literal_is_a_value() {
    for annotation in ["Literal['a']", "typing.Literal[1, 'a']", "list[Literal['a']]", "Literal['b', 'a'] | None"] {
        let facts = lowered(&format!("a = 1\nx: {annotation} = 2"));
        assert_eq!(facts.locals[0].loads, 0, "{annotation}");
        assert!(facts.exprs.iter().any(|expr| matches!(expr.kind, ExprKind::String(_))), "{annotation}");
    }
    assert_eq!(lowered("a = 1\nx: Literal['b'] | 'a' = 2").locals[0].loads, 1);
}

#[test]
fn a_string_annotation_is_lowered_as_what_it_spells() {
    let text = "def f(x: 'a.Pool[Row] | None', y: \"b\"): pass";
    let facts = lowered(text);
    let kind = |index: usize| facts.params[index].annotation.map(|id| facts.expr(id).kind);
    assert!(matches!(kind(0), Some(ExprKind::Binary { .. })));
    assert!(matches!(kind(1), Some(ExprKind::Global(name)) if facts.name(name) == "b"));
    assert_eq!(reads(text), ["a@?", "Row@?", "b@?"]);
}

#[test]
fn a_string_that_spells_no_type_stays_a_string() {
    let facts = lowered("x: 'no type at all'");
    assert!(matches!(facts.exprs[0].kind, ExprKind::String(name) if facts.name(name) == "no type at all"));
}

#[test]
fn functions_say_what_they_are() {
    let text = "async def a(): yield\ndef b(): lambda: (yield)\nclass C:\n  async def d(self):\n    def e(): pass";
    let facts = lowered(text);
    let show = |function: &crate::facts::Function| {
        let parent = function.parent.map_or("-", |parent| facts.name(facts.function(parent).name));
        let marks = [
            (function.is_async, " async"),
            (function.is_generator, " generator"),
            (function.class.is_some(), " class"),
        ];
        let marks: String = marks.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect();
        format!("{} {:?} in {parent}{marks}", facts.name(function.name), function.kind)
    };
    let mut shown: Vec<String> = facts.functions.iter().map(show).collect();
    shown.sort();
    assert_eq!(
        shown,
        [
            "<lambda> Lambda in b generator",
            "<module> Module in -",
            "C ClassBody in <module> class",
            "a Def in <module> async generator",
            "b Def in <module>",
            "d Def in C async class",
            "e Def in d",
        ]
    );
}

#[test]
fn parameters_say_how_arguments_reach_them() {
    let text = "def f(a, /, b: t, *c, d=1, **e): pass";
    let facts = lowered(text);
    let show = |param: &crate::facts::Param| {
        format!(
            "{} {:?} {} {}",
            owned(&facts, param.local),
            param.kind,
            param.annotation.is_some(),
            param.default.is_some()
        )
    };
    let shown: Vec<String> = facts.params.iter().map(show).collect();
    assert_eq!(
        shown,
        [
            "a@f PositionalOnly false false",
            "b@f Normal true false",
            "c@f Star false false",
            "d@f KeywordOnly false true",
            "e@f DoubleStar false false",
        ]
    );
}

#[test]
fn a_stub_does_nothing() {
    let is_stub = |body: &str| lowered(&format!("def f():\n  {body}")).functions[1].is_stub;
    for body in ["pass", "...", "'words'", "'words'; raise NotImplementedError", "raise NotImplementedError('x')"] {
        assert!(is_stub(body), "{body}");
    }
    for body in ["return", "raise", "raise ValueError", "f()", "1"] {
        assert!(!is_stub(body), "{body}");
    }
}

#[test]
fn a_header_reaches_from_the_keyword_to_the_colon() {
    let table = [
        ("@a  # def b():\n@c\nasync def f(x: {1: 2}) -> d[1:2]: pass", "async def f(x: {1: 2}) -> d[1:2]:"),
        ("class A(B, k=lambda: 0): pass", "class A(B, k=lambda: 0):"),
        ("@a\nclass A : pass", "class A :"),
        ("def f[T: int](x): pass", "def f[T: int](x):"),
        ("class A[T: int]: pass", "class A[T: int]:"),
    ];
    for (text, header) in table {
        let facts = lowered(text);
        let headers: Vec<&str> = facts.functions.iter().map(|function| &text[function.header.range()]).collect();
        assert!(headers.contains(&header), "{headers:?}");
    }
}

#[test]
fn a_class_keeps_its_bases_and_keywords_in_order() {
    let text = "class A(B, metaclass=C): pass";
    let facts = lowered(text);
    let bases = &facts.arguments[facts.classes[0].bases.range()];
    let texts: Vec<&str> = bases.iter().map(|argument| &text[argument.span.range()]).collect();
    assert_eq!(texts, ["B", "metaclass=C"]);
    assert_eq!(facts.function(facts.classes[0].body).kind, FunctionKind::ClassBody);
}

#[test]
fn imports_say_what_they_import() {
    let text = "import a.b, c.d as e\nfrom ..f import g as h\nfrom . import i\nfrom j.k import *";
    let facts = lowered(text);
    let show = |import: &crate::facts::Import| match import.kind {
        ImportKind::Module { path, renamed } => format!("{} {renamed}", facts.name(path)),
        ImportKind::From { module, level, name } => format!("{level} {:?} {}", facts.name(module), facts.name(name)),
        ImportKind::Star { module, level } => format!("{level} {:?} *", facts.name(module)),
    };
    let shown: Vec<String> = facts.imports.iter().map(show).collect();
    assert_eq!(shown, ["a.b false", "c.d true", "2 \"f\" g", "1 \"\" i", "0 \"j.k\" *"]);
    let spans: Vec<&str> = facts.imports.iter().map(|import| &text[import.span.range()]).collect();
    assert_eq!(spans, ["a.b", "c.d as e", "g as h", "i", "*"]);
    let bound: Vec<String> = bindings(text).iter().map(|binding| binding.replace(" Import", "")).collect();
    assert_eq!(bound, ["a@<module>", "e@<module>", "h@<module>", "i@<module>"]);
}

#[test]
fn an_import_for_type_checkers_stands_in_a_region_that_says_so() {
    let kinds = |text: &str| {
        let facts = lowered(text);
        let is_typing = |import: &crate::facts::Import| facts.region(import.region).kind == RegionKind::TypeChecking;
        facts.imports.iter().map(is_typing).collect::<Vec<bool>>()
    };
    assert_eq!(kinds("if TYPE_CHECKING:\n  import a\nelse:\n  import b\nimport c"), [true, false, false]);
    assert_eq!(kinds("if typing.TYPE_CHECKING: import a"), [true]);
    assert_eq!(kinds("if not TYPE_CHECKING: import a"), [false]);
}

#[test]
fn exported_names_are_those_of_a_plain_list_or_tuple() {
    let exported = |text: &str| {
        let facts = lowered(text);
        facts.exported.as_ref().map(|names| names.iter().map(|name| facts.name(*name).to_owned()).collect::<Vec<_>>())
    };
    let both = Some(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(exported("__all__ = ['a', 'b']"), both);
    assert_eq!(exported("__all__ = 'a', 'b'"), both);
    assert_eq!(exported("__all__: list[str] = ['a', 'b']"), both);
    for text in ["", "__all__ = names()", "__all__ = ['a', *other]", "def f(): __all__ = ['a']"] {
        assert_eq!(exported(text), None, "{text}");
    }
}

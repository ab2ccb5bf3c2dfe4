//! Small programs for tests, and how types are written down there.

use std::path::Path;

use crate::facts::{ExprKind, FileFacts};
use crate::ids::{CallRef, ClassRef, FunctionRef};
use crate::ty::Ty;
use crate::{Options, Program, SourceFile, lower};

/// The program of files, each a path and its text. A file below `src` is imported without it first.
pub(crate) fn linked(files: &[(&str, &str)]) -> Program {
    let files = files.iter().map(|(path, text)| {
        let facts = lower::file(text);
        assert!(facts.syntax_errors.is_empty(), "{path}: {:?}\n{text}", facts.syntax_errors);
        assert_eq!(lower::validate(&facts), Ok(()), "{path}: {text}");
        let module = path.trim_end_matches(".py").replace('/', ".");
        let is_package = module.ends_with("__init__");
        let whole = module.trim_end_matches("__init__").trim_end_matches('.').to_owned();
        let below = whole.strip_prefix("src.").map(str::to_owned);
        let names = below.into_iter().chain([whole]).collect();
        SourceFile { path: Path::new(path).into(), names, is_package, installed: false, facts: facts.into() }
    });
    Program::link(files.collect(), Options::default()).unwrap()
}

/// The arguments of all calls of the unbound name `reveal`, file after file.
pub(crate) fn revealed(program: &Program) -> Vec<String> {
    let is_reveal = |facts: &FileFacts, call: CallRef| match facts.expr(facts.call(call.id).callee).kind {
        ExprKind::Global(name) => facts.name(name) == "reveal",
        _ => false,
    };
    let mut found = Vec::new();
    for file in program.reported_files() {
        let facts = program.facts(file);
        let mut calls: Vec<CallRef> = program.calls(file).filter(|call| is_reveal(facts, *call)).collect();
        calls.sort_by_key(|call| program.location_of(program.call_expr(*call)).span.start);
        for call in calls {
            let shown = facts.arguments(facts.call(call.id)).iter();
            found.extend(shown.map(|argument| show(program, &program.type_of(call.with(argument.value)))));
        }
    }
    found
}

/// A type in few words: `?` is unknown, an instance is its class's name.
pub(crate) fn show(program: &Program, ty: &Ty) -> String {
    let all = |types: &[Ty], between: &str| {
        types.iter().map(|member| show(program, member)).collect::<Vec<_>>().join(between)
    };
    let path = |item| program.knowledge().path(item).to_owned();
    match ty {
        Ty::Unknown => "?".to_owned(),
        Ty::Never => "never".to_owned(),
        Ty::None => "None".to_owned(),
        Ty::Module(file) => format!("module {}", program.file(*file).names[0]),
        Ty::Namespace(namespace) => format!("namespace {}", program.modules().namespace(*namespace)),
        Ty::Known(item) => format!("known {}", path(*item)),
        Ty::Class(class) => format!("type[{}]", class_name(program, *class)),
        Ty::Instance(class) => class_name(program, *class),
        Ty::KnownInstance(item) => path(*item),
        Ty::Function(function) => format!("def {}", program.qualified_name(*function)),
        Ty::Method(function, receiver) => {
            format!("def {} of {}", program.qualified_name(*function), show(program, receiver))
        }
        Ty::KnownMethod(item, receiver) => format!("known {} of {}", path(*item), show(program, receiver)),
        Ty::Of(shape, element) => format!("{shape:?}[{}]", show(program, element)),
        Ty::Tuple(members) => format!("({})", all(members, ", ")),
        Ty::Partial(inner) => format!("partial {}", show(program, inner)),
        Ty::Super(class) => format!("super of {}", class_name(program, *class)),
        Ty::Union(members) => all(members, " | "),
    }
}

fn class_name(program: &Program, class: ClassRef) -> String {
    let facts = program.facts(class.file);
    facts.name(facts.class(class.id).name).to_owned()
}

/// The function of the program with that qualified name.
pub(crate) fn function(program: &Program, name: &str) -> FunctionRef {
    let found = program.functions().find(|function| program.qualified_name(*function) == name);
    found.unwrap_or_else(|| panic!("no function {name}"))
}

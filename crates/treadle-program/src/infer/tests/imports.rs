//! Which object of which file an imported name means.

use super::reveals_in;

#[test]
fn an_import_binds_the_first_part_of_its_path_and_with_as_the_whole() {
    let files = [
        ("p/__init__.py", ""),
        ("p/q.py", "class A: pass"),
        ("main.py", "import p.q\nimport p.q as r\nreveal(p, p.q, r, p.q.A)"),
    ];
    reveals_in(&files, &["module p", "module p.q", "module p.q", "type[A]"]);
}

#[test]
fn from_imports_a_variable_before_a_submodule_of_the_same_name() {
    let files = [
        ("p/__init__.py", "from .client import client"),
        ("p/client.py", "def client(): pass"),
        ("p/other.py", ""),
        ("main.py", "from p import client, other\nreveal(client, other)"),
    ];
    reveals_in(&files, &["def client", "module p.other"]);
}

#[test]
fn a_package_that_imports_its_own_submodule_has_it() {
    let files = [
        ("p/__init__.py", "from . import a\nfrom p import b\nimport p.c\nreveal(a, b, p.c)"),
        ("p/a.py", "class A: pass"),
        ("p/b.py", ""),
        ("p/c.py", ""),
        ("main.py", "import p\nfrom p import a as x\nreveal(p.a.A, p.b, p.c, x)"),
    ];
    reveals_in(
        &files,
        &["module p.a", "module p.b", "module p.c", "type[A]", "module p.b", "module p.c", "module p.a"],
    );
}

#[test]
fn a_name_is_followed_through_re_exports_under_other_names() {
    let files = [
        ("p/__init__.py", "from .q import B as C"),
        ("p/q/__init__.py", "from .r import A as B"),
        ("p/q/r.py", "class A: pass"),
        ("main.py", "from p import C\nreveal(C, C())"),
    ];
    reveals_in(&files, &["type[A]", "A"]);
}

#[test]
fn relative_imports_start_at_the_package_of_the_file() {
    let files = [
        ("p/__init__.py", ""),
        ("p/base.py", "class A: pass"),
        ("p/q/__init__.py", "from ..base import A\nfrom . import r\nreveal(A, r)"),
        ("p/q/r.py", "from .. import base\nfrom ..base import A\nfrom . import s\nreveal(base, A, s)"),
        ("p/q/s.py", ""),
    ];
    reveals_in(&files, &["type[A]", "module p.q.r", "module p.base", "type[A]", "module p.q.s"]);
}

#[test]
fn a_star_import_brings_public_names_or_those_of_all() {
    let files = [
        ("a.py", "class A: pass\nclass _B: pass\nclass C: pass"),
        ("b.py", "__all__ = ['C', '_D']\nclass C: pass\nclass _D: pass\nclass E: pass"),
        ("main.py", "from a import *\nfrom b import *\nreveal(A, _B, _D, E)"),
    ];
    reveals_in(&files, &["type[A]", "?", "type[_D]", "?"]);
}

#[test]
fn of_several_star_imports_the_last_wins() {
    let files = [
        ("a.py", "def f(): pass"),
        ("b.py", "def f(): return 1"),
        ("main.py", "from a import *\nfrom b import *\nreveal(f())"),
    ];
    reveals_in(&files, &["builtins.int"]);
}

#[test]
fn modules_that_import_everything_of_each_other_end() {
    let stars = |own: usize| {
        let others = (0..12).filter(|other| *other != own).map(|other| format!("from m{other} import *\n"));
        others.collect::<String>() + &format!("class A{own}: pass\n")
    };
    let texts: Vec<(String, String)> = (0..12).map(|own| (format!("m{own}.py"), stars(own))).collect();
    let mut files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    files.push(("main.py", "from m3 import *\nreveal(A3, A7, missing)"));
    reveals_in(&files, &["type[A3]", "type[A7]", "?"]);
}

#[test]
fn a_star_import_hides_a_builtin() {
    let files = [("a.py", "async def open(): pass"), ("main.py", "from a import *\nreveal(open, print)")];
    reveals_in(&files, &["def open", "known builtins.print"]);
}

#[test]
fn names_pass_through_a_star_import_of_a_package() {
    let files = [
        ("p/__init__.py", "from .a import *"),
        ("p/a.py", "from .b import *"),
        ("p/b.py", "class A: pass"),
        ("main.py", "from p import A\nimport p\nreveal(A, p.A)"),
    ];
    reveals_in(&files, &["type[A]", "type[A]"]);
}

#[test]
fn files_below_src_are_imported_without_it() {
    let files = [
        ("src/p/__init__.py", "from .a import A"),
        ("src/p/a.py", "class A: pass"),
        ("tests/t.py", "from p import A\nfrom p.a import A as B\nfrom src.p.a import A as C\nreveal(A, B, C)"),
    ];
    reveals_in(&files, &["type[A]", "type[A]", "type[A]"]);
}

#[test]
fn a_directory_without_init_is_a_namespace() {
    let files =
        [("p/q/a.py", "class A: pass"), ("main.py", "import p.q.a\nfrom p.q import a\nreveal(p.q, p.q.a.A, a)")];
    reveals_in(&files, &["namespace p.q", "type[A]", "module p.q.a"]);
}

#[test]
fn a_script_imports_its_neighbours_by_bare_name() {
    let files = [
        ("helper.py", "class A: pass"),
        ("tools/helper.py", "class B: pass"),
        ("main.py", "import helper\nreveal(helper)"),
    ];
    reveals_in(&files, &["module helper"]);
}

#[test]
fn modules_may_import_each_other() {
    let files = [
        ("a.py", "from b import B\nclass A:\n  def b(self): return B()\nreveal(A().b().a())"),
        ("b.py", "class B:\n  def a(self):\n    from a import A\n    return A()\nimport a\nreveal(a.A().b())"),
    ];
    reveals_in(&files, &["A", "B"]);
}

#[test]
fn a_name_that_modules_import_from_each_other_only_is_unknown() {
    let files =
        [("a.py", "from b import x"), ("b.py", "from a import x\nreveal(x)"), ("c.py", "from a import *\nreveal(y)")];
    reveals_in(&files, &["?", "?"]);
}

#[test]
fn an_import_with_a_fallback_is_known_only_where_both_agree() {
    let files = [(
        "main.py",
        "try:\n  import ujson as json\nexcept ImportError:\n  import json\ntry:\n  import tomllib\nexcept ImportError:\n  tomllib = None\nreveal(json, missing.x)",
    )];
    reveals_in(&files, &["?", "?"]);
}

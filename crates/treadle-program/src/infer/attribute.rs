//! `value.name`.

use std::sync::Arc;

use super::Infer;
use crate::facts::{BindingKind, FileFacts, ImportKind};
use crate::ids::{ClassRef, FileId, In};
use crate::knowledge::types::Shape;
use crate::knowledge::{ItemId, Knowledge};
use crate::program::{Ancestor, Module, Wrapping};
use crate::ty::Ty;

impl Infer<'_> {
    /// The type of `base.name`.
    pub(crate) fn attribute(&mut self, base: &Ty, name: &str) -> Ty {
        match base {
            Ty::Module(file) => self.deeper(|infer| infer.module_attribute(*file, name)),
            Ty::Namespace(namespace) => {
                let path = format!("{}.{name}", self.program.modules().namespace(*namespace));
                match self.program.modules().find(&path) {
                    Some(Module::File(file)) => Ty::Module(file),
                    Some(Module::Namespace(namespace)) => Ty::Namespace(namespace),
                    None => self.known_path(&path),
                }
            }
            Ty::Known(item) => self.known_attribute(*item, name),
            Ty::Class(class) => self.class_attribute(*class, name, 0),
            Ty::Super(class) => self.class_or_instance_attribute(*class, name, 1, &Ty::Instance(*class)),
            Ty::Instance(class) => self.class_or_instance_attribute(*class, name, 0, base),
            Ty::KnownInstance(item) => self.known_member(*item, name, base),
            Ty::Of(..) | Ty::Tuple(_) => match self.structural_class(base) {
                Some(item) => self.known_member(item, name, base),
                None => Ty::Unknown,
            },
            Ty::Union(_) => {
                let members = base.members().iter().filter(|member| **member != Ty::None);
                let types: Vec<Ty> = members.map(|member| self.attribute(member, name)).collect();
                Ty::any(types)
            }
            _ => Ty::Unknown,
        }
    }

    /// The class behind a container, awaitable or context manager.
    fn structural_class(&self, ty: &Ty) -> Option<ItemId> {
        let path = match ty {
            Ty::Tuple(_) => "builtins.tuple",
            Ty::Of(shape, _) => match shape {
                Shape::List => "builtins.list",
                Shape::Set => "builtins.set",
                Shape::Dict => "builtins.dict",
                Shape::Task => "asyncio.Task",
                Shape::Future => "asyncio.Future",
                Shape::Iter | Shape::AsyncIter | Shape::Coroutine | Shape::With | Shape::AsyncWith => return None,
            },
            _ => return None,
        };
        self.program.knowledge().find(path)
    }

    fn known_path(&self, path: &str) -> Ty {
        self.program.knowledge().find(path).map_or(Ty::Unknown, Ty::Known)
    }

    /// An attribute of a module of the program.
    fn module_attribute(&mut self, file: FileId, name: &str) -> Ty {
        let program = self.program;
        let facts = program.surface(file);
        let sorted = &program.scopes(file).module;
        if let Some(local) = crate::program::find_by_name(facts, sorted, name)
            && !self.is_import_of_own_submodule(file, local)
        {
            let found = self.in_file(file, |infer| infer.local(local));
            // A library's own source may be opaque where a claim is not.
            return if found.is_unknown() { self.claimed_in_module(file, name).unwrap_or(found) } else { found };
        }
        if let Some(part) = self.submodule(file, name) {
            return part;
        }
        let starred = self.in_file(file, |infer| infer.star_imported(name));
        starred.or_else(|| self.claimed_in_module(file, name)).unwrap_or(Ty::Unknown)
    }

    /// A file of a package.
    pub(crate) fn submodule(&self, package: FileId, name: &str) -> Option<Ty> {
        let program = self.program;
        program.file(package).names.iter().find_map(|package| {
            match program.modules().find(&format!("{package}.{name}")) {
                Some(Module::File(child)) => Some(Ty::Module(child)),
                _ => None,
            }
        })
    }

    fn claimed_in_module(&self, file: FileId, name: &str) -> Option<Ty> {
        let source = self.program.file(file);
        let module = source.names.first().filter(|_| source.installed)?;
        let knowledge = self.program.knowledge();
        knowledge.find(&format!("{module}.{name}")).map(Ty::Known)
    }

    /// `import package.sub` inside `package/__init__.py` binds `package`, not what is asked for.
    fn is_import_of_own_submodule(&self, file: FileId, local: crate::facts::LocalId) -> bool {
        let facts: &FileFacts = self.program.surface(file);
        facts.bindings_of(local).all(|(_, binding)| match binding.kind {
            BindingKind::Import(import) => match facts.imports[import.index()].kind {
                ImportKind::Module { path, renamed: false } => {
                    facts.name(path).split('.').next() == self.program.file(file).names.first().map(String::as_str)
                }
                _ => false,
            },
            _ => false,
        })
    }

    /// An attribute of a function, class or module that claims speak of.
    fn known_attribute(&mut self, item: ItemId, name: &str) -> Ty {
        let knowledge = self.program.knowledge();
        let found = if knowledge.is_class(item) { knowledge.member(item, name) } else { knowledge.child(item, name) };
        let Some(child) = found else { return self.installed_attribute(item, name) };
        match knowledge.claim(child) {
            Some(known) if known.claim.attribute => self.claimed_type(known.returns.as_ref(), &Ty::Known(item), None),
            _ => Ty::Known(child),
        }
    }

    /// A module that some claims speak of may be installed and say more.
    fn installed_attribute(&mut self, item: ItemId, name: &str) -> Ty {
        let knowledge = self.program.knowledge();
        if item == Knowledge::ROOT || knowledge.claim(item).is_some() {
            return Ty::Unknown;
        }
        let path = knowledge.path(item);
        match self.program.modules().find(path) {
            Some(Module::File(file)) => self.deeper(|infer| infer.module_attribute(file, name)),
            _ => match self.program.modules().find(&format!("{path}.{name}")) {
                Some(Module::File(file)) => Ty::Module(file),
                _ => Ty::Unknown,
            },
        }
    }

    /// An attribute of an instance of a claimed class.
    fn known_member(&mut self, class: ItemId, name: &str, receiver: &Ty) -> Ty {
        let knowledge = self.program.knowledge();
        let Some(member) = knowledge.member(class, name) else {
            // `client.shop.orders`: whatever the name, the claimed `__getattr__` says what it gives.
            let any = knowledge.member(class, "__getattr__").filter(|_| !name.starts_with("__"));
            let Some(known) = any.and_then(|any| knowledge.claim(any)) else { return Ty::Unknown };
            return self.claimed_type(known.returns.as_ref(), receiver, None);
        };
        match knowledge.claim(member) {
            Some(known) if known.claim.attribute => self.claimed_type(known.returns.as_ref(), receiver, None),
            _ => Ty::KnownMethod(member, Arc::new(receiver.clone())),
        }
    }

    /// An attribute read from a class itself.
    fn class_attribute(&mut self, class: ClassRef, name: &str, skip: usize) -> Ty {
        let program = self.program;
        for ancestor in program.classes().order(class).iter().skip(skip) {
            match ancestor {
                Ancestor::Own(own) => {
                    let Some(local) = program.own_member(*own, name) else { continue };
                    let found = self.in_file(own.file, |infer| infer.local(local));
                    return match found {
                        Ty::Function(function) if program.decoration(function).is_class => {
                            Ty::Method(function, Arc::new(Ty::Class(class)))
                        }
                        Ty::Function(_) => found,
                        // A member has its value in `value`.
                        _ if self.is_enumeration(class) => Ty::Unknown,
                        other => other,
                    };
                }
                Ancestor::Known(item) => {
                    let found = self.known_attribute(*item, name);
                    if !found.is_unknown() {
                        return found;
                    }
                }
                Ancestor::Unknown => return Ty::Unknown,
            }
        }
        Ty::Unknown
    }

    /// An attribute read from an instance: methods are bound, properties are called, stores in methods count.
    fn class_or_instance_attribute(&mut self, class: ClassRef, name: &str, skip: usize, receiver: &Ty) -> Ty {
        let program = self.program;
        let stored = if skip == 0 { program.instance_attribute(class, name) } else { None };
        for ancestor in program.classes().order(class).iter().skip(skip) {
            match ancestor {
                Ancestor::Own(own) => {
                    let Some(local) = program.own_member(*own, name) else { continue };
                    let found = self.in_file(own.file, |infer| infer.local(local));
                    let is_property = |member: &Ty| matches!(member, Ty::Function(function) if program.decoration(*function).wrapping == Wrapping::Property);
                    let stored = stored.filter(|_| {
                        !found.members().iter().any(is_property)
                            && (found == Ty::None || found == Ty::Unknown || !program.is_annotated(own.with(local)))
                    });
                    let found = Ty::any(found.members().iter().map(|member| match member {
                        Ty::Function(function) => self.bound(*function, receiver),
                        other => other.clone(),
                    }));
                    return match stored {
                        // `_session = None` in the body, the real thing in a method.
                        Some(stored) if found == Ty::None || found == Ty::Unknown => stored,
                        Some(stored) => found.or(stored),
                        None => found,
                    };
                }
                Ancestor::Known(item) if stored.is_none() => {
                    let found = self.known_member(*item, name, receiver);
                    if !found.is_unknown() {
                        return found;
                    }
                }
                Ancestor::Known(_) => {}
                Ancestor::Unknown => return stored.unwrap_or(Ty::Unknown),
            }
        }
        stored.unwrap_or(Ty::Unknown)
    }

    fn bound(&mut self, function: crate::ids::FunctionRef, receiver: &Ty) -> Ty {
        let decoration = self.program.decoration(function);
        if decoration.wrapping == Wrapping::Property {
            return self.result_of(function);
        }
        if decoration.is_static {
            return Ty::Function(function);
        }
        if decoration.is_class {
            let class = match receiver {
                Ty::Instance(class) => Ty::Class(*class),
                other => other.clone(),
            };
            return Ty::Method(function, Arc::new(class));
        }
        Ty::Method(function, Arc::new(receiver.clone()))
    }

    /// Whether a class has members rather than attributes.
    pub(crate) fn is_enumeration(&self, class: ClassRef) -> bool {
        self.program.classes().order(class).iter().any(|ancestor| {
            let Ancestor::Own(own) = ancestor else { return false };
            let facts = self.program.surface(own.file);
            facts.arguments[facts.class(own.id).bases.range()].iter().any(|argument| {
                let name = facts.dotted(argument.value).unwrap_or_default();
                name.ends_with("Enum") || name.ends_with("Flag")
            })
        })
    }

    /// The class that an instance is of, for members looked up by name.
    pub(crate) fn own_class(ty: &Ty) -> Option<ClassRef> {
        match ty {
            Ty::Instance(class) => Some(In::new(class.file, class.id)),
            _ => None,
        }
    }
}

//! Types written by the programmer.

use super::Infer;
use crate::facts::{ExprId, ExprKind, FunctionKind, Operator};
use crate::ids::In;
use crate::knowledge::types::Shape;
use crate::ty::Ty;

impl Infer<'_> {
    /// The type of values that an annotation allows.
    pub(crate) fn annotation(&mut self, id: ExprId) -> Ty {
        self.deeper(|infer| infer.annotation_at(id))
    }

    fn annotation_at(&mut self, id: ExprId) -> Ty {
        let facts = self.facts;
        match facts.expr(id).kind {
            ExprKind::None => Ty::None,
            ExprKind::Binary { op: Operator::BitOr, left, right } => {
                let left = self.annotation(left);
                left.or(self.annotation(right))
            }
            ExprKind::Subscript { base, index } => self.generic(base, index),
            ExprKind::Local(_) | ExprKind::Global(_) | ExprKind::Attribute { .. } => {
                let value = self.expr(id);
                let last = if matches!(value, Ty::Class(_)) { String::new() } else { self.last_name(id) };
                match last.as_str() {
                    "Any" | "object" | "Incomplete" => return Ty::Unknown,
                    "Self" => return self.own_instance(id),
                    "list" | "List" | "Sequence" => return Ty::of(Shape::List, Ty::Unknown),
                    "set" | "Set" | "frozenset" => return Ty::of(Shape::Set, Ty::Unknown),
                    "dict" | "Dict" | "Mapping" => return Ty::of(Shape::Dict, Ty::Unknown),
                    _ => {}
                }
                self.instance_of(&value)
            }
            _ => Ty::Unknown,
        }
    }

    /// An instance of what a name in an annotation means.
    fn instance_of(&mut self, value: &Ty) -> Ty {
        match value {
            Ty::Class(class) => Ty::Instance(*class),
            Ty::Known(item) if self.program.knowledge().is_class(*item) => match self.program.knowledge().path(*item) {
                "asyncio.Task" => Ty::of(Shape::Task, Ty::Unknown),
                "asyncio.Future" => Ty::of(Shape::Future, Ty::Unknown),
                _ => Ty::KnownInstance(*item),
            },
            Ty::None => Ty::None,
            // `Alias = A | B` and `Alias = Optional[A]` evaluate to what `|` and `[]` of classes give: not followed.
            _ => Ty::Unknown,
        }
    }

    fn last_name(&self, id: ExprId) -> String {
        let name = self.facts.dotted(id).unwrap_or_default();
        name.rsplit('.').next().unwrap_or_default().to_owned()
    }

    /// `Self`: an instance of the class around.
    fn own_instance(&self, id: ExprId) -> Ty {
        let mut here = Some(self.facts.function_of(id));
        while let Some(function) = here {
            let entry = self.facts.function(function);
            if matches!(entry.kind, FunctionKind::ClassBody | FunctionKind::Def)
                && let Some(class) = entry.class
            {
                return Ty::Instance(In::new(self.file, class));
            }
            here = entry.parent;
        }
        Ty::Unknown
    }

    fn generic(&mut self, base: ExprId, index: ExprId) -> Ty {
        let facts = self.facts;
        let parameters: Vec<ExprId> = match facts.expr(index).kind {
            ExprKind::Tuple(items) => facts.operands(items).to_vec(),
            _ => vec![index],
        };
        // A class of the program's own may be called `Task`.
        let own = self.expr(base);
        if matches!(own, Ty::Class(_)) {
            return self.instance_of(&own);
        }
        let name = self.last_name(base);
        let first = parameters.first().copied();
        let last = parameters.last().copied();
        let mut of = |shape: Shape, parameter: Option<ExprId>| {
            let element = parameter.map_or(Ty::Unknown, |parameter| self.annotation(parameter));
            Ty::of(shape, element)
        };
        match name.as_str() {
            "Optional" => first.map_or(Ty::Unknown, |inner| self.annotation(inner).or(Ty::None)),
            "Union" => Ty::any(parameters.iter().map(|parameter| self.annotation(*parameter))),
            "Annotated" | "Final" | "ClassVar" | "Required" | "NotRequired" | "ReadOnly" => {
                first.map_or(Ty::Unknown, |inner| self.annotation(inner))
            }
            "list" | "List" | "Sequence" | "MutableSequence" | "deque" | "Deque" => of(Shape::List, first),
            "set" | "Set" | "frozenset" | "FrozenSet" | "AbstractSet" | "MutableSet" | "WeakSet" => {
                of(Shape::Set, first)
            }
            "dict" | "Dict" | "Mapping" | "MutableMapping" | "defaultdict" | "DefaultDict" | "OrderedDict" => {
                of(Shape::Dict, last)
            }
            "Iterable" | "Iterator" | "Generator" | "Collection" => of(Shape::Iter, first),
            "AsyncIterator" | "AsyncIterable" | "AsyncGenerator" => of(Shape::AsyncIter, first),
            "Coroutine" => of(Shape::Coroutine, last),
            "Task" => of(Shape::Task, first),
            "Future" => {
                let base = self.expr(base);
                match self.instance_of(&base) {
                    Ty::Of(Shape::Future, _) => {
                        let result = first.map_or(Ty::Unknown, |parameter| self.annotation(parameter));
                        Ty::of(Shape::Future, result)
                    }
                    other => other,
                }
            }
            "AbstractContextManager" | "ContextManager" => of(Shape::With, first),
            "AbstractAsyncContextManager" | "AsyncContextManager" => of(Shape::AsyncWith, first),
            "tuple" | "Tuple" => match last.map(|last| &facts.expr(last).kind) {
                // `tuple[int, ...]`
                Some(ExprKind::Constant) => of(Shape::List, first),
                _ => Ty::Tuple(parameters.iter().map(|parameter| self.annotation(*parameter)).collect()),
            },
            "type" | "Type" => match first.map(|first| self.expr(first)) {
                Some(class @ (Ty::Class(_) | Ty::Known(_))) => class,
                _ => Ty::Unknown,
            },
            // What is awaited is not said to be a coroutine that must be.
            "Awaitable" | "Callable" | "Literal" | "TypeGuard" => Ty::Unknown,
            _ => {
                let base = self.expr(base);
                self.instance_of(&base)
            }
        }
    }
}

//! What linking comes to about one file, and how far it has come.
//!
//! Linking goes in stages; a stage asks every file about what the stages before it found, and enters the answers. Tables
//! that more than one stage fills keep every version, so that a later link can take up any of them.

use std::sync::Arc;

use bitcode::{Decode, Encode};
use rustc_hash::FxHashMap;

use super::{Ancestor, Context, Decoration, Edge, ParamEffects, Place, Program, Used};
use crate::facts::{ClassId, LocalId};
use crate::ids::{CallRef, ClassRef, FileId, FunctionRef, LocalRef};
use crate::program::decoration::Habits;
use crate::program::locks::ByFunction;
use crate::program::places::{Created, PrimitiveUse};
use crate::program::protocols::ProtocolClass;
use crate::program::reads::{Parts, note};
use crate::ty::Ty;

/// Rounds of inferring results and attributes: a chain of unannotated helpers deeper than this stays unknown.
pub(super) const ROUNDS: usize = 4;
/// Times that decorators are looked at: those of the program's own are understood by what they return.
pub(super) const DECORATIONS: usize = 2;
/// Times that what calls pass is gathered.
pub(super) const PASSES: usize = 2;
/// Rounds of effects: helpers that hand a value to helpers deeper than this are not followed further.
pub(super) const EFFECTS: usize = 4;
/// Times that held locks are looked for: those of context managers are known by what their functions take.
pub(super) const HELD: usize = 2;

/// What methods of a class store on `self`, by name.
pub(crate) type Attributes<T = Ty> = FxHashMap<Box<str>, T>;

/// Everything that linking came to about one file. `T` is a type, or the number of one where tables are kept on disk.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(crate) struct Tables<T = Ty> {
    /// By function.
    pub(super) habits: Vec<Habits>,
    /// By class: what stands in its header.
    pub(super) bases: Vec<Vec<Ancestor>>,
    /// By class: the class itself, then its ancestors, nearest first.
    pub(super) orders: Vec<Box<[Ancestor]>>,
    /// By class: who inherits from it, at any distance.
    pub(super) subclasses: Vec<Vec<ClassRef>>,
    /// By function, each time.
    pub(super) decorations: [Vec<Decoration>; DECORATIONS],
    pub(super) rounds: [Round<T>; ROUNDS],
    pub(super) passes: [Pass<T>; PASSES],
    /// By call: the type of what is called.
    pub(super) callees: Vec<T>,
    /// By parameter, each round.
    pub(super) effects: [Arc<[ParamEffects]>; EFFECTS],
    /// Names of its properties, sorted.
    pub(super) properties: Vec<Box<str>>,
    /// Its protocols with the names of their methods.
    pub(super) protocols: Vec<ProtocolClass>,
    /// Its classes that have methods of protocols' names.
    pub(super) methods: Vec<(Box<str>, ClassRef)>,
    /// What its functions lead to, by caller and place.
    pub(super) edges: Vec<Edge>,
    /// What leads to its functions, by callee and then in the order of files.
    pub(super) incoming: Vec<Edge>,
    /// By function.
    pub(super) contexts: Vec<Context>,
    /// Whether its coroutines belong to another library's loop.
    pub(super) is_foreign: bool,
    /// The primitives it makes.
    pub(super) created: Vec<Created>,
    /// What it does with primitives.
    pub(super) uses: Vec<Used>,
    /// The primitives that are kept in its variables and classes, sorted.
    pub(super) primitives: Vec<(Place, PrimitiveUse)>,
    /// The locks its functions hold: those they take themselves, and all.
    pub(super) held: [ByFunction; HELD],
    /// Whether it applies `nest_asyncio`.
    pub(super) applies_nest_asyncio: bool,
}

/// What one round came to.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Round<T = Ty> {
    /// By function: what the body gives.
    pub(super) returns: Arc<[T]>,
    /// By class.
    pub(super) attributes: Arc<[Attributes<T>]>,
    /// What others store in variables of this module and its classes.
    pub(super) patched: Vec<(LocalId, T)>,
    /// What this file stores in others.
    pub(super) outside: Vec<(Outside, T)>,
    /// What code outside of a class stores in attributes of its instances, in the order of files.
    pub(super) received: Vec<Received<T>>,
}

/// Something that code outside of a class stores in an attribute of its instances.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Received<T = Ty> {
    pub(super) class: ClassId,
    pub(super) name: Box<str>,
    /// Whether the class stores it too; said by the first of several.
    pub(super) is_own: bool,
    pub(super) ty: T,
}

/// What gathering the arguments of all calls came to.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Pass<T = Ty> {
    /// By parameter: what calls pass.
    pub(super) params: Arc<[T]>,
    /// Who passes what to which parameter, in the order of files.
    pub(super) received: Vec<(FileId, u32, T)>,
    /// The files whose functions this one calls, sorted.
    pub(super) sent_to: Vec<FileId>,
    /// What parameters are when nothing is passed.
    pub(super) defaults: Vec<(u32, T)>,
}

/// A place that something is stored in from outside.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Outside {
    /// A variable of another module, or of a class.
    Variable(LocalRef),
    /// An attribute of the instances of a class.
    Attribute(ClassRef, Box<str>),
}

/// How many of the stages are done; which versions of the tables answers come from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub(super) classes: bool,
    pub(super) decorations: usize,
    pub(super) rounds: usize,
    pub(super) passes: usize,
    pub(super) effects: usize,
    pub(super) held: usize,
}

static UNKNOWN: Ty = Ty::Unknown;
static PLAIN: Decoration = Decoration::PLAIN;

impl Program {
    /// What a function's name calls: decorators as treadle understands them.
    pub fn decoration(&self, function: FunctionRef) -> &Decoration {
        note(function.file, Parts::TYPES);
        let Some(version) = self.progress.decorations.checked_sub(1) else { return &PLAIN };
        &self.tables(function.file).decorations[version][function.id.index()]
    }

    pub(super) fn habits(&self, function: FunctionRef) -> &Habits {
        note(function.file, Parts::TYPES);
        &self.tables(function.file).habits[function.id.index()]
    }

    /// What a call of the undecorated function returns, awaited if it is a coroutine function.
    pub fn returns(&self, function: FunctionRef) -> &Ty {
        self.last_round(function.file).map_or(&UNKNOWN, |round| &round.returns[function.id.index()])
    }

    /// What methods of a class, and code outside of it, store in attributes of its instances.
    pub(crate) fn attributes(&self, class: ClassRef) -> Option<&Attributes> {
        self.last_round(class.file).map(|round| &round.attributes[class.id.index()])
    }

    /// What others store in a variable of a module or class.
    pub(crate) fn patched(&self, local: LocalRef) -> Option<&Ty> {
        let patched = &self.last_round(local.file)?.patched;
        patched.binary_search_by_key(&local.id, |(local, _)| *local).ok().map(|at| &patched[at].1)
    }

    pub(super) fn last_round(&self, file: FileId) -> Option<&Round> {
        note(file, Parts::TYPES);
        let version = self.progress.rounds.checked_sub(1)?;
        Some(&self.tables(file).rounds[version])
    }

    /// What calls pass for a parameter, by its position in the file.
    pub(crate) fn passed(&self, file: FileId, param: usize) -> &Ty {
        note(file, Parts::PARAMS);
        let Some(version) = self.progress.passes.checked_sub(1) else { return &UNKNOWN };
        self.tables(file).passes[version].params.get(param).unwrap_or(&UNKNOWN)
    }

    /// The type of what a call calls.
    pub fn callee(&self, call: CallRef) -> &Ty {
        note(call.file, Parts::CALLEES);
        &self.tables(call.file).callees[call.id.index()]
    }

    /// What becomes of the parameters of a file.
    pub(super) fn effects_in(&self, file: FileId) -> &[ParamEffects] {
        note(file, Parts::EFFECTS);
        match self.progress.effects.checked_sub(1) {
            Some(version) => &self.tables(file).effects[version],
            None => &[],
        }
    }
}

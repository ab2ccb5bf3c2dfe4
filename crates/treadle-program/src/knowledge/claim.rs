//! The form of an entry: what one claim about a library may say.

use std::collections::BTreeMap;

use bitcode::{Decode, Encode};
use serde::Deserialize;

/// One file of knowledge: `knowledge/data/LIBRARY.toml`, or a user's `[[tool.treadle.knowledge]]` entries.
#[derive(Clone, Debug, Default, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Book {
    /// The distribution the claims are about, as `pip install` names it; `python` for the standard library.
    #[serde(default)]
    pub library: String,
    /// Top-level modules that this file lists completely as far as coroutine functions go: a call of anything else in
    /// them is known not to make a coroutine.
    #[serde(default)]
    pub complete: Vec<String>,
    /// Other spellings: a dotted path that starts with the key means the same path with the value in its place. Used for
    /// re-exports (`"requests.sessions" = "requests"`).
    #[serde(default)]
    pub alias: BTreeMap<String, String>,
    /// The claims.
    #[serde(default)]
    pub claim: Vec<Claim>,
}

/// One argued claim about one or several names that behave alike.
#[derive(Clone, Debug, Default, Deserialize, Encode, Decode, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Claim {
    /// Dotted names: `module.function`, `module.Class`, `module.Class.method`.
    pub names: Vec<String>,
    /// Why the claim is true, in a sentence or two for the reader of the file (and printed with `blocks` findings where it helps).
    pub why: String,

    /// The names are classes: calling one gives an instance.
    #[serde(default)]
    pub class: bool,
    /// Base classes, dotted; their methods are inherited.
    #[serde(default)]
    pub bases: Vec<String>,
    /// What instances can do, for classes.
    #[serde(default)]
    pub protocols: Vec<Protocol>,
    /// What `with`/`async with` binds when it is not the object itself.
    #[serde(default)]
    pub enters: Option<String>,
    /// What iteration (`for` or `async for`) yields.
    #[serde(default)]
    pub iterates: Option<String>,
    /// What `await` on an instance gives.
    #[serde(default)]
    pub awaits: Option<String>,

    /// The name is not called but read: an attribute, property or module-level object of the type in `returns`.
    #[serde(default)]
    pub attribute: bool,
    /// A coroutine function: calling it does nothing until the result is awaited.
    #[serde(default, rename = "async")]
    pub is_async: bool,
    /// The type of a call's result (for `async`, of the awaited result). See `knowledge/types.rs` for the grammar.
    #[serde(default)]
    pub returns: Option<String>,

    /// Calling it (for `async`: never) keeps the calling thread waiting or working.
    #[serde(default)]
    pub blocks: Option<Blocking>,
    /// Arguments that make `blocks` untrue: `"block=False"`, `"timeout=0"`, `"0=False"` (position=literal), `"block"` (given
    /// at all), `"1~LOCK_NB"` (a flag of that name is in it).
    #[serde(default)]
    pub unless: Vec<String>,
    /// Arguments without which `blocks` is untrue; the same form.
    #[serde(default)]
    pub only_if: Vec<String>,
    /// The asyncio way to do the same, dotted, when there is one: `asyncio.sleep`, `httpx.AsyncClient.get`.
    #[serde(default)]
    pub twin: Option<String>,
    /// The twin takes the same arguments and returns the same value, so a fix may write it.
    #[serde(default)]
    pub twin_is_exact: bool,
    /// One line of advice that is better than "run it in a thread".
    #[serde(default)]
    pub cure: Option<String>,

    /// What happens to arguments: the key is a position (`"0"`), a keyword (`"target"`), both (`"0|func"`), or `"*"` for every positional one.
    #[serde(default)]
    pub effects: BTreeMap<String, Effect>,

    /// The result must be closed by whoever asked for it (the class of the result says how in `close`).
    #[serde(default)]
    pub opens: bool,
    /// What is opened goes on by itself until it is closed, so that plain functions have to close it too.
    #[serde(default)]
    pub goes_on: bool,
    /// Methods that close an instance, for classes.
    #[serde(default)]
    pub close: Vec<String>,
    /// Makes a client with a connection pool of its own, to be made once and shared.
    #[serde(default)]
    pub pooled_client: bool,
    /// Makes a thread or process pool.
    #[serde(default)]
    pub executor: bool,
    /// A synchronisation primitive, for classes.
    #[serde(default)]
    pub primitive: Option<Primitive>,

    /// What it does as a decorator to the function under it.
    #[serde(default)]
    pub decorator: Option<Decorator>,
    /// What a callback is called with: types of its parameters, by the argument that is the callback (`"0|handler"`), or by
    /// `"decorated"` for the function under a decorator.
    #[serde(default)]
    pub passes: BTreeMap<String, Vec<String>>,
    /// For base classes: where the framework runs methods that a subclass defines with plain `def`, by method name (`"*"` for all others).
    #[serde(default)]
    pub runs: BTreeMap<String, Place>,

    /// The name, or with `argument` one keyword of it, is deprecated or gone.
    #[serde(default)]
    pub legacy: Option<Legacy>,
}

/// What an instance can do.
#[derive(Clone, Copy, Debug, Deserialize, Encode, Decode, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// `with`
    With,
    /// `async with`
    AsyncWith,
    /// `for`
    Iter,
    /// `async for`
    AsyncIter,
    /// `await`
    Await,
}

/// Why a call keeps its thread.
#[derive(Clone, Copy, Debug, Deserialize, Encode, Decode, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Blocking {
    /// Sleeps.
    Sleep,
    /// Talks to another machine, or may: sockets, HTTP, DNS, brokers.
    Network,
    /// Talks to a database.
    Database,
    /// Starts a process and waits for it.
    Subprocess,
    /// Waits for a thread, a process, a lock, a queue or a future.
    Wait,
    /// Waits for a person.
    Input,
    /// Touches the file system.
    File,
    /// Computes for long.
    Cpu,
}

/// What becomes of an argument.
#[derive(Clone, Copy, Debug, Deserialize, Encode, Decode, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Called now, on this thread, before the call returns.
    Calls,
    /// Called in another thread.
    Thread,
    /// Called in another process.
    Process,
    /// Called later on the loop's thread.
    Loop,
    /// A coroutine or awaitable that is scheduled as a task of its own; the result of the call is (or holds) the handle.
    Task,
    /// A coroutine or awaitable that the call's result awaits.
    Awaits,
    /// A coroutine that a loop is run for, to its end, on this thread.
    Runs,
    /// Kept for as long as the receiver lives.
    Keeps,
    /// Looked at while the call runs; neither called nor kept.
    Uses,
}

/// What kind of synchronisation primitive, and for whom.
#[derive(Clone, Copy, Debug, Deserialize, Encode, Decode, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the standard library's; build.rs reads this file too")]
pub enum Primitive {
    ThreadLock,
    ThreadRlock,
    ThreadSemaphore,
    ThreadCondition,
    ThreadEvent,
    ThreadBarrier,
    ThreadQueue,
    AsyncLock,
    AsyncSemaphore,
    AsyncCondition,
    AsyncEvent,
    AsyncBarrier,
    AsyncQueue,
    AsyncFuture,
    TaskGroup,
}

/// What a decorator makes of the function under it.
#[derive(Clone, Copy, Debug, Deserialize, Encode, Decode, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Decorator {
    /// The same function as far as anybody can tell.
    Transparent,
    /// The same function; a framework also calls it: `async def` on the loop, plain `def` in a thread (FastAPI's routes).
    Route,
    /// The same function; a framework also calls it on the loop, plain `def` too.
    Handler,
    /// A framework calls it off the loop (Flask's routes, Celery's tasks).
    OffLoop,
    /// A coroutine function that runs it in a thread (`asgiref.sync.sync_to_async`).
    Thread,
    /// A plain function that runs the coroutine function on some loop (`asgiref.sync.async_to_sync`).
    ToSync,
    /// `contextlib.contextmanager`.
    ContextManager,
    /// `contextlib.asynccontextmanager`.
    AsyncContextManager,
    /// `property` and its kin: reading the attribute calls it.
    Property,
    /// `staticmethod`.
    Static,
    /// `classmethod`.
    Class,
    /// A function whose call gives an awaitable (`types.coroutine`).
    Coroutine,
    /// Something else entirely: treadle follows no call of it.
    Opaque,
}

/// Where code runs.
#[derive(Clone, Copy, Debug, Deserialize, Encode, Decode, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// On the event loop's thread.
    Loop,
    /// In another thread or process, or before any loop.
    Elsewhere,
}

/// A name that is on its way out or gone.
#[derive(Clone, Debug, Deserialize, Encode, Decode, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Legacy {
    /// The Python version that deprecated it: `"3.8"`.
    #[serde(default)]
    pub deprecated: Option<String>,
    /// The Python version that removed it.
    #[serde(default)]
    pub removed: Option<String>,
    /// What to write instead, dotted or in words.
    #[serde(default)]
    pub instead: Option<String>,
    /// `instead` takes the same arguments, so the name can simply be replaced.
    #[serde(default)]
    pub instead_is_exact: bool,
    /// The claim is about this keyword argument only (`loop`).
    #[serde(default)]
    pub argument: Option<String>,
}

//! What `__aexit__` gives: an awaitable that is done at once. There are three in the process, which anybody may await any number of times, since
//! nothing is in them but their answer.

use crate::coroutine::thrown;
use crate::ffi::{Class, Instance, Kind, Object, Plain, Raised, Result, Spec, Step, Weak};

/// The awaitables.
pub(super) struct Ready {
    none: Object,
    yes: Object,
    no: Object,
}

impl Ready {
    pub(super) fn new() -> Result<Self> {
        let class = Spec::<Answer>::new(
            c"treadle._native.Ready",
            c"What is done at once and may be awaited again; `collections.abc.Coroutine` describes it.",
        )
        .awaitable(|this| Ok(this.object().clone()), send)
        .method(c"send", |this, arguments| {
            let [value] = arguments.exactly("send")?;
            match send(this, value)? {
                Step::Yield(object) => Ok(object),
                Step::Return(value) => Err(Raised::stop_iteration(&value)),
            }
        })
        .method(c"throw", |_this, arguments| Err(Raised::restore(&thrown(arguments)?)))
        .method(c"close", |_this, arguments| {
            arguments.exactly::<0>("close")?;
            Ok(Object::none())
        })
        .create(None)?;
        let ready = |answer| class.instantiate_in_place(|| Answer(answer)).map(Instance::into_object);
        Ok(Self { none: ready(None)?, yes: ready(Some(true))?, no: ready(Some(false))? })
    }

    /// The one that gives this when it is awaited.
    #[inline]
    pub(super) fn with(&self, answer: Option<bool>) -> Object {
        match answer {
            None => &self.none,
            Some(true) => &self.yes,
            Some(false) => &self.no,
        }
        .clone()
    }
}

/// What awaiting gives: None, True or False.
struct Answer(Option<bool>);

impl Class for Answer {
    type Head = Plain;
    type Tail = Weak;
    const COLLECTED: bool = false;
}

fn send(this: &Instance<Answer>, value: &Object) -> Result<Step> {
    if !value.is_none() {
        return Err(Kind::TypeError.raise_static(c"can't send non-None value to a just-started coroutine"));
    }
    Ok(Step::Return(this.0.map_or_else(Object::none, Object::bool)))
}

//! Calls from and into Python, by vectorcall: no tuple is built for either.

use pyo3::ffi::PyObject;

use super::error::{Kind, Result};
use super::object::{Object, Slot};
use super::raw::{ARGUMENTS_OFFSET, NO_NAMES, PyObject_Vectorcall, PyObject_VectorcallMethod};

impl Object {
    /// `self(*arguments)`.
    #[inline]
    pub(crate) fn call<const N: usize>(&self, arguments: [&Object; N]) -> Result<Object> {
        let pointers = arguments.map(Object::pointer);
        // SAFETY: the callable and N arguments are alive (L1), this thread is attached (L2), the result is new (L4).
        let new = unsafe { PyObject_Vectorcall(self.pointer(), pointers.as_ptr(), N, NO_NAMES) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// `self(*arguments)`, however many there are.
    #[inline]
    pub(crate) fn call_with(&self, arguments: &[Object]) -> Result<Object> {
        let pointers = arguments.as_ptr().cast::<*mut PyObject>();
        // SAFETY: as above; an `Object` is a pointer and nothing else.
        let new = unsafe { PyObject_Vectorcall(self.pointer(), pointers, arguments.len(), NO_NAMES) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// `self(*arguments, **keywords)`, where `names` is the tuple of the last arguments' names.
    pub(crate) fn call_named<const N: usize>(
        &self,
        arguments: [&Object; N],
        names: &Object,
        count: usize,
    ) -> Result<Object> {
        let pointers = arguments.map(Object::pointer);
        let positional = N - count;
        // SAFETY: the callable, N arguments and the names are alive (L1), this thread is attached (L2), the result is new (L4).
        let new = unsafe { PyObject_Vectorcall(self.pointer(), pointers.as_ptr(), positional, names.pointer()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// As [`Self::call_named`], however many there are; the first `positional` have no names.
    pub(crate) fn call_with_names(&self, arguments: &[Object], names: &Object, positional: usize) -> Result<Object> {
        debug_assert_eq!(names.tuple_length(), Some(arguments.len() - positional), "one name for each");
        let pointers = arguments.as_ptr().cast::<*mut PyObject>();
        // SAFETY: as above; an `Object` is a pointer and nothing else.
        let new = unsafe { PyObject_Vectorcall(self.pointer(), pointers, positional, names.pointer()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// `self(*arguments, **keywords)`.
    pub(crate) fn call_by_keywords<const N: usize>(
        &self,
        arguments: [&Object; N],
        keywords: &Object,
    ) -> Result<Object> {
        let arguments = Object::tuple(arguments.map(Object::clone))?;
        // SAFETY: the callable, a tuple and a dict are alive (L1) and this thread is attached (L2); what is no dict is an exception.
        let result = unsafe { pyo3::ffi::PyObject_Call(self.pointer(), arguments.pointer(), keywords.pointer()) };
        // SAFETY: the result is new (L4).
        unsafe { Self::from_new(result) }
    }

    /// Calls this with what a native method was called with.
    pub(crate) fn forward(&self, arguments: Args<'_>) -> Result<Object> {
        let names = arguments.names.map_or(NO_NAMES, Object::pointer);
        let all: Vec<Object> = arguments.positional.iter().chain(arguments.values).cloned().collect();
        let pointers = all.as_ptr().cast::<*mut PyObject>();
        let count = arguments.positional.len();
        // SAFETY: as above; the names are those of the last arguments.
        let new = unsafe { PyObject_Vectorcall(self.pointer(), pointers, count, names) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// `self.name(*arguments)`, without making the bound method.
    #[inline]
    pub(crate) fn method<const N: usize>(&self, name: &Object, arguments: [&Object; N]) -> Result<Object> {
        let mut pointers = [std::ptr::null_mut(); 8];
        debug_assert!(N < 7, "room for self and a free slot before it");
        pointers[1] = self.pointer();
        for (place, argument) in pointers[2..].iter_mut().zip(arguments) {
            *place = argument.pointer();
        }
        let count = (N + 1) | ARGUMENTS_OFFSET;
        // SAFETY: the name, self and N arguments are alive (L1), the slot before self is ours, this thread is attached (L2), the result is new (L4).
        let new = unsafe { PyObject_VectorcallMethod(name.pointer(), &raw const pointers[1], count, NO_NAMES) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }
}

/// What a native method was called with.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a> {
    pub(super) positional: &'a [Object],
    /// The keywords' names, as many as `values`.
    pub(super) names: Option<&'a Object>,
    pub(super) values: &'a [Object],
}

/// One keyword argument.
pub(crate) struct Keyword<'a> {
    pub(crate) name: Object,
    pub(crate) value: &'a Object,
}

impl<'a> Args<'a> {
    #[inline]
    pub(crate) fn positional(&self) -> &'a [Object] {
        self.positional
    }

    /// The keywords' names, if there are keywords.
    #[inline]
    pub(crate) fn names(&self) -> Option<&'a Object> {
        self.names.filter(|_| self.has_keywords())
    }

    /// The keywords' values.
    #[inline]
    pub(crate) fn values(&self) -> &'a [Object] {
        self.values
    }

    #[inline]
    pub(crate) fn has_keywords(&self) -> bool {
        !self.values.is_empty()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.positional.is_empty() && self.values.is_empty()
    }

    pub(crate) fn keywords(&self) -> Result<Vec<Keyword<'a>>> {
        let Some(names) = self.names else { return Ok(Vec::new()) };
        let pairs = self.values.iter().enumerate();
        pairs.map(|(index, value)| Ok(Keyword { name: names.item(index)?, value })).collect()
    }

    /// The one keyword that may be given, by name. Callers in C hand over the same tuple of names each time: `known` remembers the last that was
    /// looked through, which spares comparing texts (a tenth of what `call_soon` costs a task, see benches/loops).
    #[inline]
    pub(crate) fn only_keyword(&self, name: &Object, known: &Slot, function: &str) -> Result<Option<&'a Object>> {
        let Some(names) = self.names else { return Ok(None) };
        if !known.holds(names) {
            if names.tuple_length() == Some(0) {
                return Ok(None);
            }
            for keyword in self.keywords()? {
                let given = keyword.name.to_text()?;
                if given != name.to_text()? {
                    let message = format!("{function}() got an unexpected keyword argument '{given}'");
                    return Err(Kind::TypeError.raise(&message));
                }
            }
            known.store(Some(names.clone()));
        }
        Ok(self.values.first())
    }

    /// Exactly N arguments without keywords.
    #[inline]
    pub(crate) fn exactly<const N: usize>(&self, function: &str) -> Result<&'a [Object; N]> {
        if !self.has_keywords()
            && let Ok(arguments) = self.positional.try_into()
        {
            return Ok(arguments);
        }
        let given = self.positional.len() + self.values.len();
        Err(Kind::TypeError.raise(&format!("{function}() takes {N} positional arguments but {given} were given")))
    }

    /// Arguments by position or by name, as a Python function with these parameters takes them: the first `required` must be there.
    pub(crate) fn named<const N: usize>(
        &self,
        function: &str,
        parameters: [&str; N],
        required: usize,
    ) -> Result<[Option<&'a Object>; N]> {
        if self.positional.len() > N {
            let given = self.positional.len();
            let message = format!("{function}() takes at most {N} positional arguments ({given} given)");
            return Err(Kind::TypeError.raise(&message));
        }
        let mut found = [None; N];
        for (place, argument) in found.iter_mut().zip(self.positional) {
            *place = Some(argument);
        }
        for keyword in self.keywords()? {
            let name = keyword.name.to_text()?;
            let Some(index) = parameters.iter().position(|parameter| *parameter == name) else {
                return Err(Kind::TypeError.raise(&format!("{function}() got an unexpected keyword argument '{name}'")));
            };
            if found[index].replace(keyword.value).is_some() {
                return Err(Kind::TypeError.raise(&format!("{function}() got multiple values for argument '{name}'")));
            }
        }
        if let Some(missing) = (0..required).find(|&index| found[index].is_none()) {
            let name = parameters[missing];
            return Err(Kind::TypeError.raise(&format!("{function}() missing required argument: '{name}'")));
        }
        Ok(found)
    }
}

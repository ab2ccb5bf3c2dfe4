//! The little language in which claims write types.
//!
//! | text | meaning |
//! |---|---|
//! | `requests.Response`, `str`, `None` | an instance of that class (builtins need no prefix) |
//! | `self` | the receiver's own type |
//! | `type[X]` | the class itself |
//! | `list[T]`, `set[T]`, `iter[T]` | something that `for` yields `T` from |
//! | `dict[T]` | a mapping with values `T` |
//! | `tuple[A, B]` | a tuple of exactly these |
//! | `async-iter[T]` | something that `async for` yields `T` from |
//! | `coroutine[T]` | must be awaited, gives `T` |
//! | `task[T]`, `future[T]` | already running, may be awaited, gives `T` |
//! | `with[T]`, `async-with[T]` | a context manager that binds `T` |
//! | `arg0` | the type of the first argument |
//! | `await(arg0)` | what awaiting the first argument gives |
//! | `call(arg0)` | what calling the first argument gives |
//! | `?` | not known |

//! The Python objects that native code needs all the time: names, classes, functions. Looked up once, kept for ever.

use crate::event_loop::{self, Loop};
use crate::ffi::{Object, Result, Shared, Type};
use crate::handle::{self, Handle};
use crate::stream::{self, Stream};
use crate::streams::Streams;

macro_rules! names {
    ($($name:ident)*) => {
        /// Interned names of attributes and parameters.
        pub(crate) struct Names { $(pub(crate) $name: Object,)* }

        impl Names {
            fn new() -> Result<Self> {
                Ok(Self { $($name: Object::interned(
                    const { match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => unreachable!(),
                    } })?,)* })
            }
        }
    };
}

names! {
    __anext__
    __get__
    _adopt_streams
    _asyncio_future_blocking
    _begin
    _call_connection_lost
    _call_failed
    _check_call
    _connection_lost
    _create_task
    _creation_stack
    _detach_server
    _drain_helper
    _end_line
    _native_state
    _paused
    _process_signal
    _protocol
    _reader
    _run_in_debug_mode
    _show_transport
    _stream_reader_wr
    _transport
    _transport_failed
    _unclosed_transport
    _task_factory
    _write_after_loss
    at_eof
    buffer_updated
    call_exception_handler
    cancel
    cancelled
    close
    connection_lost
    connection_made
    context
    create_future
    data_received
    datagram_received
    done
    drain
    eof_received
    error_received
    extend
    feed_data
    fileno
    get
    get_buffer
    pause_reading
    pause_writing
    read
    readexactly
    readline
    readuntil
    resume_reading
    resume_writing
    result
    set_exception
    set_result
    throw
    write
}

/// All of them.
pub(crate) struct Known {
    pub(crate) names: Names,
    pub(crate) handle: Type<Handle>,
    pub(crate) timer_handle: Type<Handle>,
    pub(crate) stream: Type<Stream>,
    pub(crate) streams: Streams,
    pub(crate) event_loop: Type<Loop>,
    pub(crate) future: Object,
    pub(crate) task: Object,
    /// The names `("loop",)` of a call.
    pub(crate) loop_name: Object,
    /// `asyncio.Handle` and `asyncio.TimerHandle`, which ours say they are.
    pub(crate) asyncio_handle: Object,
    pub(crate) asyncio_timer_handle: Object,
    pub(crate) buffered_protocol: Object,
    pub(crate) logger: Object,
}

static KNOWN: Shared<Known> = Shared::new();

/// What is known. Native classes can only be reached after [`load`].
#[inline]
pub(crate) fn known() -> &'static Known {
    #[expect(clippy::expect_used, reason = "every way to native code leads through the classes that `load` made")]
    KNOWN.get().expect("the loop's classes are made before they are used")
}

#[inline]
pub(crate) fn names() -> &'static Names {
    &known().names
}

/// Looks everything up and makes the classes, once.
pub(crate) fn load() -> Result<&'static Known> {
    if KNOWN.get().is_none() {
        let text = |name| Object::interned(name);
        let asyncio = Object::import(c"asyncio")?;
        let logger = Object::import(c"asyncio.log")?.attribute(&text(c"logger")?)?;
        KNOWN.set(Known {
            names: Names::new()?,
            handle: handle::plain_class()?,
            timer_handle: handle::timer_class()?,
            event_loop: event_loop::class()?,
            future: asyncio.attribute(&text(c"Future")?)?,
            task: asyncio.attribute(&text(c"Task")?)?,
            loop_name: Object::tuple([text(c"loop")?])?,
            stream: stream::class(&asyncio.attribute(&text(c"Transport")?)?)?,
            streams: Streams::new()?,
            asyncio_handle: asyncio.attribute(&text(c"Handle")?)?,
            asyncio_timer_handle: asyncio.attribute(&text(c"TimerHandle")?)?,
            buffered_protocol: asyncio.attribute(&text(c"BufferedProtocol")?)?,
            logger,
        });
    }
    Ok(known())
}

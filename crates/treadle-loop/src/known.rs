//! The Python objects that native code needs all the time: names, classes, functions. Looked up once, kept for ever.

use crate::coroutine::{self, Coroutine};
use crate::datagram::{self, Datagram};
use crate::event_loop::{self, Loop};
use crate::ffi::{Object, Result, Shared, Slot, Type};
use crate::handle::{self, Handle, SharedHandle};
use crate::jobs::{self, Job};
use crate::pipe::{self, ReadPipe, WritePipe};
use crate::sock::{self, Operation};
use crate::stream::{self, Stream};
use crate::streams::Streams;
use crate::tls::{self, Tls};

macro_rules! interned_names {
    ($($name:ident)*) => {
        /// Interned names of attributes and parameters.
        pub(crate) struct Names { $(pub(crate) $name: Object,)* }

        impl Names {
            pub(crate) fn new() -> Result<Self> {
                Ok(Self { $($name: Object::interned(
                    const { match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => unreachable!(),
                    } })?,)* })
            }
        }
    };
}

pub(crate) use interned_names;

interned_names! {
    __anext__
    __dict__
    __get__
    _accept_failed
    _adopt_streams
    _app_protocol
    _asyncio_future_blocking
    _attach
    _begin
    _bound_value
    _call_connection_lost
    _call_eof_received
    _call_failed
    _check_call
    _check_socket
    _children
    _connect_by_name
    _connect_failed
    _connection_lost
    _control_app_writing
    _control_ssl_reading
    _coro
    _create_task
    _creation_stack
    _detach
    _do_flush
    _do_handshake
    _do_read
    _do_shutdown
    _drain_helper
    _end_line
    _exception
    _fatal_error
    _finish_connecting
    _fut_waiter
    _heap
    _lock
    _locked
    _loop
    _maxsize
    _native_state
    _paused
    _process_signal
    _protocol
    _queue
    _reader
    _run_in_debug_mode
    _send_rest
    _sockets
    _start_shutdown
    _stream_reader_wr
    _tasks
    _transport
    _transport_failed
    _transport_ran
    _unclosed_transport
    _value
    _write_after_end
    _write_after_loss
    accept
    acquire
    ag_await
    allocate_lock
    at_eof
    buffer_updated
    call_exception_handler
    call_soon
    cancel_answered
    cancel_coming
    cancel_stayed
    cancelled
    close
    connect
    connection_lost
    connection_made
    context
    cr_await
    cr_code
    cr_frame
    create_future
    data_received
    datagram_received
    done
    drain
    eof_received
    error_received
    exception
    extend
    feed_data
    fileno
    gathered
    get
    get_buffer
    gi_suspended
    gi_yieldfrom
    inspect
    is_closing
    loop_closed
    loop_started
    loop_stopped
    message
    name
    pause_reading
    pause_writing
    peername
    pending
    popleft
    protocol
    read
    readexactly
    readline
    readuntil
    recv
    recv_into
    recvfrom
    recvfrom_into
    release
    result
    resume_reading
    resume_writing
    send
    sendto
    set_exception
    set_result
    socket
    sockname
    source
    task_failed
    throw
    time
    transport
    when
    write
}

/// All of them.
pub(crate) struct Known {
    pub(crate) names: Names,
    pub(crate) handle: Type<Handle>,
    pub(crate) timer_handle: Type<Handle>,
    pub(crate) shared_handle: Option<SharedHandle>,
    pub(crate) stream: Type<Stream>,
    pub(crate) datagram: Type<Datagram>,
    pub(crate) read_pipe: Type<ReadPipe>,
    pub(crate) write_pipe: Type<WritePipe>,
    pub(crate) operation: Type<Coroutine<Operation>>,
    pub(crate) sock: sock::Facts,
    pub(crate) tls: Type<Tls>,
    pub(crate) streams: Streams,
    pub(crate) event_loop: Type<Loop>,
    pub(crate) job: Type<Job>,
    pub(crate) future: Variable,
    pub(crate) task: Variable,
    /// The names `("loop",)` of a call.
    pub(crate) loop_name: Object,
    /// The names `("context",)` that a caller has used last.
    pub(crate) context_names: Slot,
    /// The names that `create_task` was called with last, and those with `loop` before them.
    pub(crate) keyword_names: Slot,
    pub(crate) task_names: Slot,
    /// `asyncio.Handle` and `asyncio.TimerHandle`, which ours say they are.
    pub(crate) asyncio_handle: Object,
    pub(crate) asyncio_timer_handle: Object,
    pub(crate) buffered_protocol: Object,
    /// Whether `Server._attach` takes the transport: from Python 3.13 on.
    pub(crate) servers_know_clients: bool,
    /// How `loop.sendfile` treats a transport: by the kernel's call, if it works.
    pub(crate) try_native: Object,
    /// `warnings.warn`.
    pub(crate) warn: Object,
    /// `bytearray` and `memoryview`.
    pub(crate) mutable_bytes: Object,
}

/// A variable of a module that is looked up each time, because a program may put something else there.
pub(crate) struct Variable {
    module: Object,
    variables: Object,
    name: Object,
}

impl Variable {
    pub(crate) fn new(module: &std::ffi::CStr, name: &std::ffi::CStr) -> Result<Self> {
        let module = Object::import(module)?;
        let variables = module.member(c"__dict__")?;
        Ok(Self { module, variables, name: Object::interned(name)? })
    }

    /// From the module's dict: `getattr` would search the type of modules first.
    #[inline]
    pub(crate) fn load(&self) -> Result<Object> {
        self.variables.entry(&self.name)?.map_or_else(|| self.module.attribute(&self.name), Ok)
    }
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
        let asyncio = Object::import(c"asyncio")?;
        let modes = Object::import(c"asyncio.constants")?.member(c"_SendfileMode")?;
        let builtins = Object::import(c"builtins")?;
        let [bytearray, memoryview] = [c"bytearray", c"memoryview"].map(|name| builtins.member(name));
        let [transport, datagram] = [c"Transport", c"DatagramTransport"].map(|name| asyncio.member(name));
        let datagram_bases = Object::tuple([transport?, datagram?]);
        KNOWN.set(Known {
            names: Names::new()?,
            handle: handle::plain_class()?,
            timer_handle: handle::timer_class()?,
            shared_handle: SharedHandle::new()?,
            event_loop: event_loop::class()?,
            job: jobs::class()?,
            future: Variable::new(c"asyncio.futures", c"Future")?,
            task: Variable::new(c"asyncio.tasks", c"Task")?,
            context_names: Slot::default(),
            keyword_names: Slot::default(),
            task_names: Slot::default(),
            loop_name: Object::tuple([Object::interned(c"loop")?])?,
            operation: coroutine::class(c"treadle._native.SocketOperation")?,
            sock: sock::Facts::new()?,
            stream: stream::class(&asyncio.member(c"Transport")?)?,
            datagram: datagram::class(&datagram_bases?)?,
            read_pipe: pipe::read_class(&asyncio.member(c"ReadTransport")?)?,
            write_pipe: pipe::write_class(&asyncio.member(c"Transport")?)?,
            tls: tls::class()?,
            streams: Streams::new()?,
            asyncio_handle: asyncio.member(c"Handle")?,
            asyncio_timer_handle: asyncio.member(c"TimerHandle")?,
            servers_know_clients: asyncio.member(c"Server")?.has_attribute(&Object::interned(c"close_clients")?),
            buffered_protocol: asyncio.member(c"BufferedProtocol")?,
            try_native: modes.member(c"TRY_NATIVE")?,
            warn: Object::import(c"warnings")?.member(c"warn")?,
            mutable_bytes: Object::tuple([bytearray?, memoryview?])?,
        });
    }
    Ok(known())
}

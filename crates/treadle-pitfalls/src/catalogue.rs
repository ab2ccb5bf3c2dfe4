//! Every pitfall, in the order of the documentation.

use crate::Pitfall;
use crate::await_non_awaitable::AWAIT_NON_AWAITABLE;
use crate::blocked_loop::BLOCKED_LOOP;
use crate::blocking_call::BLOCKING_CALL;
use crate::blocking_call_indirect::BLOCKING_CALL_INDIRECT;
use crate::blocking_file::BLOCKING_FILE;
use crate::busy_poll::BUSY_POLL;
use crate::client_per_call::CLIENT_PER_CALL;
use crate::coroutine_misuse::COROUTINE_MISUSE;
use crate::cpu_bound::CPU_BOUND;
use crate::cross_thread_call::CROSS_THREAD_CALL;
use crate::deadlock::DEADLOCK;
use crate::executor_per_call::EXECUTOR_PER_CALL;
use crate::executor_starved::EXECUTOR_STARVED;
use crate::gc_pause::GC_PAUSE;
use crate::gil_convoy::GIL_CONVOY;
use crate::leaked_task::LEAKED_TASK;
use crate::leaked_timer::LEAKED_TIMER;
use crate::legacy_loop_api::LEGACY_LOOP_API;
use crate::lock_order::LOCK_ORDER;
use crate::lock_reentry::LOCK_REENTRY;
use crate::lost_exception::LOST_EXCEPTION;
use crate::lost_task::LOST_TASK;
use crate::missing_await::MISSING_AWAIT;
use crate::nested_loop_run::NESTED_LOOP_RUN;
use crate::never_awaited::NEVER_AWAITED;
use crate::pending_at_exit::PENDING_AT_EXIT;
use crate::permit_leak::PERMIT_LEAK;
use crate::resolver_in_pool::RESOLVER_IN_POOL;
use crate::saturated_loop::SATURATED_LOOP;
use crate::sequential_await::SEQUENTIAL_AWAIT;
use crate::stalled_wait::STALLED_WAIT;
use crate::stuck_wait::STUCK_WAIT;
use crate::swallowed_cancel::SWALLOWED_CANCEL;
use crate::sync_lock_await::SYNC_LOCK_AWAIT;
use crate::task_flood::TASK_FLOOD;
use crate::unbounded_buffer::UNBOUNDED_BUFFER;
use crate::unbounded_queue::UNBOUNDED_QUEUE;
use crate::unclosed_generator::UNCLOSED_GENERATOR;
use crate::unclosed_resource::UNCLOSED_RESOURCE;
use crate::wrong_protocol::WRONG_PROTOCOL;

/// Every pitfall treadle knows.
pub static CATALOGUE: &[&Pitfall] = &[
    &BLOCKED_LOOP,
    &SATURATED_LOOP,
    &BUSY_POLL,
    &GIL_CONVOY,
    &GC_PAUSE,
    &EXECUTOR_STARVED,
    &RESOLVER_IN_POOL,
    &BLOCKING_CALL,
    &BLOCKING_FILE,
    &BLOCKING_CALL_INDIRECT,
    &CPU_BOUND,
    &SYNC_LOCK_AWAIT,
    &NESTED_LOOP_RUN,
    &CROSS_THREAD_CALL,
    &MISSING_AWAIT,
    &NEVER_AWAITED,
    &COROUTINE_MISUSE,
    &AWAIT_NON_AWAITABLE,
    &WRONG_PROTOCOL,
    &LOST_TASK,
    &PENDING_AT_EXIT,
    &LEAKED_TASK,
    &TASK_FLOOD,
    &LOST_EXCEPTION,
    &SWALLOWED_CANCEL,
    &DEADLOCK,
    &LOCK_ORDER,
    &LOCK_REENTRY,
    &STUCK_WAIT,
    &PERMIT_LEAK,
    &EXECUTOR_PER_CALL,
    &CLIENT_PER_CALL,
    &UNCLOSED_RESOURCE,
    &UNCLOSED_GENERATOR,
    &LEAKED_TIMER,
    &UNBOUNDED_QUEUE,
    &UNBOUNDED_BUFFER,
    &SEQUENTIAL_AWAIT,
    &STALLED_WAIT,
    &LEGACY_LOOP_API,
];

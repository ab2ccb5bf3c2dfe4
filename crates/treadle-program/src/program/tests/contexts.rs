//! Where functions run.

use super::program;
use crate::program::Context;
use crate::testing::function;

/// Asserts where each named function runs.
fn contexts(text: &str, expected: &[(&str, Context)]) {
    let program = program(text);
    for (name, context) in expected {
        assert_eq!(program.context(function(&program, name)), *context, "{name}");
    }
}

#[test]
fn coroutine_functions_run_on_the_loop_and_plain_ones_where_they_are_called() {
    let text = "async def a(): pass\nasync def b(): yield\ndef c(): pass\ndef d(): yield";
    let expected = [("a", Context::Loop), ("b", Context::Loop), ("c", Context::Caller), ("d", Context::Caller)];
    contexts(text, &expected);
}

#[test]
fn callbacks_run_on_the_loop_and_thread_functions_elsewhere() {
    let text = "
import asyncio, threading
def soon(): pass
def done(task): pass
def threaded(): pass
def target(): pass
async def main(loop: asyncio.AbstractEventLoop):
    loop.call_soon(soon)
    asyncio.create_task(main(loop)).add_done_callback(done)
    await asyncio.to_thread(threaded)
    threading.Thread(target=target).start()
";
    let expected = [
        ("soon", Context::Loop),
        ("done", Context::Loop),
        ("threaded", Context::Elsewhere),
        ("target", Context::Elsewhere),
        ("main", Context::Loop),
    ];
    contexts(text, &expected);
}

#[test]
fn a_callback_of_the_loop_stays_one_when_a_thread_runs_it_too() {
    let text = "
import asyncio
def f(): pass
async def main(loop: asyncio.AbstractEventLoop):
    await asyncio.to_thread(f)
    loop.call_soon(f)
    await asyncio.to_thread(f)
";
    contexts(text, &[("f", Context::Loop)]);
}

#[test]
fn frameworks_say_where_handlers_run() {
    let text = "
import threading
from fastapi import FastAPI
app = FastAPI()
@app.get('/')
def route(): pass
@app.get('/a')
async def aroute(): pass
class T(threading.Thread):
    def run(self): pass
    def helper(self): pass
";
    let expected = [
        ("route", Context::Elsewhere),
        ("aroute", Context::Loop),
        ("T.run", Context::Elsewhere),
        ("T.helper", Context::Caller),
    ];
    contexts(text, &expected);
}

#[test]
fn a_file_that_imports_trio_alone_is_foreign() {
    for (text, foreign) in [
        ("import trio", true),
        ("from trio import sleep", true),
        ("import trio, asyncio", false),
        ("import anyio", false),
        ("from . import trio", false),
    ] {
        assert_eq!(program(text).is_foreign(crate::ids::FileId(0)), foreign, "{text}");
    }
}

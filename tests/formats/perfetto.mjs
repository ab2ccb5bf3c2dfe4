// Perfetto's trace processor reads a trace and answers questions in SQL:
//
//   node perfetto.mjs DIRECTORY TRACE <QUERIES >ANSWERS
//
// The directory has the worker of Perfetto's page, `engine_bundle.js`, and its WebAssembly. Queries are a JSON object of names and SQL, answers one of
// names and rows. The worker takes and gives Protocol Buffers, of protos/perfetto/trace_processor/trace_processor.proto; what of them this needs is
// read and written here.

import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createContext, runInContext } from "node:vm";

const [REQUEST, FATAL, TRACE, QUERY, APPENDED, ANSWERED, FINISHED] = [2, 5, 101, 103, 201, 203, 212];
const [APPEND, FINISH, ASK] = [1, 2, 3];
const CELLS = { null: 1, integer: 2, float: 3, string: 4 };

const [directory, trace] = process.argv.slice(2);
const call = await worker(directory);
call(message([REQUEST, APPEND], [TRACE, readFileSync(trace)]), APPENDED, 2);
call(message([REQUEST, FINISH]), FINISHED, 1);
const queries = Object.entries(JSON.parse(readFileSync(0, "utf8")));
process.stdout.write(JSON.stringify(Object.fromEntries(queries.map(([name, sql]) => [name, answer(sql)]))));

// Starts the worker here, in a context with as much of a browser's worker as it looks at; returns what hands it a request, and gives the parts of the
// reply that the field given has. `error` is the field of these that has a message if it went wrong.
async function worker(directory) {
  class XMLHttpRequest {
    open(_, url) {
      this.file = basename(url);
    }
    send() {
      this.response = readFileSync(join(directory, this.file));
    }
  }
  const log = (...words) => process.stderr.write(`${words.join(" ")}\n`);
  const console = { log, warn: log, error: log };
  const scope = { WorkerGlobalScope: Object, location: { href: "http://worker/" }, XMLHttpRequest, Uint8Array, TextDecoder, URL, performance, console };
  scope.self = createContext(scope);
  runInContext(readFileSync(join(directory, "engine_bundle.js"), "utf8"), scope);
  const replies = [];
  const port = { postMessage: (reply) => replies.push(reply) };
  scope.onmessage({ data: port });
  // The rest of its start is one step of a promise behind.
  await new Promise(setImmediate);
  return (request, field, error) => {
    port.onmessage({ data: message([1, request]) });
    const fields = replies.splice(0).flatMap((reply) => values(reply, 1).flatMap((part) => read(part)));
    const parts = fields.filter(([number]) => number === field).map(([, part]) => part);
    const wrong = [...fields.filter(([number]) => number === FATAL).map(([, part]) => part), ...parts.flatMap((part) => values(part, error))];
    if (wrong.length || !parts.length) throw new Error(`${wrong[0] ?? `no field ${field} in the reply`}`);
    return parts;
  };
}

// The rows that a query gives, as objects.
function answer(sql) {
  const parts = call(message([REQUEST, ASK], [QUERY, message([1, Buffer.from(sql)])]), ANSWERED, 2);
  const names = parts.flatMap((part) => values(part, 1)).map(String);
  const cells = parts.flatMap((part) => values(part, 3)).flatMap(unpacked);
  return Array.from({ length: cells.length / names.length }, (_, row) =>
    Object.fromEntries(names.map((name, column) => [name, cells[row * names.length + column]])));
}

// The cells of a batch: their kinds stand together, and the values of each kind.
function unpacked(batch) {
  const [integers, floats] = [2, 3].map((field) => Buffer.concat(values(batch, field)));
  const strings = Buffer.concat(values(batch, 5)).toString().split("\0");
  const left = { integers: numbers(integers), floats: Array.from({ length: floats.length / 8 }, (_, at) => floats.readDoubleLE(at * 8)), strings };
  for (const list of Object.values(left)) list.reverse();
  return numbers(Buffer.concat(values(batch, 1))).map((kind) => {
    switch (Number(kind)) {
      case CELLS.null:
        return null;
      case CELLS.integer:
        return Number(left.integers.pop());
      case CELLS.float:
        return left.floats.pop();
      case CELLS.string:
        return left.strings.pop();
      default:
        throw new Error(`a cell of the kind ${kind}`);
    }
  });
}

// Fields of numbers and of bytes, as bytes.
function message(...fields) {
  return Buffer.concat(fields.map(([number, value]) =>
    typeof value === "number"
      ? Buffer.from([...encoded(number << 3), ...encoded(value)])
      : Buffer.concat([Buffer.from([...encoded((number << 3) | 2), ...encoded(value.length)]), value])));
}

function encoded(number) {
  const bytes = [];
  for (; number > 127; number >>>= 7) bytes.push((number & 127) | 128);
  return [...bytes, number];
}

// The values of a field.
function values(bytes, field) {
  return read(bytes).filter(([number]) => number === field).map(([, value]) => value);
}

// All fields of a message, as numbers and values.
function read(bytes) {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const fields = [];
  for (let at = 0; at < buffer.length; ) {
    let tag, value;
    [tag, at] = decoded(buffer, at);
    const [number, kind] = [Number(tag >> 3n), Number(tag & 7n)];
    if (kind === 0) {
      [value, at] = decoded(buffer, at);
    } else if (kind === 2) {
      const [length, start] = decoded(buffer, at);
      at = start + Number(length);
      value = buffer.subarray(start, at);
    } else {
      throw new Error(`field ${number} is of the kind ${kind}`);
    }
    fields.push([number, value]);
  }
  return fields;
}

function numbers(buffer) {
  const list = [];
  for (let at = 0, number; at < buffer.length; list.push(number)) [number, at] = decoded(buffer, at);
  return list;
}

// A number of seven bits a byte, and where it ends. Negative ones have 64 bits.
function decoded(buffer, at) {
  let number = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = buffer[at++];
    number |= BigInt(byte & 127) << shift;
    if (byte < 128) return [BigInt.asIntN(64, number), at];
  }
}

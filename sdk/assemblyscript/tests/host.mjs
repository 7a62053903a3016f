// A gateway that is just large enough to call a plugin under node: the frames of
// ABI.md and its host functions, over what a test gives.
import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export const statuses = ['OK', 'UNCHANGED', 'TOOL_ERROR', 'INVALID_ARGS', 'UNKNOWN_TOOL', 'DENIED', 'UNAVAILABLE', 'INTERNAL'];
export const code = { DENIED: -1n, NOT_FOUND: -2n, INVALID: -3n, TOO_LARGE: -4n, TIMEOUT: -5n, UNAVAILABLE: -6n, QUOTA: -7n, CONFLICT: -8n };

const built = new Map();

// Compiles an entry file with the flags that the examples' asconfig.json have, and more; once.
export function build(entry, ...flags) {
  if (!flags.includes('--runtime')) flags.push('--runtime', 'minimal');
  const key = [entry, ...flags].join(' ');
  if (!built.has(key)) built.set(key, compile(entry, flags));
  return built.get(key);
}

async function compile(entry, flags) {
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-as-'));
  try {
    const file = join(dir, 'plugin.wasm');
    const { error, stderr } = await asc.main([entry, '--outFile', file, '--exportStart', '_initialize', '-O3', ...flags, '--baseDir', root]);
    if (error) throw new Error(`${entry}: ${error.message}\n${stderr.toString()}`);
    return await readFile(file);
  } finally {
    await rm(dir, { recursive: true });
  }
}

const bytesOf = (v) => (typeof v === 'string' ? encoder.encode(v) : v);

// The bytes of a frame in; a frame out when there is a status.
export function frame(pairs, payload = '', status = -1) {
  const parts = [];
  const u32 = (n) => {
    const b = new Uint8Array(4);
    new DataView(b.buffer).setUint32(0, n, true);
    parts.push(b);
  };
  if (status >= 0) u32(status);
  u32(pairs.length);
  for (const pair of pairs) {
    for (const text of pair) {
      const b = bytesOf(text);
      u32(b.length);
      parts.push(b);
    }
  }
  parts.push(bytesOf(payload));
  return new Uint8Array(Buffer.concat(parts));
}

// The pairs and the payload of a frame in.
export function open(b) {
  const view = new DataView(b.buffer, b.byteOffset, b.length);
  let at = 4;
  const text = () => {
    const size = view.getUint32(at, true);
    at += 4 + size;
    if (at > b.length) throw new Error('a frame is cut');
    return decoder.decode(b.subarray(at - size, at));
  };
  const pairs = [];
  for (let n = view.getUint32(0, true); n > 0; n--) pairs.push([text(), text()]);
  return { pairs, payload: b.slice(at) };
}

// One instance. The world is { config, secrets, kv: Map of key to {value, version}, http, callTool }:
// http and callTool take an opened frame in and return a frame out, or an error's number.
export class Host {
  logs = [];
  metrics = [];
  progress = [];
  slot = new Uint8Array(0);
  reads = 0;
  versions = 0n;

  constructor(wasm, world = {}) {
    this.world = { config: {}, secrets: {}, kv: new Map(), ...world };
    const module = wasm instanceof WebAssembly.Module ? wasm : new WebAssembly.Module(wasm);
    this.imports = WebAssembly.Module.imports(module).map((i) => `${i.module}.${i.name}`).sort();
    this.exports = WebAssembly.Module.exports(module).map((e) => e.name).sort();
    this.instance = new WebAssembly.Instance(module, {
      env: { abort: (message, file, line, column) => this.abort(message, file, line, column) },
      sallyport_v1: this.functions(),
      wasi_snapshot_preview1: {
        clock_time_get: (clock, precision, dst) => {
          new DataView(this.memory.buffer).setBigUint64(dst, 1795392000000n * 1000000n, true);
          return 0;
        },
        random_get: (dst, len) => {
          this.bytes(dst, len).fill(7);
          return 0;
        },
      },
    });
    this.wasm = this.instance.exports;
    this.memory = this.wasm.memory;
    this.wasm._initialize?.();
    this.input = this.wasm.sallyport_alloc(65536) >>> 0;
    this.size = 65536;
  }

  bytes(ptr, len) {
    return new Uint8Array(this.memory.buffer, ptr >>> 0, len >>> 0);
  }

  text(ptr, len) {
    return decoder.decode(this.bytes(ptr, len));
  }

  abort(message, file, line, column) {
    const string = (ptr) => {
      if (ptr === 0) return '';
      const size = new DataView(this.memory.buffer).getUint32(ptr - 4, true);
      return Buffer.from(this.memory.buffer, ptr, size).toString('utf16le');
    };
    throw new Error(`abort: ${string(message)} in ${string(file)}:${line}:${column}`);
  }

  // A result of the (dst, cap) kind.
  give(b, dst, cap) {
    this.slot = new Uint8Array(0);
    if (b.length <= cap >>> 0) this.bytes(dst, b.length).set(b);
    else this.slot = b;
    return BigInt(b.length);
  }

  // A result that goes to the slot.
  wait(b) {
    if (typeof b === 'bigint') return b;
    this.slot = b;
    return BigInt(b.length);
  }

  functions() {
    const { world } = this;
    return {
      log: (level, ptr, len) => { this.logs.push([level, this.text(ptr, len)]); },
      read: (dst, off, cap) => {
        this.reads++;
        const piece = this.slot.subarray(off >>> 0, (off >>> 0) + Math.min(cap >>> 0, 1000)); // in pieces: a guest must ask again
        this.bytes(dst, piece.length).set(piece);
        return piece.length;
      },
      config: (kptr, klen, dst, cap) => {
        const key = this.text(kptr, klen);
        const v = key === '' ? world.config : world.config[key];
        return v === undefined ? code.NOT_FOUND : this.give(encoder.encode(JSON.stringify(v)), dst, cap);
      },
      metric: (nptr, nlen, kind, value) => { this.metrics.push([this.text(nptr, nlen), kind, value]); },
      http: (ptr, len) => this.wait(world.http(open(this.bytes(ptr, len)))),
      kv_get: (kptr, klen, dst, cap) => {
        const entry = world.kv.get(this.text(kptr, klen));
        if (!entry) return code.NOT_FOUND;
        const b = new Uint8Array(8 + entry.value.length);
        new DataView(b.buffer).setBigUint64(0, entry.version, true);
        b.set(entry.value, 8);
        return this.give(b, dst, cap);
      },
      kv_set: (kptr, klen, vptr, vlen, ttl, version) => {
        const key = this.text(kptr, klen);
        if (world.kvSet) return world.kvSet(key, ttl, version);
        if (version !== -1n && version !== (world.kv.get(key)?.version ?? 0n)) return code.CONFLICT;
        world.kv.set(key, { value: this.bytes(vptr, vlen).slice(), version: ++this.versions, ttl });
        return this.versions;
      },
      kv_delete: (kptr, klen, version) => {
        const key = this.text(kptr, klen);
        const entry = world.kv.get(key);
        if (!entry) return code.NOT_FOUND;
        if (version !== -1n && version !== entry.version) return code.CONFLICT;
        world.kv.delete(key);
        return 0n;
      },
      kv_list: (pptr, plen, aptr, alen) => {
        const prefix = this.text(pptr, plen);
        const after = this.text(aptr, alen);
        const keys = [...world.kv.keys()].filter((k) => k.startsWith(prefix) && k > after).sort().slice(0, 64);
        return this.wait(frame(keys.map((k) => [k, String(world.kv.get(k).version)])));
      },
      secret: (nptr, nlen, dst, cap) => {
        const v = world.secrets[this.text(nptr, nlen)];
        return v === undefined ? code.NOT_FOUND : this.give(encoder.encode(v), dst, cap);
      },
      progress: (ptr, len) => {
        const { pairs, payload } = open(this.bytes(ptr, len));
        this.progress.push({ ...Object.fromEntries(pairs), message: decoder.decode(payload) });
      },
      call_tool: (ptr, len) => this.wait(world.callTool(open(this.bytes(ptr, len)))),
    };
  }

  // Calls an export with a whole frame and returns the frame out as it lies there.
  raw(name, b) {
    if (b.length > this.size) {
      this.input = this.wasm.sallyport_alloc(b.length) >>> 0;
      if (this.input === 0) throw new Error('no memory for the input');
      this.size = b.length;
    }
    this.bytes(this.input, b.length).set(b);
    const packed = BigInt.asUintN(64, this.wasm[`sallyport_${name}`](this.input, b.length));
    if (packed === 0n) throw new Error('the guest gave up');
    return this.bytes(Number(packed >> 32n), Number(packed & 0xffffffffn));
  }

  // Calls an export; meta is an object, the payload text, bytes or a value that becomes JSON.
  call(name, meta = {}, payload = '') {
    if (typeof payload !== 'string' && !(payload instanceof Uint8Array)) payload = JSON.stringify(payload);
    const answer = this.raw(name, frame(Object.entries(meta), payload));
    const view = new DataView(answer.buffer, answer.byteOffset);
    if (view.getUint16(2, true) !== 0) throw new Error('the reserved bytes are not 0');
    const { pairs, payload: body } = open(answer.subarray(4));
    return { status: statuses[view.getUint16(0, true)], meta: Object.fromEntries(pairs), text: decoder.decode(body) };
  }

  tool(name, args) {
    return this.call('tool_call', { tool: name }, args);
  }
}

// The host functions, against a host that answers small, large, and with every error.
import assert from 'node:assert/strict';
import { test as run } from 'node:test';
import { Host, build, code, frame } from './host.mjs';

const module = new WebAssembly.Module(await build('tests/guest/index.ts'));
let host, world;
const test = (name, f) => run(name, () => {
  world = { config: { units: 'metric', big: 'x'.repeat(5000), 'käse': [1.5] }, secrets: { key: 'geheim ä', long: 's'.repeat(513), fits: 's'.repeat(512), none: '' }, kv: new Map() };
  host = new Host(module, world);
  return f();
});

const text = (name, args) => host.tool(name, args).text;
const names = Object.entries(code);

test('log, metric and progress', () => {
  assert.equal(host.tool('log', {}).status, 'OK');
  assert.deepEqual(host.logs, [[0, 'fine ä'], [1, ''], [2, 'careful'], [3, 'bad'], [1, 'x'.repeat(3000)]]);
  assert.deepEqual(host.metrics, [['calls', 0, 1], ['depth', 1, -1.5], ['size', 2, 42]]);
  assert.deepEqual(host.progress, [{ progress: '1', message: '' }, { progress: '2.5', total: '10', message: 'half ä' }]);
});

test('settings', () => {
  host.call('configure', {}, { greeting: 'hi' });
  assert.equal(text('config', { key: 'units' }), 'hi|"metric"|"metric"');
  assert.equal(text('config', { key: 'käse' }), 'hi|[1.5]|[1.5]');
  const all = JSON.stringify(world.config);
  assert.equal(text('config', { key: '' }), `hi|${all}|${all}`);
  assert.equal(text('config', { key: 'none' }), '-2 config none: not found');
});

test('secrets of all lengths', () => {
  for (const [name, value] of Object.entries(world.secrets)) assert.equal(text('secret', { name }), value, name);
  assert.deepEqual(host.tool('secret', { name: 'other' }), { status: 'TOOL_ERROR', meta: {}, text: 'secret other: not found' });
});

test('http', () => {
  let seen;
  world.http = host.world.http = (request) => {
    seen = request;
    return frame([['content-type', 'application/json'], ['set-cookie', 'a'], ['set-cookie', 'b'], ['x', new Uint8Array([0xff, 0x41])]], `{"big":"${'y'.repeat(70000)}"}`, 404);
  };
  const url = 'https://api.example/ä?q=1';
  const [status, type, none, headers, length, json] = text('http', { url, headers: 2 }).split(';');
  assert.deepEqual([status, type, none, headers, length], ['404', 'application/json', '', 'content-type|application/json|set-cookie|a|set-cookie|b|x|\ufffdA', '70010']);
  assert.equal(JSON.parse(json).big.length, 70000);
  assert.ok(host.reads > 70, 'the answer is read in pieces');
  assert.deepEqual(seen.pairs, [[':method', 'GET'], [':url', url], ['x-n', '0'], ['x-n', '1']]);
  assert.equal(seen.payload.length, 0);

  text('http', { url, post: true, headers: 0 });
  assert.deepEqual(seen.pairs, [[':method', 'POST'], [':url', url], ['content-type', 'application/json']]);
  assert.equal(Buffer.from(seen.payload).toString(), '{"a":1}');

  host.world.http = () => frame([], '', 204);
  assert.equal(text('http', { url }), '204;;;;0;is no JSON at byte 0: a value is missing');
  assert.equal(text('http', { url, headers: 62 }), '204;;;;0;is no JSON at byte 0: a value is missing');
  assert.equal(text('http', { url, headers: 63 }), `-3 http ${url}: invalid argument`);
  assert.equal(text('http', { url, colon: true }), `-3 http ${url}: invalid argument`);

  host.world.http = () => new Uint8Array([200, 0, 0, 0, 1, 0, 0, 0, 9]);
  assert.equal(text('http', { url }), `-3 http ${url}: invalid argument`, 'a broken frame');
  host.world.http = () => (1n << 62n);
  assert.equal(text('http', { url }), `-4 http ${url}: too large`);
});

test('errors can be told apart', () => {
  const words = ['denied', 'not found', 'invalid argument', 'too large', 'timed out', 'unavailable', 'quota used up', 'version conflict'];
  for (const [i, [, number]] of names.entries()) {
    host.world.http = () => number;
    assert.equal(text('http', { url: 'u' }), `${number} http u: ${words[i]}`);
    host.world.kvSet = () => number;
    assert.equal(text('kv', { what: 'set', value: 'v' }), `${number} kv set k: ${words[i]}`);
  }
  host.world.http = () => -99n;
  assert.equal(text('http', { url: 'u' }), '-6 http u: unavailable', 'a number that is not in the list');
});

test('the store', () => {
  const kv = (what, more) => text('kv', { what, ...more });
  assert.equal(kv('get'), '-2 kv get k: not found');
  assert.equal(kv('set', { value: 'one', ttl: 5 }), '0 ');
  assert.equal(world.kv.get('k').ttl, 5n);
  assert.equal(kv('get'), `1 3 ${'e'.charCodeAt(0)}`);
  assert.equal(kv('swap', { version: 7 }), '-8 kv set k: version conflict');
  assert.equal(kv('swap', { version: 0 }), '-8 kv set k: version conflict');
  assert.equal(kv('swap', { version: -1 }), '-3 kv set k: invalid argument', 'it would mean: whatever is there');
  assert.equal(kv('swap', { version: 1 }), '0 ');
  assert.equal(kv('set', { value: 'v', ttl: -1 }), '-3 kv set k: invalid argument');
  assert.equal(kv('set', { value: 'z'.repeat(60000) }), '0 ');
  assert.equal(kv('get'), `3 60000 ${'z'.charCodeAt(0)}`);
  for (const n of [503, 504, 505]) {
    kv('set', { key: `n${n}`, value: 'z'.repeat(n) });
    assert.ok(kv('get', { key: `n${n}` }).endsWith(` ${n} ${'z'.charCodeAt(0)}`), String(n));
  }
  assert.equal(kv('deleteVersion', { version: 1 }), '-8 kv delete k: version conflict');
  assert.equal(kv('deleteVersion', { version: -1 }), '-3 kv delete k: invalid argument');
  assert.equal(kv('delete'), '0 ');
  assert.equal(kv('delete'), '-2 kv delete k: not found');
  for (let i = 10; i < 80; i++) kv('set', { key: `list/${i}ä`, value: 'v' });
  const first = kv('list', { key: 'list/' });
  assert.equal(first.split(' ')[0].split(',').length, 64);
  assert.equal(kv('list', { key: 'list/', after: 'list/77ä' }), 'list/78ä,list/79ä 75,76');
  assert.equal(kv('list', { key: 'none' }), ' ');
});

test('compare and set goes again on a conflict', () => {
  assert.equal(text('kv.add', { key: 'n', n: 5 }), '0 1');
  assert.equal(text('kv.add', { key: 'n', n: 5 }), '1 2');
  assert.equal(Buffer.from(world.kv.get('n').value).toString(), '10');
  host.world.kvSet = () => code.CONFLICT;
  assert.deepEqual(host.tool('kv.add', { key: 'n', n: 5 }), { status: 'UNAVAILABLE', meta: { retry_after_ms: '100' }, text: 'the key is busy' });
});

test('call_tool', () => {
  let seen;
  const answer = (status, payload, pairs = []) => { host.world.callTool = (request) => { seen = request; return frame(pairs, payload, status); }; };
  const call = () => host.tool('call', { tool: 'other.töol', args: { a: [1.0] } });

  answer(0, '{"content":[{"type":"text","text":"hi"},{"type":"text","text":"you"}]}');
  assert.equal(call().text, 'false hi\nyou');
  assert.deepEqual(seen.pairs, [['tool', 'other.töol']]);
  assert.equal(Buffer.from(seen.payload).toString(), '{"a":[1]}');
  answer(0, '{"content":[],"isError":true}');
  assert.equal(call().text, 'true ');
  answer(2, 'it was broken');
  assert.equal(call().text, 'true it was broken');
  answer(2, '{"content":[{"type":"text","text":"broken"}]}');
  assert.equal(call().text, 'true broken');
  answer(5, 'no');
  assert.deepEqual(call(), { status: 'DENIED', meta: {}, text: 'call tool other.töol: no' });
  answer(4, '');
  assert.deepEqual(call(), { status: 'UNKNOWN_TOOL', meta: {}, text: 'call tool other.töol: not found' });
  answer(6, 'later', [['retry_after_ms', '70']]);
  assert.deepEqual(call(), { status: 'UNAVAILABLE', meta: { retry_after_ms: '70' }, text: 'call tool other.töol: later' });
  answer(200, 'odd');
  assert.deepEqual(call(), { status: 'INTERNAL', meta: {}, text: 'call tool other.töol: odd' });
  answer(0, '[]');
  assert.equal(call().text, 'call tool other.töol: invalid argument');
  host.world.callTool = () => code.DENIED;
  assert.deepEqual(call(), { status: 'TOOL_ERROR', meta: {}, text: 'call tool other.töol: denied' });
});

test('clock and randomness come from WASI', () => {
  assert.equal(text('clock', {}), '1795392000000 7,7,7');
});

// Calls: frames, arguments, statuses, the other kinds.
import assert from 'node:assert/strict';
import { test as run } from 'node:test';
import { Host, build, frame } from './host.mjs';

const module = new WebAssembly.Module(await build('tests/guest/index.ts'));
let host;
const test = (name, f) => run(name, () => {
  host = new Host(module);
  return f();
});

const said = (answer) => [answer.status, answer.text];

test('arguments are read by name and kind', () => {
  const args = (v) => said(host.tool('args', v));
  assert.deepEqual(args({ name: 'ä', n: 3, list: [{ name: 'x' }, { name: 'y' }] }), ['OK', 'ä 3 0.5 true x y']);
  assert.deepEqual(args('{"name":"a","n":3.0,"x":-1.5,"b":false,"list":null,"more":1}'), ['OK', 'a 3 -1.5 false']);
  for (const [v, message] of [
    [{}, 'name is missing'],
    ['', 'name is missing'],
    [{ Name: 'a', n: 1 }, 'name is missing'],
    [{ name: null, n: 1 }, 'name must be a string, not null'],
    [{ name: 1, n: 1 }, 'name must be a string, not a number'],
    [{ name: 'a', n: '1' }, 'n must be a number, not a string'],
    [{ name: 'a', n: 1.5 }, 'n must be a whole number that 64 bits can hold, not 1.5'],
    [{ name: 'a', n: 101 }, 'n must be at most 100'],
    [{ name: 'a', n: 1, x: [] }, 'x must be a number, not an array'],
    ['{"name":"a","n":1,"x":1e999}', 'x must be a number that 64 bits can hold'],
    [{ name: 'a', n: 1, b: 'yes' }, 'b must be a boolean, not a string'],
    [{ name: 'a', n: 1, list: {} }, 'list must be an array, not an object'],
    [{ name: 'a', n: 1, list: [{ name: 'x' }, { name: true }] }, 'list[1].name must be a string, not a boolean'],
    [{ name: 'a', n: 1, list: ['x'] }, 'list[0] must be an object, not a string'],
    ['[]', 'the payload must be an object, not an array'],
    ['{"name":', 'the payload is no JSON at byte 8: a value is missing'],
    ['{"name":"a","n":1,"name":"b"}', 'the payload is no JSON at byte 18: this name was there before'],
  ]) assert.deepEqual(args(v), ['INVALID_ARGS', message]);
});

test('every status, and what goes with it', () => {
  const status = (which, more) => host.tool('statuses', { which, ...more });
  assert.deepEqual(said(status('ok')), ['OK', '']);
  assert.deepEqual(said(status('error')), ['TOOL_ERROR', 'could not']);
  assert.deepEqual(said(status('invalid')), ['INVALID_ARGS', 'which is wrong']);
  assert.deepEqual(said(status('unknown')), ['UNKNOWN_TOOL', 'there is no tool "x"']);
  assert.deepEqual(said(status('denied')), ['DENIED', 'no']);
  assert.deepEqual(status('unavailable'), { status: 'UNAVAILABLE', meta: { retry_after_ms: '1500' }, text: 'down' });
  assert.deepEqual(status('unavailable0'), { status: 'UNAVAILABLE', meta: {}, text: 'down' });
  assert.deepEqual(said(status('internal')), ['INTERNAL', 'a secret of the plugin']);
  assert.deepEqual(status('plain'), { status: 'OK', meta: { mime: 'text/plain' }, text: 'plain ä' });
  assert.deepEqual(status('other'), { status: 'OK', meta: { mime: 'text/plain' }, text: '' });
  assert.deepEqual(status('image'), { status: 'OK', meta: {}, text: '{"content":[{"type":"text","text":"look"},{"type":"image","data":"AQIDBA==","mimeType":"image/png"}]}' });
});

test('a throw ends the instance and its message reaches the host', () => {
  assert.throws(() => host.tool('statuses', { which: 'throw' }), /abort: it broke: ä in .*guest\/index\.ts/);
  assert.throws(() => new Host(module).tool('statuses', { which: 'index', i: 2 }), /abort: Index out of range/);
});

test('tools are found by name', () => {
  assert.deepEqual(said(host.tool('any.thing', {})), ['OK', 'any any.thing']);
  assert.deepEqual(said(host.tool('Meta', {})), ['UNKNOWN_TOOL', 'there is no tool "Meta"']);
  assert.deepEqual(said(host.call('tool_call', { x: 'y' }, {})), ['UNKNOWN_TOOL', 'there is no tool ""']);
  const list = JSON.parse(host.call('tools_list').text).tools;
  assert.ok(list.length > 10);
  assert.deepEqual(list[0], { name: 'json', inputSchema: { type: 'object' } });
});

test('what the host tells, and what it does not', () => {
  const meta = { call_id: 'c1', tool: 'meta', server: 's', session: '', tenant: 'käse', 'principal.sub': 'ada', 'principal.roles': 'a,b', traceparent: 't', deadline_ms: '250', käse: '€' };
  assert.equal(host.call('tool_call', meta, {}).text, 'meta;s;c1;;käse;ada;a|b;t;250;true;€');
  assert.equal(host.tool('meta', {}).text, 'meta;;;;;;;;-1;false;');
  const twice = frame([['tool', 'meta'], ['tenant', 'first'], ['tenant', 'second']], '{}');
  assert.ok(Buffer.from(host.raw('tool_call', twice)).toString().includes(';first;'));
});

test('broken frames are refused and not followed', () => {
  const u32 = (...n) => new Uint8Array(new Uint32Array(n).buffer);
  for (const b of [u32(), u32(1), u32(65), u32(0xffffffff), u32(1, 0xffffffff), u32(1, 0xfffffff0, 0), u32(1, 0, 1), u32(1, 4), u32(2, 0, 0, 0), frame(Array.from({ length: 65 }, () => ['a', 'b']))]) {
    for (const name of ['tool_call', 'tools_list', 'configure', 'authorize', 'request_transform', 'response_transform']) {
      const answer = Buffer.from(host.raw(name, b));
      assert.equal(answer.readUInt16LE(0), 7, `${name} ${Buffer.from(b).toString('hex')}`);
    }
  }
  const most = frame([['tool', 'meta'], ...Array.from({ length: 63 }, () => ['a', 'b'])], '{}');
  assert.equal(Buffer.from(host.raw('tool_call', most)).readUInt16LE(0), 0);
  assert.equal(host.wasm.sallyport_tool_call(host.input + 4, 4), 0n, 'a frame that is not in the buffer');
  assert.equal(host.wasm.sallyport_tool_call(host.input, 65537), 0n, 'a frame that is longer than the buffer');
});

test('the configuration is taken or refused', () => {
  assert.deepEqual(said(host.call('configure', {}, { greeting: 'hi' })), ['OK', '']);
  assert.deepEqual(said(host.call('configure', {}, {})), ['OK', '']);
  assert.deepEqual(said(host.call('configure', {}, { greeting: 'rude' })), ['INVALID_ARGS', 'greeting must be polite']);
  assert.deepEqual(said(host.call('configure', {}, { greeting: 3 })), ['INVALID_ARGS', 'greeting must be a string, not a number']);
});

test('a request transformer', () => {
  const change = (v) => said(host.call('request_transform', {}, v));
  assert.deepEqual(change('{"n":1.50,"city":"Oslo","Z":{"a":[]}}'), ['OK', '{"n":1.50,"city":"OSLO","Z":{"a":[]}}']);
  assert.deepEqual(change({ a: 1 }), ['UNCHANGED', '']);
  assert.deepEqual(change(''), ['UNCHANGED', '']);
  assert.deepEqual(change({ secret: null }), ['DENIED', 'no secrets']);
  assert.deepEqual(change({ city: 1 }), ['INVALID_ARGS', 'city must be a string, not a number']);
});

test('a response transformer', () => {
  const change = (v, meta = {}) => said(host.call('response_transform', meta, v));
  assert.deepEqual(change('{"content":[]}'), ['UNCHANGED', '']);
  assert.deepEqual(change('{}'), ['UNCHANGED', '']);
  assert.deepEqual(
    change('{"_meta":{"x":1.0},"content":[{"type":"text","text":"a secret","annotations":{}},{"type":"image","data":"secret"},{"type":"text"}],"structuredContent":{"a":1e2}}'),
    ['OK', '{"_meta":{"x":1.0},"content":[{"type":"text","text":"a ***","annotations":{}},{"type":"image","data":"secret"},{"type":"text"}],"structuredContent":{"a":1e2,"seen":true}}'],
  );
  assert.deepEqual(change({ content: [{}], structuredContent: { drop: true } }, { tool: 'bad' }), ['OK', '{"content":[{}],"isError":true}']);
  assert.deepEqual(change('[1]'), ['INVALID_ARGS', 'the result must be an object, not an array']);
  assert.deepEqual(change('{"content":[}'), ['INVALID_ARGS', 'the result is no JSON at byte 12: a value is missing']);
});

test('an authorizer', () => {
  const judge = (who, v) => said(host.call('authorize', { 'principal.sub': who }, v));
  assert.deepEqual(judge('ada', { amount: 5 }), ['OK', '']);
  assert.deepEqual(judge('mallory', {}), ['DENIED', 'mallory may not']);
  assert.deepEqual(judge('ada', { amount: 500 }), ['INTERNAL', 'too much'], 'an error is a tool error in tools only');
  assert.deepEqual(judge('ada', { amount: 'x' }), ['INVALID_ARGS', 'amount must be a number, not a string'], 'what is noted is not let pass');
});

test('what is kept from a call stays', () => {
  host.tool('keep', { first: 'äöü '.repeat(100) });
  for (let i = 0; i < 200; i++) host.tool('json', { text: '{"x":[1,2,3]}' });
  const want = JSON.stringify({ first: 'äöü '.repeat(100) });
  assert.equal(host.tool('keep', {}).text, `${want} ${want}`);
});

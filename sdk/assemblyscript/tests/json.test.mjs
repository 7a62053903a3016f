// The JSON of the SDK: strict where it reads, exact where it writes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Host, build } from './host.mjs';

const host = new Host(await build('tests/guest/index.ts'));

const read = (text) => host.tool('json', { text });
const bytes = (b) => host.call('tool_call', { tool: 'bytes' }, b);

test('what is JSON is written as it was read', () => {
  for (const [text, want = text] of [
    ['null'], ['true'], ['false'], ['""'], ['"a"'], ['[]'], ['{}'],
    ['0'], ['-0'], ['-1'], ['1.50'], ['1e3'], ['1E+3'], ['1.0e-3'], ['12345678901234567890123'], ['0.1'],
    [' \t\r\n[ 1 , 2 ] \n', '[1,2]'],
    ['{ "b" : 1, "a" : [ true , null ] }', '{"b":1,"a":[true,null]}'],
    ['{"a":1,"A":2,"á":3,"":4}'],
    ['"\\u00e4\\n\\"\\\\\\/\\ud83d\\ude00"'],
    ['{"\\u0061\\n\\u2028":1}', '{"a\\n\u2028":1}'],
    ['"ä€😀 \u2028 \u007f"'],
    ['['.repeat(64) + ']'.repeat(64)],
    ['{"a":'.repeat(63) + '{}' + '}'.repeat(63)],
    [`"${'long '.repeat(2000)}ä${'x'.repeat(5000)}"`],
  ]) {
    const answer = read(text);
    assert.deepEqual([answer.status, answer.text], ['OK', want], text.slice(0, 100));
  }
});

test('what is no JSON is refused, with the place', () => {
  for (const [text, message] of [
    ['', 'byte 0: a value is missing'],
    [' ', 'byte 1: a value is missing'],
    ['1 2', 'byte 2: something follows'],
    ['nul', 'byte 0: a value is missing'], ['tru', 'byte 0'], ['fals', 'byte 0'], ['True', 'byte 0'], ['nulll', 'byte 4: something follows'],
    ['01', 'byte 0'], ['-', 'byte 0'], ['1.', 'byte 0'], ['.5', 'byte 0'], ['1e', 'byte 0'], ['1e+', 'byte 0'], ['+1', 'byte 0'], ['-01', 'byte 0'], ['NaN', 'byte 0'], ['0x1', 'byte 1'],
    ['"', 'the end of a string'], ['"a', 'the end of a string'], ['"12345678', 'the end of a string'], ['"\\', 'an escape'], ['"\\"', 'the end of a string'], ['"\\x"', 'an escape'], ['"\\u12"', 'an escape'], ['"\\u00g0"', 'an escape'], ['"\\u123', 'an escape'],
    ['"\t"', 'a control character'], ['"1234567\u0000"', 'a control character'], ['"\u001f"', 'a control character'],
    ['"\\ud800"', 'an escape'], ['"\\ud800x\\udc00"', 'an escape'], ['"\\udc00"', 'an escape'], ['"\\ud800\\u0041"', 'an escape'], ['"\\ud800\\ud800"', 'an escape'],
    ['[', 'a value is missing'], ['[1', 'byte 2: a comma or the end of the array'], ['[1,]', 'byte 3: a value'], ['[,1]', 'a value'], ['[1 2]', 'a comma'], ['[1}', 'a comma'], [']', 'a value'],
    ['{', 'the name'], ['{"a"', 'a colon'], ['{"a":', 'a value'], ['{"a":1', 'a comma'], ['{"a":1,}', 'the name'], ['{a:1}', 'the name'], ['{"a" 1}', 'a colon'], ['{"a":1]', 'a comma'], ['{1:1}', 'the name'],
    ['{"a":1,"a":2}', 'byte 7: this name was there before'],
    ['{"a":1,"\\u0061":2}', 'byte 7: this name was there before'],
    ['{"x":[{"a":1,"b":2,"a":3}]}', 'this name was there before'],
    [`{${Array.from({ length: 30 }, (_, i) => `"n${i}":${i}`).join()},"n3":0}`, 'this name was there before'],
    ['['.repeat(65) + ']'.repeat(65), 'byte 64: it is more than 64 deep'],
    ['{"a":'.repeat(64) + '{}' + '}'.repeat(64), 'more than 64 deep'],
  ]) {
    const answer = read(text);
    assert.equal(answer.status, 'INVALID_ARGS', text.slice(0, 100));
    assert.ok(answer.text.startsWith('is no JSON at byte ') && answer.text.includes(message), `${text.slice(0, 100)}: ${answer.text}`);
  }
});

test('bytes that are no UTF-8 are refused', () => {
  for (const hex of ['80', 'c0af', 'c3', 'c328', 'e08080', 'eda080', 'e28228', 'f0808080', 'f4908080', 'f8888080', 'ff', 'e282']) {
    const b = Buffer.concat([Buffer.from('"123456789'), Buffer.from(hex, 'hex'), Buffer.from('"')]);
    assert.equal(bytes(b).status, 'INVALID_ARGS', hex);
  }
  for (const text of ['"é"', '"\u07ff\u0800\uffff\ud7ff\ue000"', '"\u{10000}\u{10ffff}"']) assert.equal(bytes(text).text, text);
});

test('every cut of a document is refused and none reads past the end', () => {
  const text = '{"a":[1.5e3,-2,true,false,null,"\\u00e4\\ud83d\\ude00ä€😀"],"b":{"c":"d"}}';
  const all = Buffer.from(text);
  for (let n = 0; n < all.length; n++) assert.equal(bytes(all.subarray(0, n)).status, 'INVALID_ARGS', String(n));
  assert.equal(bytes(all).text, '{"a":[1.5e3,-2,true,false,null,"\\u00e4\\ud83d\\ude00ä€😀"],"b":{"c":"d"}}');
});

test('documents made at random come out as node reads them', () => {
  let seed = 1;
  const random = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / 65536) % n; };
  const string = () => Array.from({ length: random(20) }, () => ['a', '"', '\\', '\n', 'ä', '€', '😀', '\u0001', '/', '\u2028'][random(10)]).join('');
  const value = (depth) => {
    switch (random(depth > 4 ? 5 : 7)) {
      case 0: return null;
      case 1: return random(2) === 0;
      case 2: return random(100000) - 50000;
      case 3: return random(100000) / 1000;
      case 4: return string();
      case 5: return Array.from({ length: random(6) }, () => value(depth + 1));
      default: return Object.fromEntries(Array.from({ length: random(20) }, (_, i) => [`${string()}${i}`, value(depth + 1)]));
    }
  };
  for (let i = 0; i < 500; i++) {
    const v = value(0);
    const answer = read(JSON.stringify(v, null, random(3)));
    assert.equal(answer.status, 'OK', answer.text);
    assert.deepEqual(JSON.parse(answer.text), v);
  }
});

test('values are read as what they are', () => {
  const v = '{"s":"a\\nb","e":"","i":3,"f":3.0,"h":1.50,"x":1e2,"big":9223372036854775807,"bigger":9223372036854775808,"min":-9223372036854775808,"less":-9223372036854775809,"zero":-0,"t":true,"n":null,"l":[1,2],"huge":1e400}';
  assert.deepEqual(JSON.parse(host.tool('values', v).text), [
    's: a\nb', 'e: ', 'i: 3 3.0 3', 'f: 3.0 3.0 3', 'h: 1.50 1.5 -', 'x: 1e2 100.0 100',
    'big: 9223372036854775807 9223372036854776000.0 9223372036854775807',
    'bigger: 9223372036854775808 9223372036854776000.0 -', 'min: -9223372036854775808 -9223372036854776000.0 -9223372036854775808',
    'less: -9223372036854775809 -9223372036854776000.0 -', 'zero: -0 0.0 0', 't: yes', 'n: null', 'l: 2', 'huge: 1e400 Infinity -',
  ]);
});

test('numbers are rounded to the nearest float', () => {
  let seed = 4242;
  const random = (n) => { seed ^= seed << 13; seed ^= seed >>> 17; seed ^= seed << 5; return (seed >>> 0) % n; };
  const bits = new BigUint64Array(1);
  const digits = (n) => Array.from({ length: n }, () => random(10)).join('');
  const texts = [
    '2.2250738585072011e-308', '2.2250738585072014e-308', '4.9406564584124654e-324', '2.4703282292062327e-324', '2.4703282292062328e-324',
    '1.7976931348623157e308', '1.7976931348623158e308', '1.7976931348623159e308', '1e309', '1e-400', '9007199254740993', '0e999999999999', '1e999999999999', '-1e-999999999999',
    '1.0815739279096238e+46', `9007199254740993.${'0'.repeat(900)}1`, `9007199254740993.${'0'.repeat(900)}`, `1${'0'.repeat(400)}e-400`, `0.${'0'.repeat(400)}1e401`,
  ];
  for (let i = 0; i < 3000; i++) {
    bits[0] = BigInt(random(2 ** 31)) << 32n | BigInt(random(2 ** 32));
    const [float] = new Float64Array(bits.buffer);
    if (Number.isFinite(float)) texts.push(String(float));
    texts.push(`1${digits(random(40))}.${digits(1 + random(40))}e${random(700) - 350}`);
    // Exactly between two floats, and a bit above.
    const between = (2n * (1n << 52n | BigInt(random(2 ** 32))) + 1n) << BigInt(random(200));
    texts.push(`${between}`, `${between}.${'0'.repeat(random(900))}1`);
  }
  const lines = JSON.parse(host.tool('values', `{${texts.map((text, i) => `"${i}":${text}`).join()}}`).text);
  for (const [i, text] of texts.entries()) assert.equal(Number(lines[i].split(' ')[2]), Number(text) + 0, text);
});

test('what is made here is written as JSON', () => {
  const { text } = host.tool('made', {});
  const inner = '{"int":9223372036854775807,"float":3,"half":0.5,"big":1e+21,"nan":null,"text":"a\\"\\\\\\u0001\\n\\t\\b\\f\\rä€😀\ufffd","yes":true,"nil":null,"list":[1,[]]}';
  assert.equal(text, `{"content":[{"type":"text","text":${JSON.stringify(inner)}}],"structuredContent":${inner}}`);
  JSON.parse(text);
  const many = JSON.parse(host.tool('many', {}).text);
  assert.equal(Object.keys(many).length, 21);
  assert.deepEqual([many.m1, many.m3, many.m37, many.m39, many.last], [-1, 3, -37, 39, true]);
});

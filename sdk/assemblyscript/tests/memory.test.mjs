// Memory: the buffers, the collector, the surface of the file; with both runtimes that
// a plugin may be built with.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Host, build, frame } from './host.mjs';

// The 32 MiB that an instance has.
const LIMIT = ['--maximumMemory', '512'];

for (const runtime of ['minimal', 'incremental']) {
  test(`runtime ${runtime}`, async (t) => {
    const echo = new WebAssembly.Module(await build('examples/echo/assembly/index.ts', '--runtime', runtime, ...LIMIT));
    const guest = new WebAssembly.Module(await build('tests/guest/index.ts', '--runtime', runtime));

    await t.test('1,000,000 calls leave memory where it was after 1,000', () => {
      const host = new Host(echo);
      const frames = [
        frame([['tool', 'raw']], JSON.stringify({ text: 'x'.repeat(1000) })),
        frame([['tool', 'echo']], JSON.stringify({ text: 'ä\n'.repeat(50), times: 2 })),
        frame([['tool', 'shout']], JSON.stringify({ id: 1, arguments: { text: 'a'.repeat(100), n: 1.5 } })),
        frame([['tool', 'none']], '{}'),
        frame([['tool', 'echo']], '{"text":1}'),
      ];
      const run = (n) => {
        for (let i = 0; i < n; i++) {
          const b = frames[i % frames.length];
          host.bytes(host.input, b.length).set(b);
          if (host.wasm.sallyport_tool_call(host.input, b.length) === 0n) throw new Error('the guest gave up');
        }
      };
      run(1000);
      const after = host.memory.buffer.byteLength;
      run(999_000);
      assert.equal(host.memory.buffer.byteLength, after);
      assert.ok(after <= 1 << 20, `${after} bytes`);
    });

    await t.test('host functions leave nothing behind', () => {
      const host = new Host(guest, { secrets: { key: 's'.repeat(700) }, http: () => frame([['a', 'b']], 'x'.repeat(5000), 200) });
      const run = (n) => {
        for (let i = 0; i < n; i++) {
          host.tool('secret', { name: 'key' });
          host.tool('http', { url: 'u' });
          host.tool('kv.add', { key: 'n', n: 1 });
          host.logs.length = 0;
        }
      };
      run(300);
      const after = host.memory.buffer.byteLength;
      run(3000);
      assert.equal(host.memory.buffer.byteLength, after);
    });

    await t.test('large frames and small ones in turn', () => {
      const host = new Host(echo);
      let after = 0;
      for (let i = 0; i < 40; i++) {
        for (const n of [10, 70_000, 1_000_000, 500, 300_000]) {
          const text = 'x'.repeat(n);
          assert.equal(host.tool('raw', text).text.length, n);
        }
        if (i === 5) after = host.memory.buffer.byteLength;
      }
      assert.equal(host.memory.buffer.byteLength, after);
    });

    await t.test('the input survives what a call allocates, and the output stays', () => {
      const host = new Host(guest);
      const first = host.tool('keep', { a: 'first' });
      assert.equal(first.text, ' null');
      const held = host.raw('tool_call', frame([['tool', 'keep']], '{"b":"second"}'));
      const copy = Buffer.from(held);
      assert.ok(copy.includes('{"a":"first"} {"a":"first"}'));
      for (let i = 0; i < 500; i++) host.tool('large', { n: 500 });
      assert.equal(host.tool('keep', {}).text, '{"b":"second"} {"b":"second"}');
    });

    await t.test('sallyport_alloc gives what there is, and 0 instead of a trap', () => {
      const host = new Host(echo);
      const alloc = (n) => host.wasm.sallyport_alloc(n) >>> 0;
      for (const n of [0, 0xffffffff, 0x80000000, 0x7fffffff, (64 << 20) + 1025, 64 << 20, 33 << 20]) assert.equal(alloc(n), 0, String(n));
      for (const n of [1, 65536, 65537, 1 << 20, (1 << 20) + 1, 4 << 20, 100]) {
        const ptr = alloc(n);
        assert.notEqual(ptr, 0, String(n));
        assert.ok(ptr + n <= host.memory.buffer.byteLength, String(n));
        host.bytes(ptr, n).fill(0xaa);
        host.input = ptr;
        host.size = n;
        if (n > 50) assert.equal(host.tool('echo', { text: 'still' }).text, 'still');
      }
      const before = host.memory.buffer.byteLength;
      for (let i = 0; i < 1000; i++) alloc(65537 + i);
      assert.equal(host.memory.buffer.byteLength, before, 'a buffer that fits is given again');
      host.input = alloc(65536);
      host.size = 65536;
      assert.equal(host.tool('echo', { text: 'still' }).text, 'still');
    });

    await t.test('4 MiB in and out fit in the 32 MiB that an instance has', () => {
      for (const text of ['x'.repeat((4 << 20) - 100), 'ä\n'.repeat((1 << 20) - 100)]) {
        const args = JSON.stringify({ text });
        assert.ok(Buffer.byteLength(args) > (4 << 20) - 1000);
        assert.equal(new Host(echo).tool('echo', args).text, text);
      }
    });
  });
}

test('the runtime that never frees is refused', async () => {
  await assert.rejects(build('examples/echo/assembly/index.ts', '--runtime', 'stub'), /never frees memory/);
});

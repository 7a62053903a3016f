// The examples as they are built, and the plugin of README.md: what their files import
// and export is what they use, and no more.
import assert from 'node:assert/strict';
import { mkdtemp, mkdir, cp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import asc from 'assemblyscript/asc';
import { Host, frame } from './host.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

// Builds a plugin's folder with its asconfig.json, as the gateway's command line does.
async function buildFolder(folder) {
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-as-'));
  try {
    const file = join(dir, 'plugin.wasm');
    const { error, stderr } = await asc.main(['assembly/index.ts', '--target', 'release', '--outFile', file, '--baseDir', folder]);
    assert.equal(error, null, stderr.toString());
    assert.equal(stderr.toString(), '', 'no warnings');
    return await readFile(file);
  } finally {
    await rm(dir, { recursive: true });
  }
}

const always = ['_initialize', 'memory', 'sallyport_abi_v1', 'sallyport_alloc'];
const surface = {
  echo: { exports: ['tool_call', 'tools_list'], imports: [] },
  units: { exports: ['configure', 'response_transform', 'tool_call'], imports: ['metric'] },
  conformance: {
    exports: ['authorize', 'configure', 'request_transform', 'response_transform', 'tool_call', 'tools_list'],
    imports: ['call_tool', 'config', 'http', 'kv_delete', 'kv_get', 'kv_list', 'kv_set', 'log', 'metric', 'progress', 'read', 'secret'],
  },
};

for (const [name, want] of Object.entries(surface)) {
  test(`example ${name}`, async () => {
    const host = new Host(await buildFolder(join(root, 'examples', name)));
    assert.deepEqual(host.exports, [...always, ...want.exports.map((e) => `sallyport_${e}`)].sort());
    assert.deepEqual(host.imports, ['env.abort', ...want.imports.map((i) => `sallyport_v1.${i}`)]);
  });
}

test('example units works', async () => {
  const host = new Host(await buildFolder(join(root, 'examples/units')));
  assert.equal(JSON.parse(host.tool('convert', { value: -40, from: '°C', to: '°F' }).text).structuredContent.value, -40);
  assert.equal(host.call('configure', {}, { units: 'imperial' }).status, 'OK');
  assert.equal(host.call('response_transform', {}, { content: [{ type: 'text', text: '10 km' }] }).text, '{"content":[{"type":"text","text":"6.2 mi"}]}');
});

test('the plugin of README.md, in a folder of its own', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-as-'));
  try {
    const readme = await readFile(join(root, 'README.md'), 'utf8');
    const [source] = /(?<=```ts\n)[^]*?(?=```)/.exec(readme);
    await mkdir(join(folder, 'assembly'));
    await writeFile(join(folder, 'assembly/index.ts'), source);
    await cp(join(root, 'sallyport'), join(folder, 'assembly/sallyport'), { recursive: true });
    await cp(join(root, 'examples/echo/asconfig.json'), join(folder, 'asconfig.json'));
    const asked = [];
    const host = new Host(await buildFolder(folder), {
      http: ({ pairs }) => { asked.push(Object.fromEntries(pairs)[':url']); return frame([], '{"current":{"temperature":3.5}}', 200); },
    });
    assert.deepEqual(host.imports, ['env.abort', 'sallyport_v1.http', 'sallyport_v1.read']);
    assert.equal(host.tool('weather.now', { city: 'Tromsø' }).text, 'It is 3.5 °C in Tromsø.');
    assert.deepEqual(asked, ['https://api.weather.example/v1?city=Troms%C3%B8']);
    assert.deepEqual(host.tool('weather.now', { City: 'Tromsø' }), { status: 'INVALID_ARGS', meta: {}, text: 'city is missing' });
    assert.equal(asked.length, 1, 'nobody is asked about arguments that are wrong');
  } finally {
    await rm(folder, { recursive: true });
  }
});

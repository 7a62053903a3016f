// Lists and calls everything with a client of the official TypeScript SDK.
//
//   node client.mjs SDK TRANSPORT MODE URL SCRIPT
//
// SDK is 1 or 2, TRANSPORT streamable or sse, MODE legacy or auto (SDK 2 only), SCRIPT
// the path of testdata/quickstart.json. It prints one line of TAP for each step: `ok`, or
// `not ok` with the reason in `#` lines, and the plan at the end.
import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';

const [sdk, kind, mode, url, path] = process.argv.slice(2);
const script = JSON.parse(await readFile(path, 'utf8'));

const limit = 60_000; // ms for one request; two suites may share two cores
let steps = 0;

async function step(name, run) {
  steps++;
  try {
    await run();
    console.log(`ok ${steps} - ${name}`);
  } catch (error) {
    console.log(`not ok ${steps} - ${name}`);
    for (const line of String(error?.stack ?? error).split('\n')) console.log(`# ${line}`);
  }
}

function must(condition, message) {
  if (!condition) throw new Error(message);
}

function holds(result, parts = []) {
  const text = JSON.stringify(result);
  for (const part of parts) {
    must(text.includes(part), `the result lacks ${JSON.stringify(part)}: ${text.slice(0, 2000)}`);
  }
}

function same(got, want, what) {
  const a = [...new Set(got)].sort();
  const b = [...new Set(want)].sort();
  must(isDeepStrictEqual(a, b), `${what}: got ${JSON.stringify(a)}, testdata/quickstart.json has ${JSON.stringify(b)}`);
}

// all follows nextCursor. SDK 2 walks the pages by itself when no cursor is given.
async function all(list, field) {
  const found = [];
  let cursor;
  for (let pages = 0; pages < 100; pages++) {
    const page = await list(cursor === undefined ? undefined : { cursor });
    found.push(...page[field]);
    cursor = page.nextCursor;
    if (cursor === undefined) return found;
  }
  throw new Error('more than 100 pages');
}

async function open() {
  const self = { name: 'interop', version: '1' };
  if (sdk === '1') {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const { SSEClientTransport } = await import('@modelcontextprotocol/sdk/client/sse.js');
    const Transport = kind === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport;
    return [new Client(self), new Transport(new URL(url))];
  }
  const { Client, SSEClientTransport, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
  const Transport = kind === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport;
  return [new Client(self, { versionNegotiation: { mode } }), new Transport(new URL(url))];
}

const [client, transport] = await open();
const options = { timeout: limit };
await step('connect', async () => {
  await client.connect(transport, options);
  must(client.getServerVersion()?.name === script.server, `server ${JSON.stringify(client.getServerVersion())}`);
  must(client.getInstructions(), 'no instructions');
  if (sdk === '2') {
    const revision = client.getNegotiatedProtocolVersion();
    const want = mode === 'auto' ? '2026-07-28' : '2025-11-25';
    must(revision === want, `revision ${revision}, not ${want}`);
  }
});
if (sdk === '1' || mode === 'legacy') {
  await step('ping', () => client.ping(options));
}

await step('tools/list', async () => {
  const tools = await all(page => client.listTools(page, options), 'tools');
  same(tools.map(t => t.name), script.tools.map(t => t.name), 'tools');
});
let order = '';
for (const call of script.tools) {
  const args = Object.fromEntries(Object.entries(call.arguments).map(([k, v]) => [k, v === '$order' ? order : v]));
  await step(`tools/call ${call.name} ${JSON.stringify(args)}`, async () => {
    const request = { name: call.name, arguments: args };
    const result = sdk === '1' ? await client.callTool(request, undefined, options) : await client.callTool(request, options);
    must(Boolean(result.isError) === Boolean(call.error), `isError = ${result.isError}: ${JSON.stringify(result).slice(0, 2000)}`);
    if (call.content) {
      const types = result.content.map(block => block.type);
      must(isDeepStrictEqual(types, call.content), `content of types ${types}, want ${call.content}`);
    }
    if (call.structured && client.getNegotiatedProtocolVersion?.() !== '2024-11-05' && kind !== 'sse') must(result.structuredContent !== undefined, 'no structuredContent');
    holds(result, call.contains);
    if (call.save) order = JSON.stringify(result).match(/\bo[0-9]+\b/)[0];
  });
}

await step('prompts/list', async () => {
  const prompts = await all(page => client.listPrompts(page, options), 'prompts');
  same(prompts.map(p => p.name), script.prompts.map(p => p.name), 'prompts');
});
for (const prompt of script.prompts) {
  await step(`prompts/get ${prompt.name}`, async () => {
    holds(await client.getPrompt({ name: prompt.name, arguments: prompt.arguments }, options), prompt.contains);
  });
}

await step('resources/list', async () => {
  const resources = await all(page => client.listResources(page, options), 'resources');
  same(resources.map(r => r.uri), script.resources.map(r => r.uri), 'resources');
});
await step('resources/templates/list', async () => {
  const templates = await all(page => client.listResourceTemplates(page, options), 'resourceTemplates');
  same(templates.map(r => r.uriTemplate), script.templates.map(r => r.uriTemplate), 'templates');
});
for (const resource of [...script.resources, ...script.templates]) {
  await step(`resources/read ${resource.uri}`, async () => {
    holds(await client.readResource({ uri: resource.uri }, options), resource.contains);
  });
}
for (const c of script.completions) {
  await step(`completion/complete ${c.prompt ?? c.template}`, async () => {
    const ref = c.prompt ? { type: 'ref/prompt', name: c.prompt } : { type: 'ref/resource', uri: c.template };
    const result = await client.complete({ ref, argument: { name: c.argument, value: c.value } }, options);
    must(isDeepStrictEqual(result.completion.values, c.values), `values ${result.completion.values}, want ${c.values}`);
  });
}

await step('close', async () => {
  if (kind === 'streamable') await transport.terminateSession();
  await client.close();
});
console.log(`1..${steps}`);
process.exit(0);

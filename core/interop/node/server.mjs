// What the conformance suites expect of a server, on the server half of the official
// TypeScript SDK: sessions of the revisions that have them, and 2026-07-28, on one URL.
//
//   node server.mjs HOST:PORT
import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { NodeStreamableHTTPServerTransport, toNodeHandler } from '@modelcontextprotocol/node';
import {
  acceptedContent, classifyInboundRequest, CLIENT_CAPABILITIES_META_KEY, createMcpHandler, createRequestStateCodec,
  fromJsonSchema, inputRequired, isInitializeRequest, McpServer, ResourceTemplate,
} from '@modelcontextprotocol/server';

const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const wav = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';

const text = s => ({ type: 'text', text: s });
const image = { type: 'image', data: png, mimeType: 'image/png' };
const embedded = (uri, mimeType, s) => ({ type: 'resource', resource: { uri, mimeType, text: s } });
const says = (...content) => ({ content });
const object = (properties, required) => ({ type: 'object', properties, ...(required && { required }) });
const form = (message, properties) => ({ message, requestedSchema: object(properties, Object.keys(properties)) });
const one = (type = 'string') => ({ type });
const named = kind => (...pairs) => pairs.map(([value, title]) => ({ [kind]: value, title }));

const defaults = object({
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
}, []);
const titled = named('const');
const enums = object({
  untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
  titledSingle: { type: 'string', oneOf: titled(['value1', 'First'], ['value2', 'Second'], ['value3', 'Third']) },
  legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['First', 'Second', 'Third'] },
  untitledMulti: { type: 'array', minItems: 1, maxItems: 3, items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
  titledMulti: { type: 'array', minItems: 1, maxItems: 3, items: { anyOf: titled(['value1', 'First'], ['value2', 'Second'], ['value3', 'Third']) } },
}, []);
const dialect = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: { address: { $anchor: 'addressDef', type: 'object', properties: { street: one(), city: one() } } },
  properties: {
    name: one(),
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: one(),
    email: one(),
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

// States of calls that ask come back from clients, so they are sealed.
const states = createRequestStateCodec({ key: new Uint8Array(randomBytes(32)) });
const sealed = state => states.mint({ ...state, once: randomUUID() });

const whatName = inputRequired.elicit(form('What is your name?', { name: one() }));
const confirm = inputRequired.elicit(form('Please confirm', { ok: one('boolean') }));
const question = (s, maxTokens) => inputRequired.createMessage({ messages: [{ role: 'user', content: text(s) }], maxTokens });

// ask asks the client while a call of a session runs.
async function ask(ctx, method, params) {
  try {
    return says(text(JSON.stringify(await ctx.mcpReq.send({ method, params }))));
  } catch (error) {
    return { ...says(text(String(error?.message ?? error))), isError: true };
  }
}

const said = (ctx, key) => acceptedContent(ctx.mcpReq.inputResponses, key);

const tools = {
  test_simple_text: () => says(text('one text')),
  test_image_content: () => says(image),
  test_audio_content: () => says({ type: 'audio', data: wav, mimeType: 'audio/wav' }),
  test_embedded_resource: () => says(embedded('test://embedded-resource', 'text/plain', 'embedded')),
  test_multiple_content_types: () => says(text('three blocks'), image, embedded('test://mixed-content-resource', 'application/json', '{"is":"mixed"}')),
  test_error_handling() { throw new Error('this tool always fails'); },
  async test_tool_with_logging(ctx) {
    for (const data of ['it begins', 'it goes on', 'it ends']) {
      await ctx.mcpReq.notify({ method: 'notifications/message', params: { level: 'info', data } });
      await sleep(50);
    }
    return says(text('logged'));
  },
  async test_tool_with_progress(ctx) {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (const progress of progressToken === undefined ? [] : [0, 50, 100]) {
      await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
      await sleep(50);
    }
    return says(text('done'));
  },
  async test_reconnection(ctx) {
    sessions.get(ctx.sessionId)?.closeSSEStream(ctx.mcpReq.id);
    await sleep(100);
    return says(text('who came back reads this'));
  },
  test_elicitation_sep1034_defaults: ctx => ask(ctx, 'elicitation/create', { message: 'Please look at the defaults', requestedSchema: defaults }),
  test_elicitation_sep1330_enums: ctx => ask(ctx, 'elicitation/create', { message: 'Please choose', requestedSchema: enums }),

  test_missing_capability: ctx => ctx.mcpReq.inputResponses?.answer ? says(text('answered')) : inputRequired({ inputRequests: { answer: question('Say pong', 16) } }),
  test_streaming_elicitation: () => says(text('nobody was asked')),
  async test_logging_tool(ctx) {
    await ctx.mcpReq.log('info', 'only for who wants it');
    return says(text('logged'));
  },
  test_trigger_tool_change() {
    modern.notify.toolsChanged();
    return says(text('told'));
  },
  test_trigger_prompt_change() {
    modern.notify.promptsChanged();
    return says(text('told'));
  },

  test_input_required_result_elicitation(ctx) {
    const name = said(ctx, 'user_name')?.name;
    return typeof name === 'string' ? says(text(`Hello, ${name}!`)) : inputRequired({ inputRequests: { user_name: whatName } });
  },
  test_input_required_result_sampling(ctx) {
    const answer = ctx.mcpReq.inputResponses?.capital_question;
    return answer ? says(text(`the model says ${answer.content?.text}`)) : inputRequired({ inputRequests: { capital_question: question('What is the capital of France?', 100) } });
  },
  test_input_required_result_list_roots(ctx) {
    const roots = ctx.mcpReq.inputResponses?.client_roots?.roots;
    return Array.isArray(roots) ? says(text(`roots: ${roots.map(r => r.uri)}`)) : inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
  },
  async test_input_required_result_request_state(ctx) {
    if (said(ctx, 'confirm') && ctx.mcpReq.requestState()) return says(text('state-ok'));
    return inputRequired({ inputRequests: { confirm }, requestState: await sealed({ of: 'state' }) });
  },
  async test_input_required_result_tampered_state(ctx) {
    if (said(ctx, 'confirm') && ctx.mcpReq.requestState()) return says(text('the state is whole'));
    return inputRequired({ inputRequests: { confirm }, requestState: await sealed({ of: 'tampered' }) });
  },
  async test_input_required_result_multiple_inputs(ctx) {
    const { greeting, client_roots: listed } = ctx.mcpReq.inputResponses ?? {};
    const name = said(ctx, 'user_name')?.name;
    if (name && greeting && listed) return says(text(`${greeting.content?.text} ${name}, with ${listed.roots?.length} roots`));
    return inputRequired({
      inputRequests: { user_name: whatName, greeting: question('Greet somebody', 50), client_roots: inputRequired.listRoots() },
      requestState: await sealed({ of: 'multiple' }),
    });
  },
  async test_input_required_result_multi_round(ctx) {
    const state = ctx.mcpReq.requestState() ?? {};
    if (state.round === 2) return says(text(`${state.name} likes ${said(ctx, 'step2')?.color}`));
    if (state.round === 1) {
      const step2 = inputRequired.elicit(form('Step 2: which colour?', { color: one() }));
      return inputRequired({ inputRequests: { step2 }, requestState: await sealed({ round: 2, name: said(ctx, 'step1')?.name }) });
    }
    const step1 = inputRequired.elicit(form('Step 1: what is your name?', { name: one() }));
    return inputRequired({ inputRequests: { step1 }, requestState: await sealed({ round: 1 }) });
  },
  test_input_required_result_capabilities(ctx) {
    if (ctx.mcpReq.inputResponses) return says(text('answered'));
    const can = ctx.mcpReq.envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? {};
    const inputRequests = {
      ...(can.elicitation && { user_name: whatName }),
      ...(can.sampling && { greeting: question('Greet somebody', 50) }),
      ...(can.roots && { client_roots: inputRequired.listRoots() }),
    };
    return Object.keys(inputRequests).length ? inputRequired({ inputRequests }) : says(text('nothing can be asked'));
  },
};

// Tools with arguments: a schema, and what they do.
const told = {
  test_sampling: [object({ prompt: one() }, ['prompt']), (args, ctx) => ask(ctx, 'sampling/createMessage', { messages: [{ role: 'user', content: text(args.prompt) }], maxTokens: 100 })],
  test_elicitation: [object({ message: one() }, ['message']), (args, ctx) => ask(ctx, 'elicitation/create', form(args.message, { response: one() }))],
  json_schema_2020_12_tool: [dialect, args => says(text(JSON.stringify(args)))],
  test_x_mcp_header: [object({ region: { type: 'string', 'x-mcp-header': 'Region' }, level: one('integer') }), args => says(text(`region ${args.region}`))],
};

const prompts = {
  test_simple_prompt: [[], () => [text('This is a simple prompt.')]],
  test_prompt_with_arguments: [['arg1', 'arg2'], a => [text(`arg1='${a.arg1}', arg2='${a.arg2}'`)]],
  test_prompt_with_embedded_resource: [['resourceUri'], a => [embedded(a.resourceUri, 'text/plain', 'embedded'), text('Read this.')]],
  test_prompt_with_image: [[], () => [image, text('Look at this.')]],
};

function build() {
  const s = new McpServer({ name: 'everything-in-typescript', version: '1.0.0' }, {
    capabilities: { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true }, prompts: { listChanged: true }, logging: {}, completions: {} },
    requestState: { verify: states.verify },
  });
  const nothing = fromJsonSchema(object({}));
  for (const [name, run] of Object.entries(tools)) {
    s.registerTool(name, { description: `The tool ${name} of the suites.`, inputSchema: nothing }, async (_, ctx) => run(ctx));
  }
  for (const [name, [schema, run]] of Object.entries(told)) {
    s.registerTool(name, { description: `The tool ${name} of the suites.`, inputSchema: fromJsonSchema(schema) }, async (args, ctx) => run(args, ctx));
  }
  for (const [name, [names, write]] of Object.entries(prompts)) {
    const argsSchema = names.length ? fromJsonSchema(object(Object.fromEntries(names.map(n => [n, one()])), names)) : undefined;
    s.registerPrompt(name, { description: `The prompt ${name} of the suites.`, argsSchema }, async args => ({ messages: write(args).map(content => ({ role: 'user', content })) }));
  }
  s.registerPrompt('test_input_required_result_prompt', { description: 'Asks for its context.' }, async ctx => {
    const context = said(ctx, 'user_context')?.context;
    if (context === undefined) return inputRequired({ inputRequests: { user_context: inputRequired.elicit(form('In which context?', { context: one() })) } });
    return { messages: [{ role: 'user', content: text(`Mind this: ${context}`) }] };
  });
  for (const [name, mimeType, content] of [['static-text', 'text/plain', { text: 'It never changes.' }], ['static-binary', 'image/png', { blob: png }], ['watched-resource', 'text/plain', { text: 'watched' }]]) {
    const uri = `test://${name}`;
    s.registerResource(name, uri, { mimeType }, async () => ({ contents: [{ uri, mimeType, ...content }] }));
  }
  s.registerResource('template', new ResourceTemplate('test://template/{id}/data', { list: undefined }), { mimeType: 'application/json' },
    async (uri, { id }) => ({ contents: [{ uri: uri.toString(), mimeType: 'application/json', text: JSON.stringify({ id, data: `data of ${id}` }) }] }));
  for (const method of ['resources/subscribe', 'resources/unsubscribe', 'logging/setLevel']) {
    s.server.setRequestHandler(method, async () => ({}));
  }
  s.server.setRequestHandler('completion/complete', async () => ({ completion: { values: [], total: 0, hasMore: false } }));
  return s;
}

// A store of events, so that clients can come back for what a closed stream did not bring.
class Events {
  #kept = [];
  async storeEvent(stream, message) {
    this.#kept.push({ stream, message });
    return `${stream}/${this.#kept.length}`;
  }
  async replayEventsAfter(last, { send }) {
    const cut = last.lastIndexOf('/');
    const stream = last.slice(0, cut);
    for (let i = Number(last.slice(cut + 1)); i < this.#kept.length; i++) {
      const event = this.#kept[i];
      if (event.stream === stream && Object.keys(event.message ?? {}).length) await send(`${stream}/${i + 1}`, event.message);
    }
    return stream;
  }
}

const sessions = new Map();
const modern = createMcpHandler(build);
const answerModern = toNodeHandler(modern);

async function session(request, response, body) {
  const id = request.headers['mcp-session-id'];
  const known = sessions.get(id);
  if (known) return known.handleRequest(request, response, body);
  if (id || !isInitializeRequest(body)) {
    response.writeHead(id ? 404 : 400, { 'content-type': 'application/json' });
    return response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32000, message: id ? 'no such session' : 'no session' } }));
  }
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(), eventStore: new Events(), retryInterval: 500,
    onsessioninitialized: name => sessions.set(name, transport),
  });
  transport.onclose = () => sessions.delete(transport.sessionId);
  await build().connect(transport);
  return transport.handleRequest(request, response, body);
}

const [host, port] = process.argv[2].split(':');
const front = createServer(async (request, response) => {
  if (request.url === '/healthz') return response.end('ok');
  const parts = [];
  for await (const part of request) parts.push(part);
  let body;
  try {
    if (parts.length) body = JSON.parse(Buffer.concat(parts).toString());
  } catch {
    body = undefined;
  }
  const kind = request.method === 'POST' ? classifyInboundRequest({
    httpMethod: request.method, protocolVersionHeader: request.headers['mcp-protocol-version'], mcpMethodHeader: request.headers['mcp-method'], body,
  }).kind : 'legacy';
  return kind === 'legacy' ? session(request, response, body) : answerModern(request, response, body);
}).listen(Number(port), host);

process.on('SIGTERM', () => {
  front.close(() => process.exit(0));
  front.closeAllConnections();
});

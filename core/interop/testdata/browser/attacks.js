// What a page of somebody else can try. Each writes body to target (or reads target), and
// returns what the page learned: a text that it may read, or '' when it may read nothing.
// browser_test.go asks the gateway, not the page, whether it worked.
const limit = 10_000; // ms

const within = promise => Promise.race([promise, new Promise(done => setTimeout(() => done('late'), limit))]);

// A form in a frame. The text/plain one hides the "=" of forms in a string of the JSON.
function form(target, enctype, fields, sandbox) {
  return within(new Promise(done => {
    const frame = document.createElement('iframe');
    const page = `<form method="post" enctype="${enctype}" action="${target}"></form>`;
    if (sandbox) { // its origin is null
      const inputs = fields.map(([name, value]) => `<input name='${name}' value='${value}'>`).join('');
      frame.sandbox = 'allow-forms allow-scripts';
      frame.srcdoc = page.replace('</form>', `${inputs}</form><script>onload = () => setTimeout(() => document.forms[0].submit())</` + 'script>');
      let loads = 0;
      frame.onload = () => { if (++loads === 2) { frame.remove(); done(''); } };
      document.body.append(frame);
      return;
    }
    frame.name = 'f' + Math.random();
    document.body.append(frame);
    const made = document.createElement('div');
    made.innerHTML = page;
    document.body.append(made);
    const sent = made.firstChild;
    sent.target = frame.name;
    for (const [name, value] of fields) {
      const input = document.createElement('input');
      input.type = 'hidden';
      input.name = name;
      input.value = value;
      sent.append(input);
    }
    frame.onload = () => { frame.remove(); made.remove(); done(''); };
    sent.submit();
  }));
}

// plain splits the JSON where the pad stands.
function plain(body) {
  const text = JSON.stringify(body);
  const at = text.indexOf('@pad@');
  return [[text.slice(0, at), text.slice(at + 5)]];
}

const asText = response => (response.type === 'opaque' ? '' : response.text());
const nothing = () => '';

function element(name, attributes) {
  return within(new Promise(done => {
    const made = document.createElement(name);
    made.onload = () => { made.remove(); done('loaded'); };
    made.onerror = () => { made.remove(); done(''); };
    Object.assign(made, attributes);
    document.body.append(made);
  }));
}

window.attacks = {
  formUrlencoded: (target, body) => form(target, 'application/x-www-form-urlencoded', [['body', JSON.stringify(body)]]),
  formMultipart: (target, body) => form(target, 'multipart/form-data', [['body', JSON.stringify(body)]]),
  formPlain: (target, body) => form(target, 'text/plain', plain(body)),
  formNull: (target, body) => form(target, 'text/plain', plain(body), true),
  fetchPlain: (target, body) => fetch(target, { method: 'POST', mode: 'no-cors', credentials: 'include', body: JSON.stringify(body) }).then(asText, nothing),
  fetchUntyped: (target, body) =>
    fetch(target, { method: 'POST', mode: 'no-cors', credentials: 'include', body: new Blob([JSON.stringify(body)]) }).then(asText, nothing),
  beacon: async (target, body) => {
    navigator.sendBeacon(target, new Blob([JSON.stringify(body)], { type: 'text/plain' }));
    await within(new Promise(done => { // only the list of what was loaded tells when it has arrived
      const look = () => (performance.getEntriesByType('resource').some(entry => entry.initiatorType === 'beacon') ? done() : setTimeout(look, 20));
      performance.clearResourceTimings();
      look();
    }));
    return '';
  },
  fetchJSON: (target, body) =>
    fetch(target, { method: 'POST', credentials: 'include', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }).then(asText, nothing),
  // It wants the token of the login first, which only a page that may read it has.
  fetchToken: async (target, body) => {
    const me = await fetch(new URL('/api/v1/me', target), { credentials: 'include' }).then(r => r.json()).catch(() => ({}));
    const headers = { 'Content-Type': 'application/json', 'X-CSRF-Token': me.csrf ?? 'guess' };
    return fetch(target, { method: 'POST', credentials: 'include', headers, body: JSON.stringify(body) }).then(asText, nothing);
  },
  // As a client of MCP would; the headers make the browser ask the gateway first.
  fetchMCP: (target, body) => {
    const headers = {
      'Content-Type': 'application/json', Accept: 'application/json, text/event-stream',
      'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': 'tools/call', 'Mcp-Name': 'touch',
    };
    return fetch(target, { method: 'POST', headers, body: JSON.stringify(body) }).then(asText, nothing);
  },
  image: target => element('img', { src: target }),
  script: async target => {
    delete window.answer;
    return (await element('script', { src: target })) && (JSON.stringify(window.answer) ?? 'loaded');
  },
  style: target => element('link', { rel: 'stylesheet', href: target }),

  read: target => fetch(target, { credentials: 'include' }).then(asText, nothing),
  readNoCors: target => fetch(target, { mode: 'no-cors', credentials: 'include' }).then(() => 'loaded', nothing),
  events: target => within(new Promise(done => {
    const source = new EventSource(target, { withCredentials: true });
    const end = text => { source.close(); done(text); };
    source.onopen = () => { window.feedIsOpen = true; };
    for (const name of ['audit', 'call', 'endpoint', 'message']) source.addEventListener(name, event => end(event.data));
    source.onerror = () => end('');
  })),
  socket: target => within(new Promise(done => {
    const socket = new WebSocket(target.replace('http', 'ws'));
    socket.onopen = () => done('open');
    socket.onerror = () => done('');
  })),
  frame: async target => {
    const frame = document.createElement('iframe');
    await within(new Promise(done => { frame.onload = done; frame.src = target; document.body.append(frame); }));
    try { return frame.contentDocument.body.innerText; } catch { return ''; } // null: of another origin
  },
  popup: async target => {
    const opened = window.open(target);
    for (let tries = 0; tries < 100; tries++) { // until it is there, and nobody of another origin may look
      try { if (opened.document.body.innerText) return opened.document.body.innerText; } catch { return ''; }
      await new Promise(done => setTimeout(done, 50));
    }
    return '';
  },
};

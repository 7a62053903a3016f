// Lets browser_test.go drive a real Chromium.
//
//   node browser.mjs CHROMIUM PROFILE ARGUMENT…
//
// CHROMIUM is its path, PROFILE an empty folder; the arguments are Chromium's own. It reads
// one request a line, {"id", "do", …}, and writes one answer a line, {"id", "value"} or
// {"id", "error"}. It ends with its input.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [executablePath, home, ...args] = process.argv.slice(2);
const limit = 60_000; // ms; all suites share two cores
// Debian's Chromium keeps cookies out of what other sites load. The gateway must not need
// that: most browsers do not.
await mkdir(join(home, 'Default'), { recursive: true });
await writeFile(join(home, 'Default', 'Preferences'), JSON.stringify({ profile: { cookie_controls_mode: 0, block_third_party_cookies: false } }));
const first = await chromium.launchPersistentContext(home, { executablePath, args, headless: true, timeout: limit, env: { ...process.env, HOME: home } });
const browser = first.browser();
const contexts = new Map();
const pages = new Map();

// arrived waits until a window that was just opened shows what it was opened for.
async function arrived(page) {
  for (let tries = 0; page.url() === 'about:blank' && tries < 200; tries++) await new Promise(done => setTimeout(done, 50));
  await page.waitForLoadState();
}

const acts = {
  // context makes one that shares nothing with others, as a browser of its own.
  async context({ name }) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    context.setDefaultTimeout(limit);
    contexts.set(name, context);
  },
  // open goes to an address and returns the status and the text that it shows.
  async open({ context, page: name, url }) {
    let page = pages.get(name);
    if (!page) {
      page = await contexts.get(context).newPage();
      pages.set(name, page);
    }
    const response = await page.goto(url);
    return { status: response.status(), text: await response.text() };
  },
  // run calls a function in the page, as the page's own scripts would.
  async run({ page, code, arg }) {
    return await pages.get(page).evaluate(`(${code})(${JSON.stringify(arg ?? null)})`);
  },
  // frames returns what frames and windows of a context show, whoever may read it.
  async frames({ context }) {
    const shown = [];
    for (const page of contexts.get(context).pages()) {
      await arrived(page);
      for (const frame of page.frames()) {
        const text = await frame.evaluate('document.body ? document.body.innerText : ""').catch(() => '');
        shown.push({ url: frame.url(), text });
      }
    }
    return shown;
  },
  // cookies returns those of a context.
  async cookies({ context }) {
    return await contexts.get(context).cookies();
  },
  // clear closes every window that is not one of ours.
  async clear({ context }) {
    const own = new Set(pages.values());
    for (const page of contexts.get(context).pages()) {
      if (!own.has(page)) await page.close();
    }
  },
};

console.log(JSON.stringify({ id: 0, value: browser.version() }));
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  try {
    const value = await acts[request.do](request);
    console.log(JSON.stringify({ id: request.id, value: value ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ id: request.id, error: String(error?.message ?? error) }));
  }
}
await first.close();

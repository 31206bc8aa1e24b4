#!/usr/bin/env node
// Runs a Go program built for GOOS=js in Debian's Chromium, for `go test -exec`:
//
//   GOOS=js GOARCH=wasm go test -exec frontend/go-browser/exec.mjs ./kernel/...
//
// The program runs in a dedicated worker of a cross-origin isolated page, on a
// fresh profile on the disk (so OPFS is the real one), and sees the module's files
// read-only; what it writes stays in the worker's memory. Its output streams to
// this process's, and its exit code becomes this process's.
//
// Environment: CHROMIUM names another browser, INOS_BROWSER_ARGS adds arguments
// to it, INOS_BROWSER_STATE is a folder that keeps the profile and the port, and so
// the origin with its files, for the next run. Variables INOS_* and GO* reach the
// program.
import { execFileSync } from 'node:child_process';
import { createReadStream, existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { chromium } from 'playwright-core';
import { rolldown } from 'rolldown';

const [wasm, ...args] = process.argv.slice(2);
if (!wasm) {
  process.stderr.write('usage: exec.mjs PROGRAM.wasm [ARGUMENT...]\n');
  process.exit(2);
}

/** goEnv asks the go command, which `go test -exec` runs in the package's folder. */
const goEnv = (/** @type {string} */ name) => execFileSync('go', ['env', name], { encoding: 'utf8' }).trim();
const root = dirname(realpathSync(goEnv('GOMOD')));
const state = process.env.INOS_BROWSER_STATE;
const profile = state ? join(state, 'profile') : mkdtempSync(join(tmpdir(), 'go-browser-'));
/** @type {import('playwright-core').BrowserContext | undefined} */
let context;
let ending = false;

/** end closes the browser, removes its profile, and exits. */
async function end(/** @type {number} */ code) {
  if (ending) return;
  ending = true;
  await context?.close().catch(() => undefined); // it may have crashed
  if (!state) rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  process.exit(code);
}
for (const s of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP']) process.on(s, () => void end(2));

async function bundle(/** @type {string} */ input) {
  const b = await rolldown({ input: join(import.meta.dirname, input), logLevel: 'silent', platform: 'browser' });
  const { output } = await b.generate({ format: 'iife' });
  return output[0].code;
}

const worker = await bundle('worker.ts');
const script = await bundle('page.ts');
/** @type {Promise<string> | undefined} the network worker, which few programs need */
let net;
/** @type {Map<string, Promise<string>>} the workers of modules, likewise */
const workers = new Map();
const wasmExec = readFileSync(join(goEnv('GOROOT'), 'lib/wasm/wasm_exec.js'));

const page = '<!doctype html><meta charset="utf-8"><title>go</title><script src="/page.js"></script>';

/** hostFile answers for one path below the module's root: a folder's names or a file's bytes. */
function hostFile(/** @type {string} */ path, /** @type {import('node:http').ServerResponse} */ res) {
  let real;
  try {
    real = realpathSync(path);
  } catch {
    real = '';
  }
  if (real !== root && !real.startsWith(root + sep)) {
    if (root.startsWith(path === sep ? sep : path + sep)) { // a folder above the root: only the way down is there
      const rest = root.slice(path.length).split(sep).filter(Boolean);
      res.writeHead(200, { 'x-kind': 'folder' }).end(JSON.stringify([rest[0]]));
      return;
    }
    res.writeHead(204, { 'x-kind': 'none' }).end();
    return;
  }
  if (statSync(real).isDirectory()) {
    res.writeHead(200, { 'x-kind': 'folder' }).end(JSON.stringify(readdirSync(real)));
    return;
  }
  res.writeHead(200, { 'x-kind': 'file' });
  createReadStream(real).pipe(res);
}

const server = createServer((req, res) => {
  const url = new URL(req.url ?? '/', 'http://localhost');
  res.setHeader('cross-origin-opener-policy', 'same-origin');
  res.setHeader('cross-origin-embedder-policy', 'require-corp');
  res.setHeader('cross-origin-resource-policy', 'same-origin');
  res.setHeader('cache-control', 'no-store');
  switch (url.pathname) {
    case '/': return res.setHeader('content-type', 'text/html').end(page);
    case '/worker.js': return res.setHeader('content-type', 'text/javascript').end(worker);
    case '/page.js': return res.setHeader('content-type', 'text/javascript').end(script);
    case '/net.js':
      net ??= bundle('../src/tab/net/net.worker.ts');
      res.setHeader('content-type', 'text/javascript');
      net.then((code) => res.end(code), (e) => { process.stderr.write(`${e}\n`); res.writeHead(500).end(); });
      return;
    case '/module.worker.js':
    case '/resident.worker.js': {
      const code = workers.get(url.pathname) ?? bundle(`../src/tab${url.pathname.replace(/js$/, 'ts')}`);
      workers.set(url.pathname, code);
      res.setHeader('content-type', 'text/javascript');
      code.then((code) => res.end(code), (e) => { process.stderr.write(`${e}\n`); res.writeHead(500).end(); });
      return;
    }
    case '/wasm_exec.js': return res.setHeader('content-type', 'text/javascript').end(wasmExec);
    case '/program.wasm': res.setHeader('content-type', 'application/wasm'); return createReadStream(wasm).pipe(res);
    case '/favicon.ico': return res.writeHead(204).end();
    case '/host': return hostFile(url.searchParams.get('path') ?? '', res);
    default: return res.writeHead(404).end();
  }
});
const portFile = state && join(state, 'port');
const port = portFile && existsSync(portFile) ? Number(readFileSync(portFile, 'utf8')) : 0;
await new Promise((ok, no) => server.once('error', no).listen(port, '127.0.0.1', () => ok(undefined)));
const address = /** @type {import('node:net').AddressInfo} */ (server.address());
if (portFile) writeFileSync(portFile, String(address.port));

context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false,
  args: [
    '--no-sandbox', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--js-flags=--stack-size=4000', // Go's own runner for Node.js asks for a deeper stack too
    ...(process.env.INOS_BROWSER_ARGS ?? '').split(' ').filter(Boolean),
  ],
});
const tab = context.pages()[0] ?? await context.newPage();
tab.on('crash', () => { process.stderr.write('the tab crashed\n'); void end(2); });
context.on('close', () => void end(2));
tab.on('console', (m) => process.stderr.write(`${m.text()}\n`));
tab.on('pageerror', (e) => process.stderr.write(`${e.stack}\n`));
await tab.exposeFunction('say', (/** @type {number} */ fd, /** @type {string} */ text) => {
  (fd === 1 ? process.stdout : process.stderr).write(text);
});
await tab.exposeFunction('done', (/** @type {number} */ code) => void end(code));
const devtools = await context.newCDPSession(tab);
const origin = `http://127.0.0.1:${address.port}`;
await tab.exposeFunction('quota', async (/** @type {number} */ bytes) => {
  await devtools.send('Storage.overrideQuotaForOrigin', bytes < 0 ? { origin } : { origin, quotaSize: bytes });
});
await tab.goto(`${origin}/`);
const env = Object.fromEntries(Object.entries(process.env).filter(([k]) => /^(INOS|GO)/.test(k) && k !== 'GOFLAGS'));
await tab.evaluate((boot) => /** @type {any} */ (window).start(boot), { argv: [wasm, ...args], env, cwd: process.cwd() });

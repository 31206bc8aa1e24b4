// What the tab of a real node may connect to: its network worker to the listeners that its mesh's nodes have for tabs, and
// to nothing else; the page to neither.
// How much goes over them is measured by scripts/net-browser-test.sh.
import { readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { chromium, type Browser, type Page, type Worker } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Mesh, type Node } from './mesh';

let mesh: Mesh;
let node: Node;
let browser: Browser;

beforeAll(async () => {
  process.env.INOS_TABS = 'on';
  mesh = new Mesh();
  node = await mesh.enter('dora');
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--no-first-run', '--disable-background-networking'] });
});

afterAll(async () => {
  delete process.env.INOS_TABS;
  await browser?.close();
  await mesh?.close();
});

/** networkWorker starts the thread that connects to the mesh, which does nothing by itself. */
async function networkWorker(page: Page): Promise<Worker> {
  const script = readdirSync(new URL('../dist/assets', import.meta.url)).find((f) => /^net\.worker-.*\.js\.br$/.test(f))!.slice(0, -3);
  const started = page.waitForEvent('worker');
  await page.evaluate((url) => { Object.assign(window, { kept: new Worker(url, { type: 'module' }) }); }, `/assets/${script}`);
  return started;
}

/** openSocket opens a WebSocket and says how it went. */
async function openSocket(url: string): Promise<string> {
  const s = new WebSocket(url);
  const how = await new Promise<string>((ok) => { s.onopen = () => ok('open'); s.onerror = () => ok('error'); });
  s.close();
  return how;
}

/** refused tries every way to a port, and returns what the policy said of each. */
async function refused(port: string): Promise<string[]> {
  const seen: string[] = [];
  addEventListener('securitypolicyviolation', (e) => { seen.push(`${e.effectiveDirective} ${e.blockedURI}`); });
  try { new WebSocket(`ws://127.0.0.1:${port}/`); } catch { /* some browsers throw */ }
  await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
  await new WebTransport(`https://127.0.0.1:${port}/`).ready.catch(() => undefined);
  await new Promise((ok) => setTimeout(ok, 200));
  return seen.filter((b) => b.startsWith('connect-src ') && b.includes(port));
}

it('reaches the node by WebSocket and WebTransport from the network worker alone, and no other address', async () => {
  const { addrs } = await node.json<{ addrs: string[] }>('status');
  const ws = addrs.find((a) => a.includes('/ws/'))!.split('/'), wt = addrs.find((a) => a.includes('/webtransport/'))!;
  const page = await browser.newPage();
  await page.goto((await node.json<{ url: string }>('ui')).url);
  const worker = await networkWorker(page);
  expect(await worker.evaluate(openSocket, `ws://${ws[2]}:${ws[4]}`)).toBe('open');
  expect(await page.evaluate(refused, ws[4]!)).toHaveLength(3);

  const part = wt.split('/'), hashes = [...wt.matchAll(/certhash\/u([^/]+)/g)].map((m) => [...Buffer.from(m[1]!, 'base64url').subarray(2)]);
  const ready = await worker.evaluate(async ([url, certs]) => {
    const t = new WebTransport(url, { serverCertificateHashes: certs.map((c) => ({ algorithm: 'sha-256', value: Uint8Array.from(c) })) });
    const how = await t.ready.then(() => 'ready', (e: unknown) => String(e));
    t.close();
    return how;
  }, [`https://${part[2]}:${part[4]}/.well-known/libp2p-webtransport?type=noise`, hashes] as const);
  expect(ready).toBe('ready');

  // Somebody else's port on the same machine: the browser refuses before a byte is sent.
  let touched = 0;
  const other = createServer((s) => { touched++; s.destroy(); });
  await new Promise<void>((ok) => other.listen(0, '127.0.0.1', () => ok()));
  const port = String((other.address() as { port: number }).port);
  expect(await worker.evaluate(refused, port)).toHaveLength(3);
  expect(await page.evaluate(refused, port)).toHaveLength(3);
  other.close();
  expect(touched).toBe(0);
});

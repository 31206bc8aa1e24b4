import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Job } from '../src/lib/api';
import type { TabState } from '../src/tab/types';
import { Mesh, until, type Node } from './mesh';
import { TabServer } from './tabserver';

let mesh: Mesh;
let anna: Node, bela: Node;
let server: TabServer;
let browser: Browser;
let context: BrowserContext;
let page: Page;

const said: string[] = [];

async function openTab(in_: BrowserContext): Promise<Page> {
  const p = await in_.newPage();
  p.on('console', (m) => { said.push(m.text()); });
  p.on('pageerror', (e) => { said.push(e.message); });
  await p.goto(server.url);
  await p.waitForFunction(() => 'tab' in window);
  return p;
}

const stateOf = (p: Page): Promise<TabState> => p.evaluate(() => window.tab.state);

/** inPhase waits for the node's phase; a failed one says why. */
async function inPhase(p: Page, phase: TabState['phase'], seconds = 30): Promise<TabState> {
  return until(`the tab to be ${phase}: ${JSON.stringify(await stateOf(p))} ${said.slice(-5).join(' | ')}`, async () => {
    const s = await stateOf(p);
    return s.phase === phase && s;
  }, seconds);
}

beforeAll(async () => {
  mesh = new Mesh();
  anna = await mesh.enter('anna');
  bela = await mesh.enter('bela');
  await mesh.enter('cleo');
  await mesh.together();
  server = new TabServer();
  const { url } = await anna.json<{ url: string }>('ui');
  await server.start(new URL(url).origin);
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  context = await browser.newContext();
  page = await openTab(context);
});

afterAll(async () => {
  await browser?.close();
  server?.close();
  await mesh?.close();
});

it('starts, and waits for an invite', async () => {
  const s = await inPhase(page, 'unjoined');
  expect(s.shared).toBe(true);
  expect(s.reason).toContain('invite');
  const again = await openTab(await browser.newContext());
  const ms = await again.evaluate(async () => {
    while (window.tab.state.phase !== 'unjoined') await new Promise((ok) => window.tab.subscribe(ok));
    return performance.now();
  });
  console.log(`a kernel is ready ${ms.toFixed(0)} ms after its page began to load`);
  await again.context().close();
});

it('joins by invite, as an edge', async () => {
  const invite = await anna.json<{ text: string }>('invite', '--name', 'tab', '--roles', 'edge');
  const ms = await page.evaluate(async (text) => {
    const began = performance.now();
    await window.tab.join(text);
    return performance.now() - began;
  }, invite.text);
  console.log(`joined ${ms.toFixed(0)} ms after the invite`);
  const s = await inPhase(page, 'running');
  expect(s.name).toBe('tab');
  await until('the mesh to see the tab', async () => (await anna.json<{ name: string; online: boolean }[]>('peers')).some((p) => p.name === 'tab' && p.online));
});

it('runs its own jobs while it gives nothing, named or not, and its doctor leaves none', async () => {
  expect((await stateOf(page)).offered).toBe(0);
  const checks = await page.evaluate(() => window.tab.doctor());
  expect(checks.find((c) => c.name === 'modules')?.detail).toMatch(/^a module ran in this browser/);
  const run = (node: string): Promise<Job | undefined> => page.evaluate(async (where) => {
    let last: Job | undefined;
    await window.tab.run({ module: 'diagnostics', unit: 'echo', method: 'noop', ...(where ? { node: where } : {}) }, (j) => { last = j; });
    return last;
  }, node);
  const own = await run('tab');
  expect(own?.state, own?.error).toBe('done');
  expect(own?.result.worker).toBe((await page.evaluate(() => window.tab.status())).node);
  expect((await run(''))?.state).toBe('done');
  expect((await page.evaluate(() => window.tab.jobs())).jobs).toHaveLength(2);
});

const data = randomBytes(5 << 20);
const hash = (b: Uint8Array): string => createHash('sha256').update(b).digest('hex');
let link = '';

it('puts a file that a native node gets, byte for byte', async () => {
  link = await page.evaluate(async (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const o = await window.tab.put(new Blob([bytes]), { name: 'random.bin' });
    return o.link;
  }, data.toString('base64'));
  const out = join(mesh.dir, 'got.bin');
  await bela.inos('get', link, out);
  expect(hash(readFileSync(out))).toBe(hash(data));
});

it('gets what a native node put, verified', async () => {
  const file = join(mesh.dir, 'native.bin'), bytes = randomBytes(3 << 20);
  writeFileSync(file, bytes);
  const o = await bela.json<{ link: string }>('put', file);
  const sum = await page.evaluate(async (l) => {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    await window.tab.get(l, {}, (b) => { parts.push(b.slice()); });
    const digest = await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer());
    return [...new Uint8Array(digest)].map((x) => x.toString(16).padStart(2, '0')).join('');
  }, o.link);
  expect(sum).toBe(hash(bytes));
});

it('runs a job for another member with its bytes and its gas, and none while it rests', async () => {
  const on = { contribute: true, workers: 2, cpu_cap: 100 };
  await page.evaluate((c) => window.tab.configure(c), on);
  const workers = async (): Promise<number> => (await anna.json<{ name: string; workers: number }[]>('peers')).find((p) => p.name === 'tab')?.workers ?? -1;
  await until('the mesh to see what the tab offers', async () => await workers() > 0);
  const run = async (where: string): Promise<{ worker: string; gas: number; output_hash: string }> => {
    const out = await anna.inos('--json', 'run', 'compute/hash.blake3', link, '--node', where);
    const last = JSON.parse(out.trim().split('\n').at(-1) ?? '{}') as { state: string; result: { worker: string; gas: number; output_hash: string } };
    expect(last.state, out).toBe('done');
    return last.result;
  };
  const [there, here] = [await run('bela'), await run('tab')];
  expect(here.worker).not.toBe(there.worker);
  expect(here.gas).toBe(there.gas);
  expect(here.output_hash).toBe(there.output_hash);
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    const began = performance.now();
    await anna.inos('run', 'diagnostics/echo.noop', '--node', 'tab');
    times.push(performance.now() - began);
  }
  console.log(`a job that does nothing in the tab, with the command's own start: p50 ${times.sort((a, b) => a - b)[4]?.toFixed(0)} ms`);
  await page.evaluate((c) => window.tab.configure({ ...c, contribute: false }), on);
  await until('the mesh to see that the tab rests', async () => await workers() === 0);
});

it('rests while nobody sees it', async () => {
  await page.evaluate(() => window.tab.configure({ contribute: true, workers: 0, cpu_cap: 100 }));
  await until('the tab to offer workers', async () => (await stateOf(page)).offered > 0);
  const show = (hidden: boolean): Promise<void> => page.evaluate((h) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => h });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await show(true);
  const s = await until('the tab to rest', async () => { const now = await stateOf(page); return now.offered === 0 && now; });
  expect(s.settings.yield).toBe('hidden');
  await show(false);
  await until('the tab to offer workers again', async () => (await stateOf(page)).offered > 0);
});

it('goes on when a node is killed, and finds it again', async () => {
  const name = 'killed.bin', bytes = randomBytes(2 << 20);
  writeFileSync(join(mesh.dir, name), bytes);
  const o = await bela.json<{ link: string }>('put', join(mesh.dir, name));
  await bela.end('SIGKILL');
  const n = await page.evaluate(async (l) => { let sum = 0; await window.tab.get(l, {}, (b) => { sum += b.length; }); return sum; }, o.link);
  expect(n).toBe(bytes.length);
  const online = (): Promise<boolean | undefined> => page.evaluate(async () => (await window.tab.peers()).find((p) => p.name === 'bela')?.online);
  await until('the tab to miss the killed node', async () => await online() === false);
  await bela.start();
  await until('the tab to find it again', online);
});

it('is used by other tabs of the profile, one of which takes it over', async () => {
  const second = await openTab(context);
  const s = await inPhase(second, 'running');
  expect(s.elsewhere).toBe(true);
  expect((await second.evaluate(() => window.tab.list())).objects.map((o) => o.name)).toContain('random.bin');
  await page.close();
  await until('the other tab to run the node', async () => { const now = await stateOf(second); return now.phase === 'running' && !now.elsewhere; });
  page = second;
});

it('survives a reload', async () => {
  const before = await stateOf(page);
  await page.reload();
  const after = await inPhase(page, 'running');
  expect(after.node).toBe(before.node);
  expect((await page.evaluate(() => window.tab.list())).objects.map((o) => o.link)).toContain(link);
});

it('works without shared memory, and says so', async () => {
  const apart = new TabServer();
  const { url } = await anna.json<{ url: string }>('ui');
  await apart.start(new URL(url).origin, false);
  const p = await (await browser.newContext()).newPage();
  try {
    await p.goto(apart.url);
    await p.waitForFunction(() => 'tab' in window);
    const s = await inPhase(p, 'unjoined');
    expect(s.shared).toBe(false);
    const invite = await anna.json<{ text: string }>('invite', '--roles', 'edge', '--name', 'apart');
    await p.evaluate((text) => window.tab.join(text), invite.text);
    const got = await p.evaluate(async (l) => { let n = 0; await window.tab.get(l, {}, (b) => { n += b.length; }); return n; }, link);
    expect(got).toBe(data.length);
  } finally {
    await p.context().close();
    apart.close();
  }
});

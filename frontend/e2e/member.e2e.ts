// A tab as a member, through the page that people use.
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dropFolder } from './drop';
import { Mesh, until, type Node } from './mesh';

const screens = process.env.INOS_SCREENS ?? '';

let mesh: Mesh;
let anna: Node, bela: Node, cleo: Node;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let name = '';
const complaints: string[] = [];

const hash = (b: Uint8Array): string => createHash('sha256').update(b).digest('hex');

function listen(p: Page): Page {
  p.on('pageerror', (e) => complaints.push(e.message));
  p.on('console', (m) => { if (m.type() === 'error' && !/Failed to load resource|Failed to establish a connection to/.test(m.text())) complaints.push(m.text()); });
  return p;
}

const view = (p: Page, to: string): Promise<void> => p.evaluate((at) => { history.pushState(null, '', `/${at}`); dispatchEvent(new PopStateEvent('popstate')); }, to);

beforeAll(async () => {
  mesh = new Mesh();
  [anna, bela, cleo] = [await mesh.enter('anna'), await mesh.enter('bela'), await mesh.enter('cleo')];
  await mesh.together();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
  });
  context = await browser.newContext({ viewport: { width: 1440, height: 900 }, permissions: ['geolocation', 'camera', 'microphone'], geolocation: { latitude: 52.52, longitude: 13.405, accuracy: 25 } });
  await context.addInitScript(() => localStorage.setItem('inos.welcomed', '1'));
  page = listen(await context.newPage());
  await page.goto((await anna.json<{ url: string }>('ui')).url);
  await page.locator('.shell').waitFor();
});

afterAll(async () => {
  await browser?.close();
  await mesh?.close();
});

it('makes the tab a member with one button', async () => {
  await view(page, 'node/tab');
  await page.getByRole('button', { name: 'Make this tab a member' }).click();
  await page.locator('.badge.good', { hasText: 'a member' }).waitFor({ timeout: 60_000 });
  name = await page.evaluate(() => window.inos!.tab.state.name);
  await until('the mesh to see the tab', async () => (await bela.json<{ name: string; online: boolean; roles: string }[]>('peers')).some((p) => p.name === name && p.online && p.roles === 'edge'));
});

it('stores a file of its own, which a native node gets byte for byte, and finds it on its Files view', async () => {
  await page.getByRole('button', { name: 'Use the page through this tab' }).click();
  await view(page, 'files');
  const bytes = randomBytes(5_000_000), file = join(mesh.dir, 'from-the-tab.bin');
  writeFileSync(file, bytes);
  await page.locator('input[type=file][multiple]').setInputFiles(file);
  await page.locator('.tray-item.done').waitFor({ timeout: 90_000 });
  await page.getByRole('link', { name: /from-the-tab/ }).waitFor();
  const { objects } = await page.evaluate(() => window.inos!.tab.list());
  const link = objects.find((o) => o.name === 'from-the-tab.bin')?.link ?? '';
  const out = join(mesh.dir, 'got.bin');
  await bela.inos('get', link, out);
  expect(hash(readFileSync(out))).toBe(hash(bytes));
  const { holders, copies } = await bela.json<{ copies: number; holders: { name: string; blocks: number }[] }>('ls', link, '--where');
  expect(holders.find((h) => h.name === name)?.blocks ?? 0).toBe(0); // a tab never counts as a keeper
  expect(copies).toBe(3);
  await page.locator('.tray').waitFor({ state: 'detached' });
});

it('takes a dropped folder, which a native node gets byte for byte', async () => {
  const set = join(import.meta.dirname, '../../demo/set');
  const folder: [string, Buffer][] = [...readdirSync(set).slice(0, 4).map((f): [string, Buffer] => [f, readFileSync(join(set, f))]), ['notes/read me.txt', Buffer.from('Grüße 🌲\n')], ['notes/deep/random.bin', randomBytes(2_500_000)]];
  await view(page, 'files');
  await page.locator('.files').waitFor();
  await dropFolder(page, 'trip', folder);
  await page.locator('.tray-item.done').waitFor({ timeout: 90_000 });
  const { objects } = await page.evaluate(() => window.inos!.tab.list());
  const out = join(mesh.dir, 'trip');
  await cleo.inos('get', objects.find((o) => o.name === 'trip')?.link ?? '', out);
  for (const [path, bytes] of folder) expect(hash(readFileSync(join(out, path))), path).toBe(hash(bytes));
  await page.locator('.tray').waitFor({ state: 'detached' });
});

interface Ran { state: string; spec: { id: string }; result: { gas: number; output_hash: string; worker: string; message?: string } }

/** ran runs a method on a node by the command line. */
async function ran(node: string, ...args: string[]): Promise<Ran> {
  const text = await bela.inos('--json', 'run', ...args, '--node', node);
  return text.trim().split('\n').map((l) => JSON.parse(l) as Ran).at(-1)!;
}

it('runs jobs of others once it is switched on, with the bytes and the gas of a native node', async () => {
  const picture = join(import.meta.dirname, '../../demo/set/tea-hills.jpg');
  const { link } = await bela.json<{ link: string }>('put', picture);
  await view(page, 'node/tab');
  await page.getByRole('switch', { name: 'Run jobs of other members' }).check();
  await page.getByText(/Offers \d+ jobs? at a time/).waitFor();
  const call = ['compute/image.thumbnail', '--param', 'width=200', link];
  const there = await until('the tab to take a job', () => ran(name, ...call));
  const here = await ran('cleo', ...call);
  expect(there.state).toBe('done');
  expect(there.result.worker).not.toBe(here.result.worker);
  expect(there.result.output_hash).toBe(here.result.output_hash);
  expect(there.result.gas).toBe(here.result.gas);
});

it('adds a module and runs it, and a resident in its own shared memory', async () => {
  await view(page, 'modules');
  const file = join(mesh.dir, 'mandelbrot.wasm');
  writeFileSync(file, brotliDecompressSync(readFileSync(join(import.meta.dirname, '../../examples/dist/mandelbrot.wasm.br'))));
  await page.getByLabel('Module file').setInputFiles(file);
  await page.getByRole('heading', { name: 'mandelbrot' }).waitFor();
  const states = await page.evaluate(async () => {
    const limits = { gas: 0, memory_bytes: 0, output_bytes: 0, wall_ms: 0 }, out: string[] = [];
    await window.inos!.tab.run({ module: 'mandelbrot', unit: 'fractal', method: 'tile', params: { size: 64 }, inputs: [], node: window.inos!.tab.state.name, limits, price_cap: 0, deadline: 0 }, (j) => out.push(j.state));
    return out;
  });
  expect(states.at(-1)).toBe('done');

  await page.getByRole('link', { name: /^boids/ }).click();
  const panel = page.getByRole('region', { name: 'In shared memory' });
  await panel.getByLabel('agents').fill('2000');
  await panel.getByRole('button', { name: 'Start' }).click();
  await panel.locator('.badge', { hasText: 'running' }).waitFor({ timeout: 30_000 });
  await panel.getByText(/^[\d,]+, \d+ a second$/).waitFor();
  const residents = (): Promise<{ state: string; states: string[]; steps: number }[]> => page.evaluate(() => window.inos!.tab.call('residents'));
  const [first] = await residents();
  const arena = await page.evaluate(() => window.inos!.tab.call<{ states: { name: string }[] }>('arena'));
  expect(arena.states.map((s) => s.name)).toContain(first!.states[0]);
  await until('the flock to step', async () => (await residents())[0]!.steps > first!.steps);
  await panel.getByRole('button', { name: 'Stop' }).click();
  await panel.locator('.badge', { hasText: 'stopped' }).waitFor();
});

it('lets modules read sensors that are on, and no others', async () => {
  await view(page, 'node/tab');
  for (const sensor of ['Place', 'Camera', 'Microphone level']) await page.getByRole('button', { name: `Switch on: ${sensor}` }).click();
  await page.getByText(/52\.5200°, 13\.4050°/).waitFor();
  await page.locator('.sensors .frame').waitFor();
  await page.getByText(/-?\d+ dB, peak/).waitFor();
  const place = await ran(name, 'syscalls/call.host', '--param', 'service=sensor', '--param', 'operation=read', '--param', 'key=geolocation');
  const samples = JSON.parse(await output(place)) as { values: number[] }[];
  expect(samples[0]?.values.slice(0, 3)).toEqual([52.52, 13.405, 25]);
  const picture = JSON.parse(await output(await ran(name, 'syscalls/call.host', '--param', 'service=sensor', '--param', 'operation=read', '--param', 'key=camera'))) as { values: number[]; frame: string }[];
  expect(picture[0]?.values).toEqual([64, 48]);
  expect(Buffer.from(picture[0]?.frame ?? '', 'base64')).toHaveLength(64 * 48);
  await page.getByRole('button', { name: 'Switch off: Camera' }).click();
  expect(await output(await ran(name, 'syscalls/call.host', '--param', 'service=sensor', '--param', 'operation=read', '--param', 'key=camera'))).toContain('is not on');
  if (screens) await shoot('node-tab');
});

/** shoot takes the view's picture, wide and phone, light and dark. */
async function shoot(what: string): Promise<void> {
  mkdirSync(screens, { recursive: true });
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [kind, size] of [['wide', { width: 1440, height: 900 }], ['phone', { width: 390, height: 844 }]] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(size);
      await page.screenshot({ path: join(screens, `${what}-${kind}-${colorScheme}.png`) });
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1440, height: 900 });
}

/** output is what a job wrote. */
async function output(job: Ran): Promise<string> {
  const link = (job.result as unknown as { output: string }).output;
  const out = join(mesh.dir, `out-${job.spec.id}`);
  await bela.inos('get', link, out);
  return readFileSync(out, 'utf8');
}

it('rests while it is hidden', async () => {
  const hide = (hidden: boolean): Promise<void> => page.evaluate((h) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => h });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await hide(true);
  await page.getByText('it rests while it is hidden').waitFor();
  await until('the mesh to hear of it', async () => (await bela.json<{ name: string; workers: number }[]>('peers')).some((p) => p.name === name && p.workers === 0));
  await expect(ran(name, 'diagnostics/echo.noop')).rejects.toThrow();
  await hide(false);
  await page.getByText(/Offers \d+ jobs? at a time/).waitFor();
  await until('jobs again', () => ran(name, 'diagnostics/echo.noop'));
});

it('fetches after a node was killed, and is the same member after a reload', async () => {
  const bytes = randomBytes(3_000_000), file = join(mesh.dir, 'kept.bin');
  writeFileSync(file, bytes);
  const { link } = await anna.json<{ link: string }>('put', file);
  await cleo.end('SIGKILL');
  const fetched = await page.evaluate(async (l) => {
    const parts: BlobPart[] = [];
    await window.inos!.tab.get(l, {}, (b) => { parts.push(b.slice()); });
    const sum = await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer());
    return [...new Uint8Array(sum)].map((b) => b.toString(16).padStart(2, '0')).join('');
  }, link);
  expect(fetched).toBe(hash(bytes));
  const before = await page.evaluate(() => window.inos!.tab.state.node);
  await page.reload();
  await view(page, 'node/tab');
  await page.locator('.badge.good', { hasText: 'a member' }).waitFor({ timeout: 60_000 });
  expect(await page.evaluate(() => window.inos!.tab.state.node)).toBe(before);
});

it('takes in a browser that has only a link', async () => {
  const invite = await anna.json<{ text: string }>('invite', '--roles', 'edge', '--name', 'guest');
  const other = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true });
  await other.addInitScript(() => localStorage.setItem('inos.welcomed', '1'));
  const phone = listen(await other.newPage());
  const origin = new URL((await anna.json<{ url: string }>('ui')).url).origin;
  await phone.goto(`${origin}/#join=${encodeURIComponent(invite.text)}`);
  await phone.getByRole('button', { name: 'Join' }).click();
  await phone.locator('.shell').waitFor({ timeout: 60_000 });
  await phone.getByText('guest').first().waitFor();
  expect(phone.url()).not.toContain('inos-invite');
  await view(phone, 'mesh');
  await phone.locator('.node-label', { hasText: 'anna' }).waitFor();
  if (screens) await phone.screenshot({ path: join(screens, 'guest-mesh-phone-light.png') });
  const file = join(mesh.dir, 'phone.txt');
  writeFileSync(file, 'from a phone\n');
  await view(phone, 'files');
  await phone.locator('input[type=file][multiple]').setInputFiles(file);
  await phone.locator('.tray-item.done').waitFor({ timeout: 60_000 });
  await phone.reload(); // no sign-in, and still a member
  await phone.locator('.shell').waitFor({ timeout: 60_000 });
  await view(phone, 'files');
  await phone.getByRole('link', { name: /phone.txt/ }).waitFor();
  await other.close();
});

it('speaks to the native node again when the tab has left, which then misses nobody', async () => {
  await view(page, 'node/tab');
  await page.getByRole('button', { name: 'Use the page through the native node' }).waitFor();
  await page.getByRole('button', { name: 'Leave the mesh' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
  await page.getByRole('button', { name: 'Make this tab a member' }).waitFor();
  await page.locator('.shell').getByText('anna').first().waitFor();
  await until('the doctor to miss no tab', async () => {
    const checks = await anna.json<{ name: string; detail: string }[]>('doctor').catch(() => []);
    return checks.some((c) => c.name === 'mesh' && /^1 of 2 other members/.test(c.detail)); // cleo was killed
  });
});

it('made no complaint in the console', () => {
  expect(complaints).toEqual([]);
});

// The live view against a real node: the flock flies from shared memory and from copies, and the figures are real.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Mesh, type Node } from './mesh';

const screens = process.env.INOS_SCREENS ?? '';
let mesh: Mesh, node: Node, browser: Browser;
const complaints: string[] = [];
const policies: string[] = []; // of the workers' scripts

beforeAll(async () => {
  mesh = new Mesh();
  node = await mesh.enter('anna');
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
});

afterAll(async () => {
  await browser?.close();
  await mesh?.close();
});

/** open shows the view in a browser of its own, as somebody who has been here before. */
async function open(o: { isolated?: boolean; still?: boolean } = {}): Promise<Page> {
  const { url } = await node.json<{ url: string }>('ui');
  const context = await browser.newContext({ viewport: { width: 900, height: 560 }, reducedMotion: o.still ? 'reduce' : 'no-preference' });
  await context.addInitScript(() => localStorage.setItem('inos.welcomed', '1'));
  const page = await context.newPage();
  page.on('pageerror', (e) => complaints.push(e.message));
  page.on('response', (r) => { if (r.url().includes('/resident.worker-')) policies.push(r.headers()['content-security-policy'] ?? ''); });
  if (o.isolated === false) {
    await page.route('**/*', async (route) => {
      if (route.request().resourceType() !== 'document') return route.continue();
      const r = await route.fetch();
      const headers = Object.fromEntries(Object.entries(r.headers()).filter(([k]) => !k.startsWith('cross-origin-')));
      return route.fulfill({ response: r, headers });
    });
  }
  await page.goto(url);
  await page.locator('.nav-item').first().waitFor();
  await page.goto(new URL('/live', url).href);
  await page.locator('.live canvas').waitFor();
  return page;
}

/** figures waits until there are some, and returns them. */
async function figures(page: Page): Promise<Record<string, string>> {
  await page.waitForTimeout(3000); // what is shown covers the last half second, the medians two
  return page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.live-panel .facts > div')].map((d) => [d.querySelector('dt')?.textContent ?? '', d.querySelector('dd')?.textContent ?? ''])));
}

const number = (text: string | undefined): number => parseFloat(text ?? '');

it('flies from shared memory and from messages, and measures both', async () => {
  const page = await open();
  const shared = await figures(page);
  console.log('10,000 agents, shared memory', shared);
  expect(number(shared.Frames)).toBeGreaterThan(0); // 60 on a machine with nothing else to do: scripts/page-bench.sh
  expect(number(shared.Steps)).toBeGreaterThan(0);
  expect(shared.Copied).toBe('nothing');
  await page.getByText('Messages', { exact: true }).click();
  const copies = await figures(page);
  console.log('10,000 agents, messages', copies);
  expect(number(copies.Steps)).toBeGreaterThan(0);
  expect(copies.Copied).not.toBe('nothing');
  await page.getByText('Shared memory', { exact: true }).click();
  await page.getByRole('slider', { name: 'Agents' }).fill('6');
  await page.locator('output', { hasText: '50,000' }).waitFor();
  const many = await figures(page);
  console.log('50,000 agents, shared memory', many);
  expect(number(many.Step)).toBeGreaterThan(0); // 6 ms on a machine with nothing else to do
  await page.context().close();
});

it('pauses, and turns by the keyboard', async () => {
  const page = await open();
  await figures(page);
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.waitForTimeout(500);
  const stage = page.locator('.live canvas');
  const before = await stage.screenshot();
  expect((await stage.screenshot()).equals(before)).toBe(true);
  await stage.focus();
  await page.keyboard.press('ArrowLeft');
  await page.waitForTimeout(300);
  expect((await stage.screenshot()).equals(before)).toBe(false);
  await page.getByRole('button', { name: 'Fly' }).click();
  expect(number((await figures(page)).Steps)).toBeGreaterThan(0);
  await page.context().close();
});

it('waits for who asks for less motion', async () => {
  const page = await open({ still: true });
  await page.getByText('asks for less motion').waitFor();
  expect((await figures(page)).Steps).toBe('–');
  await page.getByRole('button', { name: 'Fly' }).click();
  expect(number((await figures(page)).Steps)).toBeGreaterThan(0);
  await page.context().close();
});

it('works without shared memory, and says so', async () => {
  const page = await open({ isolated: false });
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
  await page.getByText('not cross-origin isolated').waitFor();
  const f = await figures(page);
  console.log('10,000 agents, without isolation', f);
  expect(number(f.Steps)).toBeGreaterThan(0);
  expect(f.Copied).not.toBe('nothing');
  await page.context().close();
});

it.runIf(screens)('takes its pictures', async () => {
  const page = await open();
  mkdirSync(screens, { recursive: true });
  for (const scheme of ['light', 'dark'] as const) {
    for (const [kind, size] of [['wide', { width: 1440, height: 900 }], ['phone', { width: 390, height: 844 }]] as const) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize(size);
      await page.waitForTimeout(2500);
      await page.screenshot({ path: join(screens, `live-${kind}-${scheme}.png`) });
    }
  }
  await page.context().close();
});

it('lets the threads that run modules connect to nothing', () => {
  expect(policies.length).toBeGreaterThan(0);
  for (const p of policies) expect(p).toBe("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'none'");
});

it('complains about nothing', () => expect(complaints).toEqual([]));

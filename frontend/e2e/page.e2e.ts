import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dropFolder } from './drop';
import { Mesh, until, type Node } from './mesh';

const set = join(import.meta.dirname, '../../demo/set');
const screens = process.env.INOS_SCREENS ?? '';
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const views = ['mesh', 'files', 'work/compute.image.thumbnail', 'credits', 'modules', 'modules/arena', 'live', 'node', 'node/settings', 'node/log', 'node/metrics'];

let mesh: Mesh;
let anna: Node, bela: Node, cleo: Node;
let browser: Browser;
let context: BrowserContext;
let page: Page;
const complaints: string[] = [];

async function link(node: Node): Promise<string> {
  return (await node.json<{ url: string }>('ui')).url;
}

function listen(p: Page): void {
  p.on('pageerror', (e) => complaints.push(e.message));
  p.on('console', (m) => { if (m.type() === 'error' && !/Failed to load resource/.test(m.text())) complaints.push(m.text()); });
}

async function open(view: string): Promise<void> {
  await page.evaluate((to) => { history.pushState(null, '', to); dispatchEvent(new PopStateEvent('popstate')); }, `/${view}`);
  await page.waitForFunction(() => !document.querySelector('.waiting'));
}

/** violations are the serious ones that axe finds in what is shown. */
async function violations(): Promise<string[]> {
  await page.evaluate(axe); // evaluated by the debugger, which the page's policy does not bind
  return page.evaluate(async () => {
    const r = await (window as unknown as { axe: { run: (o: unknown) => Promise<{ violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[] }> } }).axe.run({ resultTypes: ['violations'] });
    return r.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html.slice(0, 160)} ${n.failureSummary.slice(0, 160)}`).slice(0, 2).join(' | ')}`);
  });
}

beforeAll(async () => {
  mesh = new Mesh();
  [anna, bela, cleo] = [await mesh.enter('anna'), await mesh.enter('bela'), await mesh.enter('cleo')];
  await mesh.together();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'] });
  context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'light', acceptDownloads: true });
  page = await context.newPage();
  listen(page);
});

afterAll(async () => {
  await browser?.close();
  await mesh?.close();
});

it('lets nobody in without a link, and explains itself to whoever comes with one', async () => {
  const url = await link(anna);
  await page.goto(new URL(url).origin);
  await page.getByRole('heading', { name: 'Sign in to this node' }).waitFor();
  await page.goto(url);
  await page.reload(); // the fragment alone does not load the page anew
  await page.goto('about:blank');
  await page.goto(await link(anna));
  await page.getByRole('heading', { name: 'One computer, made of the machines you have' }).waitFor();
  expect(page.url()).not.toContain('sign-in');
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  const cookies = await context.cookies();
  expect(cookies).toHaveLength(1);
  expect(cookies[0]).toMatchObject({ httpOnly: true, sameSite: 'Strict' });
  if (screens) await shoot('welcome', page, 'wide-light');
  await page.getByRole('button', { name: 'Look around' }).click();
  await page.getByText('all 3 nodes online').first().waitFor();
});

const pictures = readdirSync(set).map((f): [string, Buffer] => [f, readFileSync(join(set, f))]);
const folder: [string, Buffer][] = [
  ...pictures,
  ['notes/read me.txt', Buffer.from('The pictures of the trip.\nGrüße aus 東京 🌲\n')],
  ['notes/stations.csv', Buffer.from('station,height,opened\nNorth pass,2310,1902\n"Lake, upper",1804,1911\nTea hills,922,1938\n')],
  ['notes/<img src=x onerror=alert(1)>.html', Buffer.from('<script>document.title="owned"</script>')],
  ['notes/random.bin', randomBytes(3_000_000)],
];

it('takes a dropped folder, which another node gets byte for byte', async () => {
  await open('files');
  await dropFolder(page, 'trip', folder);
  await page.locator('.tray-item.done').waitFor({ timeout: 90_000 });
  const row = page.getByRole('link', { name: /^trip/ });
  await row.waitFor();
  const objects = (await anna.inos('--json', 'ls')).trim().split('\n').map((l) => JSON.parse(l) as { name: string; link: string; files: number; acks: number });
  const trip = objects.find((o) => o.name === 'trip');
  expect(trip).toMatchObject({ files: folder.length, acks: 3 });
  const out = join(mesh.dir, 'out');
  await bela.inos('get', trip?.link ?? '', out);
  for (const [path, bytes] of folder) {
    const got = readFileSync(join(out, path));
    expect(createHash('sha256').update(got).digest('hex'), path).toBe(createHash('sha256').update(bytes).digest('hex'));
  }
  await page.locator('.tray').waitFor({ state: 'detached' }); // what was kept leaves by itself
});

it('resumes an upload after the connection was lost', async () => {
  await open('files');
  let cut = 0;
  await page.route('**/v1/uploads/*?offset=*', async (route) => (cut++ === 1 ? route.abort('connectionreset') : route.continue()));
  const bytes = randomBytes(20_000_000);
  const file = join(mesh.dir, 'large.bin');
  writeFileSync(file, bytes);
  await page.locator('input[type=file][multiple]').setInputFiles(file);
  await page.locator('.tray-item.done').waitFor({ timeout: 90_000 });
  await page.unroute('**/v1/uploads/*?offset=*');
  expect(cut).toBeGreaterThan(3);
  const objects = (await anna.inos('--json', 'ls')).trim().split('\n').map((l) => JSON.parse(l) as { name: string; link: string });
  await bela.inos('get', objects.find((o) => o.name === 'large.bin')?.link ?? '', join(mesh.dir, 'large.out'));
  expect(readFileSync(join(mesh.dir, 'large.out')).equals(bytes)).toBe(true);
  await page.locator('.tray').waitFor({ state: 'detached' });
});

it('tells of several uploads in one notice, which waits for its reader and for what failed', async () => {
  await open('files');
  await page.route('**/v1/uploads', async (route) => ((route.request().postData() ?? '').includes('bad.txt') ? route.fulfill({ status: 507, json: { kind: 'exhausted', detail: 'no room left', status: 507 } }) : route.continue()));
  const names = ['one.txt', 'two.txt', 'bad.txt'].map((n) => join(mesh.dir, n));
  for (const f of names) writeFileSync(f, f);
  await page.locator('input[type=file][multiple]').setInputFiles(names);
  await page.getByText('1 of 3 uploads failed').waitFor();
  const tray = page.locator('.tray');
  expect(await tray.locator('.tray-item').count()).toBe(2); // the sum, and what failed
  await page.getByRole('button', { name: 'Show all' }).click();
  expect(await tray.locator('.tray-item.done').count()).toBe(2);
  expect(await violations()).toEqual([]);
  if (screens) await shoot('uploads', page, 'wide-light');
  await page.waitForTimeout(8000);
  expect(await tray.locator('.tray-item.done').count()).toBe(2); // under the pointer nothing leaves
  await page.mouse.move(5, 5);
  await tray.locator('.tray-item.done').first().waitFor({ state: 'detached' });
  await page.waitForTimeout(7000);
  await tray.getByText('no room left').waitFor();
  await page.unroute('**/v1/uploads');
  await page.getByRole('button', { name: 'Resume' }).click();
  await page.locator('.tray-item.done').waitFor();
  await page.mouse.move(5, 5);
  await tray.waitFor({ state: 'detached' });
  expect(await page.getByRole('status').filter({ hasText: 'bad.txt is kept' }).count()).toBe(1); // for who cannot see it
});

it('previews without running anything, and downloads what was stored', async () => {
  await open('files');
  await page.getByRole('link', { name: /^trip/ }).click();
  await page.getByRole('link', { name: /tea-hills/ }).click();
  await until('the picture', () => page.locator('.preview.picture img').evaluate((i: HTMLImageElement) => i.complete && i.naturalWidth > 0));
  const [saved] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()]);
  expect(saved.suggestedFilename()).toBe('tea-hills.jpg');
  expect(readFileSync(await saved.path()).equals(readFileSync(join(set, 'tea-hills.jpg')))).toBe(true);
  await page.getByRole('link', { name: 'trip' }).click();
  await page.getByRole('link', { name: /^notes/ }).click();
  await page.getByRole('link', { name: /onerror/ }).click();
  await page.locator('.preview.text').waitFor();
  expect(await page.locator('.preview.text').textContent()).toContain('<script>');
  expect(await page.title()).not.toBe('owned');
  await page.getByRole('link', { name: 'notes' }).click();
  await page.getByRole('link', { name: /stations/ }).click();
  expect(await page.locator('.preview.table td').first().textContent()).toBe('North pass');
});

it('brings back what was removed when asked at once', async () => {
  await open('files');
  await page.getByRole('button', { name: 'Remove large.bin' }).click();
  await page.getByRole('link', { name: /large.bin/ }).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Undo' }).click();
  await page.getByRole('link', { name: /large.bin/ }).waitFor();
  await page.getByRole('button', { name: 'Remove large.bin' }).click();
  await until('the removal', async () => !(await anna.inos('--json', 'ls')).includes('large.bin'), 30);
});

it('runs a method from its form, with the price first', async () => {
  await open('work/compute.image.thumbnail');
  await page.getByText('Choose inputs to see the price').waitFor();
  await page.getByRole('button', { name: 'Choose from Files' }).click();
  await page.getByRole('button', { name: 'Open trip' }).click();
  for (const name of ['alpine-dawn.jpg', 'red-canyon.png', 'tea-hills.jpg']) await page.getByRole('checkbox', { name: new RegExp(name) }).check();
  await page.getByRole('button', { name: 'Use 3' }).click();
  await page.getByLabel('width').fill('0');
  await page.getByText('width is at least 1').waitFor();
  await page.getByLabel('width').fill('120');
  await page.getByText(/for 3 jobs/).waitFor();
  await page.getByRole('button', { name: 'Run 3 jobs' }).click();
  await page.locator('.run .badge.good', { hasText: 'finished' }).waitFor({ timeout: 90_000 });
  const jobs = (await anna.inos('--json', 'jobs')).trim().split('\n').map((l) => JSON.parse(l) as { state: string; spec: { params: { width?: number } } });
  expect(jobs.filter((j) => j.state === 'done' && j.spec.params.width === 120)).toHaveLength(3);
  await until('the thumbnails', () => page.locator('.run .thumb img').evaluateAll((all) => all.length === 3 && all.every((i) => (i as HTMLImageElement).naturalWidth === 120)));
  await page.locator('.run .jobs button').first().click();
  await page.getByRole('dialog').locator('.preview img').waitFor();
  await page.keyboard.press('Escape');
});

it('shows the arena as it moves', async () => {
  await open('modules/arena');
  const jobs = page.locator('.epochs li', { hasText: 'jobs' });
  const value = async (): Promise<number> => Number((await jobs.locator('strong').textContent() ?? '').replaceAll(',', ''));
  const before = await value();
  await page.getByRole('button', { name: /^heap, / }).click();
  await page.getByText(/^heap: .*written by/).waitFor();
  await anna.inos('run', 'diagnostics/echo.noop');
  await until('the counter of jobs to move', async () => (await value()) > before);
  await page.getByRole('cell', { name: 'node/work' }).waitFor();
  expect(await page.locator('.arena-strip button').count()).toBeGreaterThan(10);
});

it('starts a resident module, watches it and stops it', async () => {
  await open('modules');
  await page.getByRole('link', { name: /^boids/ }).click();
  const panel = page.getByRole('region', { name: 'In shared memory' });
  await panel.getByLabel('agents').fill('2000');
  await panel.getByRole('button', { name: 'Start' }).click();
  await panel.locator('.badge', { hasText: 'running' }).waitFor();
  await panel.getByText(/^[\d,]+, \d+ a second$/).waitFor();
  const ps = async (): Promise<{ name: string; state: string; steps: number }[]> => (await anna.json<{ name: string; state: string; steps: number }[]>('module', 'ps'));
  const before = (await ps())[0]?.steps ?? 0;
  await until('the flock to step', async () => { const r = (await ps())[0]; return r?.state === 'running' && r.steps > before; });
  await panel.getByRole('button', { name: 'Stop' }).click();
  await panel.locator('.badge', { hasText: 'stopped' }).waitFor();
  await panel.getByRole('button', { name: 'Start' }).waitFor();
  expect((await ps())[0]?.state).toBe('stopped');
});

it('shows an invite that works, with its code', async () => {
  await open('mesh');
  await page.getByRole('button', { name: 'Invite' }).click();
  await page.getByRole('button', { name: 'Make the invite' }).click();
  await page.getByRole('img', { name: 'The invite as a QR code' }).waitFor();
  expect(await page.locator('.secret').textContent()).toMatch(/^inos join \S{40,}/);
  await page.getByText('Only this machine can use it').waitFor(); // these nodes listen on loopback
  const [side, modules] = await page.locator('.qr').evaluate((q) => [q.getBoundingClientRect().width, Number(q.getAttribute('viewBox')?.split(' ')[2])]);
  expect((side ?? 0) / (modules ?? 1)).toBeGreaterThanOrEqual(4); // pixels a module
  expect(await violations()).toEqual([]);
  if (screens) await shoot('invite', page, 'wide-light');
  await page.keyboard.press('Escape');
});

it('adds the causes up to the balance, with a row for what jobs were paid', async () => {
  await open('credits');
  const row = page.locator('.by-cause tbody tr', { hasText: 'paid for work' });
  await row.waitFor();
  const micro = (text: string | null): number => Math.round(Number((text ?? '').replaceAll(/[+,]/g, '').replace('–', '0')) * 1e6);
  await until('the causes to add up', async () => {
    const report = await page.evaluate(async () => (await (await fetch('/v1/credits?limit=1', { headers: { 'Inos-Page': localStorage.getItem('inos.key') ?? '' } })).json()) as { balance: number });
    const rows = await page.locator('.by-cause tbody td:last-child').allTextContents();
    return micro(await page.locator('.by-cause tfoot .num').textContent()) === report.balance && rows.reduce((a, r) => a + micro(r), 0) === report.balance;
  });
  const paid = (await anna.inos('--json', 'jobs')).trim().split('\n').map((l) => JSON.parse(l) as { price: number }).reduce((a, j) => a + j.price, 0);
  expect(paid).toBeGreaterThan(0);
  expect(micro(await row.locator('td').last().textContent())).toBe(-paid);
});

it('shows metrics by subsystem, and the log by level', async () => {
  await open('node/metrics');
  const stored = page.locator('.metric-group', { hasText: 'Storage' }).locator('dl > div', { hasText: 'Kept' });
  expect(await stored.locator('dd').textContent()).toMatch(/^[\d.]+ MiB$/);
  expect(await page.locator('.metric-group[aria-label="Other"]').count()).toBe(0); // each metric has a name and a place
  await page.getByRole('searchbox', { name: 'Filter the metrics' }).fill('inos_gas');
  expect(await page.locator('.metric-group dt').allTextContents()).toEqual(['Gas used here']);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'Copy the raw text' }).click();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain('# TYPE inos_gas_total counter');
  await open('node/log');
  const lines = page.locator('.log .line');
  await lines.first().waitFor();
  const times = await lines.locator('time').evaluateAll((all) => all.map((t) => Date.parse((t as HTMLTimeElement).dateTime)));
  expect(times).toEqual([...times].sort((a, b) => b - a));
  await page.getByRole('searchbox', { name: 'Filter the log' }).fill('job:run:v1:done');
  await page.locator('.log-fields', { hasText: 'method' }).first().waitFor();
  expect(await lines.count()).toBeLessThan(times.length);
  await page.getByRole('button', { name: 'Errors' }).click();
  await page.getByText('Nothing matches').waitFor();
  await page.getByRole('button', { name: 'Show everything' }).click();
  await lines.first().waitFor();
});

it('has no serious accessibility problem in any view, light or dark, wide or narrow', async () => {
  for (const scheme of ['light', 'dark'] as const) {
    for (const size of [{ width: 1440, height: 900 }, { width: 390, height: 844 }]) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize(size);
      for (const view of [...views, 'files/none', 'work']) {
        await open(view);
        const found = await violations();
        expect(found, `${view}, ${scheme}, ${size.width}`).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), `${view} is wider than ${size.width}`).toBeLessThanOrEqual(0);
      }
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1440, height: 900 });
});

async function shoot(name: string, p: Page, suffix: string): Promise<void> {
  mkdirSync(screens, { recursive: true });
  await p.screenshot({ path: join(screens, `${name}-${suffix}.png`) });
}

it.runIf(screens)('takes its picture in every view', async () => {
  const trip = await page.evaluate(async () => {
    const r = await fetch('/v1/objects', { headers: { 'Inos-Page': localStorage.getItem('inos.key') ?? '' } });
    const list = (await r.json()) as { objects: { name: string; link: string }[] };
    return list.objects.find((o) => o.name === 'trip')?.link.replace(/^inos:/, '').split('#')[0] ?? '';
  });
  const all = [...views.filter((v) => v !== 'node/settings' && v !== 'live'), `files/${trip}`, `files/${trip}?path=moonrise.jpg`];
  for (const scheme of ['light', 'dark'] as const) {
    for (const [kind, size] of [['wide', { width: 1440, height: 900 }], ['phone', { width: 390, height: 844 }]] as const) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize(size);
      for (const view of all) {
        await open(view);
        if (view === 'mesh') await page.getByLabel('Copies of').selectOption({ label: 'trip' });
        await page.waitForTimeout(view === 'mesh' ? 2500 : 700); // animations end; nothing is asserted
        await shoot(view.includes('path') ? 'preview' : view.startsWith(`files/`) ? 'folder' : view.replace(/\/.*thumbnail/, '').replaceAll('/', '-'), page, `${kind}-${scheme}`);
      }
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1440, height: 900 });
}, 300_000);

it('shows a node that is killed, and where its copies went', async () => {
  await open('mesh');
  await page.getByLabel('Copies of').selectOption({ label: 'trip' });
  await page.getByText('3 of 3 copies alive').waitFor();
  await cleo.end('SIGKILL');
  await page.locator('.node-label.offline', { hasText: 'cleo' }).waitFor();
  await page.getByText(/2 of 3 copies alive/).waitFor();
  await page.getByText('2 of 3 nodes online').first().waitFor();
  await page.locator('.node-list button', { hasText: 'cleo' }).click();
  await page.getByText(/^[\d.]+ MiB kept, .* free, last seen /).waitFor();
  if (screens) await shoot('killed', page, 'wide-light');
  await page.getByRole('button', { name: 'Back to the whole mesh' }).click();
  const dora = await mesh.enter('dora');
  await page.getByText('3 of 3 copies alive').waitFor({ timeout: 90_000 });
  expect(dora.name).toBe('dora');
});

it('forgets a browser that signs out', async () => {
  const [cookie] = await context.cookies();
  const key = await page.evaluate(() => localStorage.getItem('inos.key') ?? '');
  const origin = new URL(page.url()).origin;
  const ask = (): Promise<number> => fetch(`${origin}/v1/status`, { headers: { Cookie: `${cookie?.name}=${cookie?.value}`, 'Inos-Page': key } }).then((r) => r.status);
  expect(await ask()).toBe(200);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in to this node' }).waitFor();
  expect(await ask()).toBe(401);
  expect(await context.cookies()).toEqual([]);
});

it('made no complaint in the console', () => {
  expect(complaints).toEqual([]);
});

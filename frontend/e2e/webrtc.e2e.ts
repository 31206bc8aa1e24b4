// Two tabs exchange blocks with each other while no native node has them: over WebRTC, the native node only passing
// their handshake on. WebRTC finds no addresses on loopback alone, so scripts/webrtc-test.sh runs this in a network namespace.
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Mesh, until, type Node } from './mesh';

const here = process.env.INOS_NETNS === '1';

let mesh: Mesh;
let anna: Node, bela: Node, cleo: Node;
let browser: Browser;

/** member is a tab in a profile of its own that joined the mesh. */
async function member(name: string): Promise<Page> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const invite = await anna.json<{ text: string }>('invite', '--roles', 'edge', '--name', name);
  const origin = new URL((await anna.json<{ url: string }>('ui')).url).origin;
  await page.goto(`${origin}/#join=${encodeURIComponent(invite.text)}`);
  await page.getByRole('button', { name: 'Join' }).click();
  await until(`${name} to be a member`, () => page.evaluate(() => window.inos!.tab.state.phase === 'running'));
  return page;
}

/** got is the SHA-256 of what a tab fetches by a link. */
const got = (p: Page, link: string): Promise<string> => p.evaluate(async (l) => {
  const parts: BlobPart[] = [];
  await window.inos!.tab.get(l, {}, (b) => { parts.push(b.slice()); });
  const sum = await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer());
  return [...new Uint8Array(sum)].map((b) => b.toString(16).padStart(2, '0')).join('');
}, link);

beforeAll(async () => {
  if (!here) return;
  mesh = new Mesh();
  [anna, bela, cleo] = [await mesh.enter('anna'), await mesh.enter('bela'), await mesh.enter('cleo')];
  await mesh.together();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
});

afterAll(async () => {
  await browser?.close();
  await mesh?.close();
});

/** away puts bytes that anna, which stays, keeps no block of. */
async function away(size: number): Promise<{ bytes: Buffer; link: string }> {
  const file = join(mesh.dir, 'away.bin');
  for (let tries = 0; tries < 100; tries++) {
    const bytes = randomBytes(size);
    writeFileSync(file, bytes);
    const { link } = await bela.json<{ link: string }>('put', file, '--copies', '1');
    const { holders } = await bela.json<{ holders: { name: string; blocks: number }[] }>('ls', link, '--where');
    if ((holders.find((h) => h.name === 'anna')?.blocks ?? 0) === 0) return { bytes, link };
    await bela.inos('rm', link);
  }
  throw new Error('every placement used anna');
}

it.runIf(here)('exchanges blocks between two tabs over WebRTC', async () => {
  const { bytes, link } = await away(1_500_000), want = createHash('sha256').update(bytes).digest('hex');
  const one = await member('one'), two = await member('two');
  expect(await got(one, link)).toBe(want);
  await bela.end('SIGKILL');
  await cleo.end('SIGKILL');
  let why = '';
  const fetched = until('the other tab to fetch it', () => got(two, link).catch((e: unknown) => { why = String(e); throw e; }), 150).catch(async (e: unknown) => {
    const peers = await two.evaluate(() => window.inos!.tab.peers());
    throw new Error(`${String(e)}: ${why}; ${JSON.stringify(peers.map((p) => [p.name, p.online, p.transport, p.addrs]))}`);
  });
  expect(await fetched).toBe(want);
  const peer = (await two.evaluate(() => window.inos!.tab.peers())).find((p) => p.name === 'one');
  expect(peer?.online).toBe(true);
  expect(peer?.transport).toBe('webrtc');
  expect(peer?.bytes_in).toBeGreaterThanOrEqual(bytes.length);
}, 240_000); // a relay that was killed counts as connected until QUIC's idle timeout

// Real nodes for the tests: the inos binary, a data folder each, loopback only.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const exe = process.env.INOS_EXE ?? '';
if (!exe) throw new Error('INOS_EXE names the inos binary; run scripts/frontend-test.sh');

/** until waits for a condition, with a deadline. */
export async function until<T>(what: string, ask: () => Promise<T | false | undefined>, seconds = 60): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const v = await ask().catch(() => undefined);
    if (v) return v;
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}`);
    await new Promise((ok) => setTimeout(ok, 50));
  }
}

export class Node {
  process: ChildProcess | undefined;
  errors = '';
  constructor(readonly name: string, readonly dir: string) {}

  async inos(...args: string[]): Promise<string> {
    const { stdout } = await run(exe, ['--dir', this.dir, ...args], { maxBuffer: 64 << 20 });
    return stdout;
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.inos('--json', ...args)) as T;
  }

  async start(): Promise<void> {
    this.process = spawn(exe, ['up', '--dir', this.dir, '--name', this.name, '--ui-listen', '127.0.0.1:0', '--workers', '1'], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.process.stderr?.on('data', (b: Buffer) => { this.errors = (this.errors + b.toString()).slice(-4000); });
    await until(`${this.name} to serve: ${this.errors}`, async () => (await this.json<{ ready: boolean }>('status')).ready);
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const p = this.process;
    if (!p || p.exitCode !== null || p.signalCode !== null) return;
    const gone = new Promise((ok) => p.once('exit', ok));
    p.kill(signal);
    await gone;
  }
}

/** Mesh is nodes that know each other; the first founded it. */
export class Mesh {
  readonly dir = mkdtempSync(join(tmpdir(), 'inos-e2e-'));
  readonly nodes: Node[] = [];

  async enter(name: string): Promise<Node> {
    const node = new Node(name, join(this.dir, name));
    const seed = this.nodes[0];
    if (seed) {
      const invite = await seed.json<{ text: string }>('invite', '--name', name);
      await node.inos('join', '--start=false', invite.text);
    }
    await node.start();
    this.nodes.push(node);
    return node;
  }

  async together(): Promise<void> {
    for (const n of this.nodes) {
      await until(`${n.name} to see the others`, async () => {
        const peers = await n.json<{ online: boolean; self: boolean; workers: number }[]>('peers');
        return peers.filter((p) => (p.online || p.self) && p.workers > 0).length === this.nodes.length;
      });
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((n) => n.end('SIGTERM')));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

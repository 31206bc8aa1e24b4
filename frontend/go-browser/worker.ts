// The worker that runs a Go program for exec.mjs. What the kernel worker of a tab
// has, it has too, so a test in here meets the same world.
import { KernelMemory } from '../src/bridge/kernelmemory.ts';
import { KernelPort } from '../src/bridge/kernelport.ts';
import { ARENA_BYTES } from '../src/bridge/memory.ts';
import { MAX_MESSAGE, PORT_RING, openPort, pairCopies, pairRings, transfers, type PortEnd } from '../src/bridge/port.ts';
import { ModuleWorkers } from '../src/tab/modules.ts';
import { install as installStore } from '../src/tab/store/files.ts';
import type { NetBoot } from '../src/tab/net/net.worker.ts';
import { Files } from './files.ts';

/** What the program is started with. */
interface Boot {
  argv: string[];
  env: Record<string, string>;
  cwd: string;
}

/** What the worker tells its parent: output, a quota wanted, a port that wants WebRTC, or the exit code as the last. */
type Said = { fd: number; out: string } | { quota: number } | { rtc: MessagePort } | { exit: number };

/** What the parent tells the worker: how to begin, and that the quota is set. */
type Heard = Boot | { quota: number };

interface GoProgram {
  argv: string[];
  env: Record<string, string>;
  exit: (code: number) => void;
  importObject: WebAssembly.Imports;
  run(instance: WebAssembly.Instance): Promise<void>;
}

declare const self: {
  onmessage: ((e: MessageEvent<Heard>) => void) | null;
  postMessage(message: Said, transfer?: Transferable[]): void;
  importScripts(url: string): void;
  close(): void;
  Go: new () => GoProgram;
} & Record<string, unknown>;

/**
 * Child is a second copy of the program in a worker of its own, for tests that
 * kill one. Go calls it as goBrowser.spawn(env, onText, onExit).
 */
function spawn(boot: Boot, env: Record<string, string>, text: (s: string) => void, exit: (code: number) => void) {
  const w = new Worker('/worker.js');
  w.onmessage = ({ data }: MessageEvent<Said>) => {
    if ('out' in data) text(data.out);
    else if ('exit' in data) exit(data.exit);
  };
  w.onerror = () => exit(2);
  w.postMessage({ ...boot, env: { ...boot.env, ...env } });
  return { kill: () => w.terminate() };
}

/** echo is a port whose other end sends every message back; its first byte 255 makes that end close instead. */
function echo([mine, other]: [PortEnd, PortEnd]): KernelPort {
  const p = openPort(other);
  const queue: Uint8Array[] = [];
  let waiting = false;
  const flush = (): void => {
    for (let m = queue[0]; m; m = queue[0]) {
      if (!p.send(m)) {
        if (!waiting) { waiting = true; p.writable().then(() => { waiting = false; flush(); }, () => undefined); }
        return;
      }
      queue.shift();
    }
  };
  p.onmessage = (m) => {
    if (m[0] === 255) { p.close(); return; }
    queue.push(m.slice());
    flush();
  };
  return new KernelPort(openPort(mine));
}

/** net starts a network worker, as a tab does, and returns the kernel's end of its port. */
function net([mine, other]: [PortEnd, PortEnd]): KernelPort {
  const rtc = new MessageChannel(), w = new Worker('/net.js');
  self.postMessage({ rtc: rtc.port1 }, [rtc.port1]);
  const boot: NetBoot = { port: other, rtc: rtc.port2 };
  w.postMessage(boot, [rtc.port2, ...transfers(other)]);
  return new KernelPort(openPort(mine));
}

/** rings are two rings in a memory of their own. */
function rings(): [PortEnd, PortEnd] {
  const at = (n: number) => ({ control: n * 512, data: 4096 + n * PORT_RING, capacity: PORT_RING, maxMessage: MAX_MESSAGE });
  return pairRings(new SharedArrayBuffer(4096 + 2 * PORT_RING), at(0), at(1));
}

/** host is what the page gives a kernel: the arena, and ports to test with. */
function host() {
  const arena = new WebAssembly.Memory({ initial: ARENA_BYTES >>> 16, maximum: ARENA_BYTES >>> 16, shared: true });
  const memory = arena.buffer as unknown as SharedArrayBuffer;
  const at = 16 << 20; // in the heap, which these tests leave alone
  const ring = (n: number) => ({ control: at + n * 512, data: at + 4096 + n * PORT_RING, capacity: PORT_RING, maxMessage: MAX_MESSAGE });
  const modules = new ModuleWorkers(() => new Worker('/module.worker.js'), { memory: arena, make: () => new Worker('/resident.worker.js') });
  return { modules, memory: new KernelMemory(memory), ports: { rings: echo(pairRings(memory, ring(0), ring(1))), copies: echo(pairCopies()), get net() { return net(rings()); }, get net2() { return net(pairCopies()); } } };
}

let quotaSet: (() => void) | undefined;

/**
 * quota tells the browser how many bytes this origin may keep, or with -1 to choose
 * itself again. Go calls it as goBrowser.quota; the first worker alone may.
 */
function quota(bytes: number): Promise<void> {
  return new Promise((ok) => {
    quotaSet = ok;
    self.postMessage({ quota: bytes });
  });
}

async function run(boot: Boot): Promise<void> {
  const decoders = [new TextDecoder(), new TextDecoder(), new TextDecoder()];
  const files = new Files(boot.cwd, (fd, bytes) => {
    self.postMessage({ fd, out: decoders[fd]?.decode(bytes, { stream: true }) ?? '' });
  });
  self.fs = files;
  self.path = { resolve: (...parts: string[]) => files.resolve(parts.join('/')) };
  self.process = {
    pid: 1, ppid: 0, getuid: () => 0, getgid: () => 0, geteuid: () => 0, getegid: () => 0, getgroups: () => [0],
    umask: () => 0o022, cwd: () => files.cwd, chdir: (to: string) => { files.cwd = files.resolve(to); },
  };
  self.goBrowser = {
    spawn: (env: Record<string, string>, text: (s: string) => void, exit: (code: number) => void) => spawn(boot, env, text, exit),
    quota,
  };
  self.inosHost = host();
  installStore();
  self.importScripts('/wasm_exec.js');
  const go = new self.Go();
  go.argv = boot.argv;
  go.env = { TMPDIR: '/tmp', ...boot.env };
  let code = 0;
  go.exit = (c) => { code = c; };
  const { instance } = await WebAssembly.instantiateStreaming(fetch('/program.wasm'), go.importObject);
  await go.run(instance);
  self.postMessage({ exit: code });
  self.close(); // timers of the program may be left
}

self.onmessage = ({ data }) => {
  if ('quota' in data) {
    quotaSet?.();
    return;
  }
  run(data).catch((e: unknown) => {
    self.postMessage({ fd: 2, out: `${e instanceof Error ? e.stack : String(e)}\n` });
    self.postMessage({ exit: 2 });
  });
};

// WASI preview 1, the deterministic subset that host/wasm/wasi.go serves: no arguments, no environment, no files, a
// clock that starts at the job's submit time, randomness from the job's seed. A function that is not here returns ENOSYS.
//
// Source: WASI snapshot preview 1, witx/wasi_snapshot_preview1.witx.
import { blake3 } from '@noble/hashes/blake3.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import type { Instance } from './instance.ts';
import { Stop } from './stop.ts';

const OK = 0, BADF = 8, FAULT = 21, INVAL = 28, NOSYS = 52, SPIPE = 70;
const INFO = 1; // the level of what a guest writes to its standard descriptors

type Args = (number | bigint)[];
type Serve = (guest: Instance, a: Args) => number;

const u32 = (v: number | bigint | undefined): number => Number(BigInt.asUintN(32, BigInt(v ?? 0)));
const errno = (ok: boolean): number => (ok ? OK : FAULT);

function put32(g: Instance, at: number | bigint | undefined, v: number): boolean {
  const b = g.view(u32(at), 4);
  if (b) new DataView(b.buffer, b.byteOffset, 4).setUint32(0, v, true);
  return b !== undefined;
}

function put64(g: Instance, at: number | bigint | undefined, v: bigint): boolean {
  const b = g.view(u32(at), 8);
  if (b) new DataView(b.buffer, b.byteOffset, 8).setBigUint64(0, BigInt.asUintN(64, v), true);
  return b !== undefined;
}

/** stdio refuses descriptors other than 0, 1 and 2. */
const stdio = (f: Serve): Serve => (g, a) => (u32(a[0]) >= 3 ? BADF : f(g, a));
const zeroSizes: Serve = (g, a) => errno(put32(g, a[0], 0) && put32(g, a[1], 0));

const functions: Record<string, Serve> = {
  args_get: () => OK,
  args_sizes_get: zeroSizes,
  environ_get: () => OK,
  environ_sizes_get: zeroSizes,
  clock_res_get: (g, a) => (u32(a[0]) > 3 ? INVAL : errno(put64(g, a[1], 1000n * BigInt(g.rules.clockStepUS)))),
  clock_time_get: (g, a) => {
    if (u32(a[0]) > 3) return INVAL;
    g.run.clockUS += BigInt(g.rules.clockStepUS);
    return errno(put64(g, a[2], g.run.clockUS * 1000n + g.run.submittedMS * 1_000_000n));
  },
  fd_close: stdio(() => OK),
  fd_fdstat_get: stdio((g, a) => {
    const b = g.view(u32(a[1]), 24);
    b?.fill(0);
    if (b) [b[0], b[8]] = [2, 1 << 6]; // a character device, which may be written
    return errno(b !== undefined);
  }),
  fd_fdstat_set_flags: stdio(() => OK),
  fd_read: stdio((g, a) => errno(put32(g, a[3], 0))), // end of file
  fd_seek: stdio(() => SPIPE),
  fd_write: stdio(fdWrite),
  fd_prestat_get: () => BADF,
  fd_prestat_dir_name: () => BADF,
  poll_oneoff: pollOneoff,
  random_get: randomGet,
  sched_yield: () => OK,
  proc_exit: () => { throw new Stop('Exited'); },
};

/** fdWrite turns what is written to the standard descriptors into log lines. */
function fdWrite(g: Instance, a: Args): number {
  const n = u32(a[2]);
  if (n > g.rules.maxIOVecs) return INVAL;
  const vecs = g.view(u32(a[1]), 8 * n);
  if (!vecs) return FAULT;
  g.run.charge(n * g.rules.vecGas);
  const list = new DataView(vecs.buffer, vecs.byteOffset, 8 * n);
  let total = 0;
  for (let at = 0; at < 8 * n; at += 8) {
    const b = g.view(list.getUint32(at, true), list.getUint32(at + 4, true));
    if (!b) return FAULT;
    total += b.length;
    if (b.length > 0) g.emit(INFO, b);
  }
  return errno(put32(g, a[3], total));
}

/** pollOneoff answers every clock at once, after moving the clock to the latest of them; the others are ready. */
function pollOneoff(g: Instance, a: Args): number {
  const subSize = 48, eventSize = 32, n = u32(a[2]);
  if (n === 0 || n > g.rules.maxSubs) return INVAL;
  const s = g.view(u32(a[0]), n * subSize), e = g.view(u32(a[1]), n * eventSize);
  if (!s || !e) return FAULT;
  g.run.charge(n * g.rules.subGas);
  const subs = new DataView(s.buffer, s.byteOffset, s.length), events = new DataView(e.buffer, e.byteOffset, e.length);
  for (let i = 0; i < n; i++) {
    const from = i * subSize, to = i * eventSize;
    const user = subs.getBigUint64(from, true), tag = subs.getUint8(from + 8);
    if (tag === 0 && (subs.getUint16(from + 40, true) & 1) === 0) {
      const wait = subs.getBigUint64(from + 24, true) / 1000n, most = 1n << 40n;
      g.run.clockUS += wait < most ? wait : most; // relative timeouts only move the clock
    }
    e.fill(0, to, to + eventSize);
    events.setBigUint64(to, user, true);
    events.setUint8(to + 10, tag);
  }
  return errno(put32(g, a[3], n));
}

function randomGet(g: Instance, a: Args): number {
  const n = u32(a[1]);
  if (n > g.rules.maxRandom) return INVAL;
  const b = g.view(u32(a[0]), n);
  if (!b) return FAULT;
  g.run.charge(n * g.rules.randomGas);
  g.run.random ??= blake3.create({ context: utf8ToBytes(g.rules.randomContext) }).update(g.run.seed);
  g.run.random.xofInto(b);
  return OK;
}

/** linkWASI makes the import with a name and type (kernel/module/meter's letters). */
export function linkWASI(g: Instance, name: string, type: string): (...args: Args) => number | bigint | undefined {
  const f: Serve = Object.hasOwn(functions, name) ? functions[name]! : () => NOSYS;
  const result = type.slice(type.indexOf(':') + 1);
  return (...args) => {
    g.run.charge(g.rules.wasiGas);
    const code = f(g, args);
    return result === '' ? undefined : result === 'I' ? BigInt(code) : code;
  };
}

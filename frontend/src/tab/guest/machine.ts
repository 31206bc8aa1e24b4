// What a module worker does: it holds compiled modules and their instances, and serves the kernel one call at a time.
// The kernel decides everything; see host/webwasm for the other side.
import type { Port } from '../../bridge/port.ts';
import type { WatchedWord } from '../../bridge/stopword.ts';
import { Image } from './image.ts';
import { Instance, type Host, type Span } from './instance.ts';
import { ABANDON, DONE, FILL, GIVE, VIEW, type Call, type FromWorker, type Info, type Rules, type ToWorker, type Used } from './messages.ts';
import { Stop, reasonOf } from './stop.ts';

/** WARM is the most bytes of memory that are put back in place between calls; a larger memory is made anew, which touches less. */
const WARM = 2 << 20;

/** A module as this worker has it. */
interface Loaded {
  module: WebAssembly.Module;
  info: Info;
  fresh: Image | undefined; // of an instance that has not run
  image: Image | undefined; // of one that has begun; undefined when sticky
  idle: Instance | undefined;
}

/** Send posts a message to the kernel. */
export type Send = (m: FromWorker, transfer?: Transferable[]) => void;

/** Machine is one module worker. */
export class Machine implements Host {
  rules!: Rules; // the first message brings them
  private readonly modules = new Map<string, Loaded>(); // the kernel keeps at most 256
  private busy: { loaded: Loaded; guest: Instance } | undefined;

  /** port brings the answers to system calls, where the thread may stop for them; stop is set by who wants a guest to end. */
  constructor(private readonly send: Send, private readonly port: Port | undefined, private readonly stop: WatchedWord) {}

  /** serve handles one message. */
  serve(m: ToWorker): void {
    switch (m.t) {
      case 'rules': this.rules = JSON.parse(m.rules) as Rules; break;
      case 'compile': this.compile(m.id, m.original, m.metered); break;
      case 'load': this.load(m.id, m.hash, m.module, JSON.parse(m.info) as Info); break;
      case 'drop': this.modules.delete(m.hash); break;
      case 'call': this.call(m); break;
      case 'read': {
        const bytes = this.busy?.guest.view(m.pointer, m.length)?.slice() ?? null;
        this.send({ t: 'bytes', id: m.id, bytes }, bytes ? [bytes.buffer] : []);
        break;
      }
      case 'end': this.end(m.reuse); break;
    }
  }

  /** compile has the original type-checked before anything that was added to it could be mistaken for part of it. */
  private compile(id: number, original: Uint8Array<ArrayBuffer>, metered: Uint8Array<ArrayBuffer>): void {
    try {
      if (!WebAssembly.validate(original)) new WebAssembly.Module(original); // throws, and says why
      this.send({ t: 'compiled', id, module: new WebAssembly.Module(metered) });
    } catch (e) {
      const text = e instanceof Error ? e.message.replace(/^WebAssembly\.\w+\(\): /, '') : String(e);
      this.send({ t: 'failed', id, start: true, code: 'invalid', text, frames: [], ...none });
    }
  }

  private load(id: number, hash: string, module: WebAssembly.Module, info: Info): void {
    const loaded: Loaded = { module, info, fresh: undefined, image: undefined, idle: undefined };
    try {
      const guest = new Instance(module, info, this);
      if (!info.sticky) loaded.fresh = guest.image(undefined);
      const abi = guest.begin();
      if (!info.sticky) loaded.image = guest.image(loaded.fresh);
      loaded.idle = guest;
      this.modules.set(hash, loaded);
      this.send({ t: 'loaded', id, abi });
    } catch (e) {
      this.fail(id, true, e, info);
    }
  }

  private fail(id: number, start: boolean, e: unknown, info: Info, used: Used = none): void {
    const why = reasonOf(e, info.firstFunction);
    this.send({ t: 'failed', id, start, code: why.code, text: why.text, frames: why.frames, ...used });
  }

  /** take returns an instance that is ready for a call. */
  private take(loaded: Loaded): Instance {
    const idle = loaded.idle;
    loaded.idle = undefined;
    if (idle) return idle;
    const guest = new Instance(loaded.module, loaded.info, this);
    if (!loaded.image || !guest.restore(loaded.image, false)) guest.begin();
    return guest;
  }

  private call(c: Call): void {
    const loaded = this.modules.get(c.hash);
    if (!loaded) throw new Error('the kernel calls a module that this worker does not have');
    let guest: Instance;
    try {
      guest = this.take(loaded);
    } catch (e) {
      this.fail(c.id, true, e, loaded.info);
      return;
    }
    this.busy = { loaded, guest };
    const began = performance.now();
    let at: Span;
    try {
      at = guest.call(c);
    } catch (e) {
      this.fail(c.id, false, e, loaded.info, used(guest, began));
      return;
    }
    const response = (at.length <= this.rules.maxResponse && guest.view(at.pointer, at.length)?.slice()) || null;
    this.send({ t: 'answered', id: c.id, ...at, response, ...used(guest, began) });
  }

  /** end follows every call: the kernel has what it wants of the instance. */
  private end(reuse: boolean): void {
    const busy = this.busy;
    this.busy = undefined;
    if (!busy || !reuse || !busy.loaded.image) return;
    const { loaded, guest } = busy;
    try {
      if (loaded.image && guest.size() <= WARM && guest.restore(loaded.image, true)) loaded.idle = guest;
      else loaded.idle = this.take(loaded);
    } catch {
      loaded.idle = undefined; // the next call makes one, and reports why it cannot
    }
  }

  /** stopped implements Host. */
  stopped(): string { return ['', 'Canceled', 'Stopping'][this.stop.get()] ?? 'Canceled'; }

  /** rest implements Host. */
  rest(ms: number): void { this.stop.rest(ms); }

  /** log implements Host. */
  log(level: number, line: Uint8Array): void { this.send({ t: 'log', level, line }); }

  /** syscall implements Host: the thread stops until the kernel has answered. */
  syscall(guest: Instance, request: Uint8Array): Uint8Array {
    const port = this.port;
    if (!port?.receiveSync) throw new Stop('NoSyscalls');
    this.send({ t: 'syscall', request, left: String(guest.run.left()), rested: guest.run.hasRested() });
    for (;;) {
      const m = port.receiveSync(60_000);
      if (!m) continue; // the kernel ends the call when its time is up
      const v = new DataView(m.buffer, m.byteOffset, m.length);
      switch (m[0]) {
        case VIEW: this.lend(guest, v.getUint32(1, true), v.getUint32(5, true)); break;
        case GIVE: this.give(guest, gather(port, v.getUint32(1, true), m.subarray(5))); break;
        case FILL: guest.view(v.getUint32(1, true), v.getUint32(5, true))?.set(gather(port, v.getUint32(5, true), m.subarray(9))); break;
        case DONE:
          guest.run.spent += v.getBigInt64(1, true);
          return m.slice(9);
        case ABANDON: throw new Stop('abandoned');
      }
    }
  }

  private lend(guest: Instance, pointer: number, length: number): void {
    const bytes = guest.view(pointer, length)?.slice() ?? null;
    if (bytes) guest.run.charge(Math.floor(length / 2 ** this.rules.ioShift));
    this.send({ t: 'viewed', bytes, left: String(guest.run.left()) }, bytes ? [bytes.buffer] : []);
  }

  private give(guest: Instance, bytes: Uint8Array): void {
    let at: Span = { pointer: 0, length: 0 }, why = new Stop('');
    try {
      at = guest.hand(bytes);
    } catch (e) {
      why = reasonOf(e, guest.info.firstFunction);
    }
    this.send({ t: 'given', ...at, left: String(guest.run.left()), code: why.code, text: why.text, frames: why.frames });
  }
}

/** gather joins what arrives in pieces. */
function gather(port: Port, length: number, first: Uint8Array): Uint8Array {
  const all = new Uint8Array(length);
  all.set(first);
  for (let at = first.length; at < length;) {
    const piece = port.receiveSync?.(60_000);
    if (!piece) continue; // the kernel is slow, or ends this thread
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

const none: Used = { gas: '0', us: 0, restUS: 0 };

/** used is what a call took whose guest is at its end, and has the guest rest for it. */
function used(guest: Instance, began: number): Used {
  const gas = String(guest.run.used()), us = Math.round((performance.now() - began) * 1000) - guest.run.rested();
  guest.run.rest(true);
  return { gas, us, restUS: guest.run.rested() };
}

// One instance of a guest: what host/wasm/instance.go and call.go are natively.
//
// Invariants:
//   - An instance serves one call at a time. One whose call failed in any way is dropped by the kernel, never reused.
//   - What a guest hands over (pointers, lengths) is checked before use, and copied out before it runs again.
import { Duty } from './duty.ts';
import type { Call, Info, Rules } from './messages.ts';
import { Image } from './image.ts';
import { Run } from './run.ts';
import { Stop } from './stop.ts';
import { linkWASI } from './wasi.ts';

const PAGE = 65536;

/** Host is what an instance needs of its worker. */
export interface Host {
  rules: Rules;
  stopped(): string;
  /** rest stops the thread for so many milliseconds, less if the guest is to end. */
  rest(ms: number): void;
  log(level: number, line: Uint8Array): void;
  /** syscall has the kernel serve a request and returns the completion. */
  syscall(guest: Instance, request: Uint8Array): Uint8Array;
}

/** Span is a run of bytes in a guest's memory. */
export interface Span { pointer: number; length: number }

type Func = (...args: (number | bigint)[]) => unknown;

/** Instance is a guest that is ready for a call. */
export class Instance {
  run: Run;
  readonly rules: Rules;
  private readonly exports: WebAssembly.Exports;
  private readonly memory: WebAssembly.Memory;
  private bytes: Uint8Array<ArrayBuffer>;
  private readonly globals: WebAssembly.Global[];

  /** The start function and _initialize have not run yet: see begin and Image.restore. */
  constructor(module: WebAssembly.Module, readonly info: Info, private readonly host: Host) {
    this.rules = host.rules;
    this.run = new Run(BigInt(this.rules.initGas), this.rules.initWallMS, this.rules, host);
    this.exports = new WebAssembly.Instance(module, this.imports(module)).exports;
    this.memory = this.exports.memory as WebAssembly.Memory;
    this.bytes = new Uint8Array(this.memory.buffer);
    this.globals = info.globals.map((name) => this.exports[name] as WebAssembly.Global);
  }

  /** begin runs what a module does before its first call, and returns what inos_abi says. */
  begin(): number {
    this.func(this.rules.start)?.();
    this.run.gas = this.exports[this.rules.gas] as WebAssembly.Global;
    this.run.refill();
    this.func('_initialize')?.();
    return (this.func('inos_abi')?.() as number) >>> 0;
  }

  /** image is the state now. */
  image(fresh: Image | undefined): Image { return new Image(this.all(), this.globals.map((g) => g.value as number | bigint), fresh); }

  /** restore brings a new instance, or one that served, to an image; false when this one cannot. */
  restore(image: Image, used: boolean): boolean {
    const missing = image.size - this.size();
    if (missing < 0) return false;
    if (missing > 0) this.memory.grow(missing / PAGE);
    image.restore(this.all(), used);
    this.globals.forEach((g, i) => { g.value = image.globals[i]; });
    return true;
  }

  /** size is how many bytes of memory there are. */
  size(): number { return this.memory.buffer.byteLength; }

  private func(name: string): Func | undefined {
    const f = this.exports[name];
    return typeof f === 'function' ? (f as Func) : undefined;
  }

  private all(): Uint8Array<ArrayBuffer> {
    const buffer = this.memory.buffer as ArrayBuffer;
    if (this.bytes.buffer !== buffer) this.bytes = new Uint8Array(buffer); // it grew
    return this.bytes;
  }

  /** view is the guest's bytes of a span without copying, undefined when they are not there. */
  view(pointer: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    const b = this.all();
    return pointer + length > b.length ? undefined : b.subarray(pointer, pointer + length);
  }

  private imports(module: WebAssembly.Module): WebAssembly.Imports {
    const r = this.rules;
    const own: WebAssembly.ModuleImports = {
      log: (level: number, pointer: number, length: number) => this.log(level >>> 0, pointer >>> 0, length >>> 0),
      syscall: (pointer: number, length: number) => this.syscall(pointer >>> 0, length >>> 0),
      epoch_wait: () => { throw new Stop('BadEpoch'); }, // nothing is lent to guests of a tab
    };
    const meter: WebAssembly.ModuleImports = {
      slice: (left: bigint, reason: number) => this.run.slice(left, reason),
      grow: (pages: number) => this.grow(pages >>> 0),
    };
    const wasi: WebAssembly.ModuleImports = {};
    for (const i of WebAssembly.Module.imports(module)) {
      if (i.module === r.wasi) wasi[i.name] = linkWASI(this, i.name, this.info.types[`${i.module}.${i.name}`] ?? ':i');
    }
    return { inos: own, [r.importModule]: meter, [r.wasi]: wasi };
  }

  /** grow is memory.grow. A guest that passes its limit is stopped rather than told -1, as natively. */
  private grow(pages: number): number {
    const before = this.size() / PAGE, size = (before + pages) * PAGE;
    if (before + pages > this.info.memMax) return -1;
    if (pages === 0) return before;
    if (size > this.run.memory) throw new Stop('OverMemory');
    if (size > this.rules.maxMemory) throw new Stop('OverNode');
    try {
      return this.memory.grow(pages);
    } catch (e) {
      throw new Stop('memory', e instanceof Error ? e.message : '');
    }
  }

  private log(level: number, pointer: number, length: number): void {
    this.run.charge(this.rules.logGas);
    const line = this.view(pointer, length);
    if (!line) throw new Stop('BadLog');
    this.emit(Math.min(level, 3), line);
  }

  /** emit passes one line on, within bounds. */
  emit(level: number, line: Uint8Array): void {
    if (!this.run.logs || this.run.lines === this.rules.maxLogLines) return;
    this.run.lines++;
    this.host.log(level, line.slice(0, this.rules.maxLogLine));
  }

  private syscall(pointer: number, length: number): bigint {
    const { run, rules } = this;
    if (!run.inCall) throw new Stop('EarlySyscall');
    run.charge(rules.syscallGas + Math.floor(length / 2 ** rules.ioShift));
    const request = this.view(pointer, length);
    if (!request) throw new Stop('BadSyscall');
    if (run.left() === 0n) throw new Stop('OutOfGas');
    run.inCall = false; // inos_alloc, which hand calls, must not call back
    run.duty?.wait(performance.now());
    const answer = this.host.syscall(this, request.slice(0, rules.maxSyscall + 1));
    run.duty?.run(performance.now());
    const at = this.hand(answer);
    run.inCall = true;
    return (BigInt(at.pointer) << 32n) | BigInt(at.length);
  }

  /** hand copies bytes into memory that the guest allocates. */
  hand(b: Uint8Array): Span {
    if (b.length === 0) return { pointer: 0, length: 0 };
    this.run.charge(Math.floor(b.length / 2 ** this.rules.ioShift));
    const pointer = (this.func('inos_alloc')!(b.length | 0) as number) >>> 0;
    if (pointer === 0) throw new Stop('NoRoom');
    const to = this.view(pointer, b.length);
    if ((pointer & 7) !== 0 || !to) throw new Stop('BadAlloc');
    to.set(b);
    return { pointer, length: b.length };
  }

  /** receive gives the guest the call's input: in the window that it names when it is large. */
  private receive(input: Uint8Array | null): Span {
    const size = input?.length ?? 0, window = this.info.abi >= 2 ? this.func('inos_window') : undefined;
    if (!input || !window || size < this.rules.windowInput) return this.hand(input ?? new Uint8Array());
    this.run.charge(Math.floor(size / 2 ** this.rules.ioShift));
    const whole = Math.ceil(size / PAGE) * PAGE;
    const pointer = (window(whole | 0) as number) >>> 0;
    if (pointer === 0) throw new Stop('NoWindow');
    const to = this.view(pointer, whole);
    if (pointer % PAGE !== 0 || !to) throw new Stop('BadWindow');
    to.set(input);
    return { pointer, length: size };
  }

  /** call hands the request over, runs inos_call, and returns where the response lies. */
  call(c: Call): Span {
    const run = new Run(BigInt(c.gas), c.wallMS, this.rules, this.host);
    run.gas = this.exports[this.rules.gas] as WebAssembly.Global;
    [run.memory, run.submittedMS, run.seed, run.logs] = [c.memory, BigInt(c.submittedMS), c.seed, c.logs];
    if (c.share > 0 && c.share < 1) run.duty = new Duty(c.share, performance.now());
    this.run = run;
    run.refill();
    if (this.size() > run.memory) throw new Stop('SmallLimit');
    const input = this.receive(c.input);
    const fields = new DataView(c.request.buffer, c.request.byteOffset, c.request.length);
    fields.setUint32(c.pointerAt, input.pointer, true);
    fields.setUint32(c.lengthAt, input.length, true);
    const q = this.hand(c.request);
    run.inCall = true;
    const at = BigInt.asUintN(64, this.func('inos_call')!(q.pointer | 0, q.length | 0) as bigint);
    run.inCall = false;
    return { pointer: Number(at >> 32n), length: Number(at & 0xffffffffn) };
  }
}

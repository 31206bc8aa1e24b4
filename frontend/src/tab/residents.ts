// Residents as the Go kernel starts them (host/webwasm): in its own arena, metered, with memory that it hands out.
import { KernelPort } from '../bridge/kernelport.ts';
import { openPort } from '../bridge/port.ts';
import { newPair } from '../bridge/pair.ts';
import { Resident } from './resident.ts';
import type { FromResident, Metered } from './resident.worker.ts';

/** KernelResidentStart is what Go gives. */
export interface KernelResidentStart { original: Uint8Array<ArrayBuffer>; metered: Uint8Array<ArrayBuffer>; request: Uint8Array<ArrayBuffer>; workers: number; placeEnd: number; rules: string }

/** ToGo is what Go hears. */
type ToGo = Extract<FromResident, { t: 'log' | 'ask' }> | { t: 'started'; response: Uint8Array } | { t: 'failed'; invalid: boolean; code: string; text: string };

/** KernelResident is one resident, held by Go. */
export class KernelResident {
  readonly port: KernelPort;
  private resident: Resident | undefined;
  private over = false;

  constructor(memory: WebAssembly.Memory, make: (index: number) => Worker, o: KernelResidentStart, go: (m: ToGo) => void) {
    const tell = (m: ToGo): void => { if (!this.over) go(m); }; // Go hears nothing of what it has ended
    const [mine, theirs] = newPair();
    this.port = new KernelPort(openPort(mine));
    void (async () => {
      let module: WebAssembly.Module;
      try {
        await WebAssembly.compile(o.original); // type-checked before anything is added to it
        module = await WebAssembly.compile(o.metered);
      } catch (e) {
        tell({ t: 'failed', invalid: true, code: '', text: e instanceof Error ? e.message.replace(/^WebAssembly\.\w+\(\): /, '') : String(e) });
        return;
      }
      try {
        const r = await Resident.start({
          module, memory, make, request: o.request, workers: o.workers, placeEnd: o.placeEnd, metered: JSON.parse(o.rules) as Metered, port: theirs,
          onMade: (r) => { this.resident = r; if (this.over) r.end(); },
          onFailure: (text, code) => tell({ t: 'failed', invalid: false, code, text }), onMessage: tell,
        });
        tell({ t: 'started', response: r.response });
      } catch (e) {
        const code = (e as { code?: unknown }).code; // a worker's is a text; a DOMException has a number
        tell({ t: 'failed', invalid: false, code: typeof code === 'string' ? code : 'tab', text: e instanceof Error ? e.message : String(e) });
      }
    })();
  }

  /** run makes steps, at most so many a second; 0: as many as it can. */
  run(rate: number): void { this.resident?.run(rate); }
  steps(): number { return this.resident?.team.steps() ?? 0; }
  gas(): string { return String(this.resident?.team.gas() ?? 0n); }

  /** end ends the threads. */
  end(): void {
    this.over = true;
    this.resident?.end();
  }
}

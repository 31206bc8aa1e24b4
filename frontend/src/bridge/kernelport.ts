// A port as the Go kernel uses it (host/browser): two staging buffers, so that a message costs Go one copy,
// and callbacks instead of promises. Each callback says only that it is worth looking again.
import { MAX_MESSAGE, type Port } from './port.ts';

/** KernelPort is what Go holds. */
export class KernelPort {
  readonly in = new Uint8Array(MAX_MESSAGE);
  readonly out = new Uint8Array(MAX_MESSAGE);
  private arrived: () => void = () => undefined;
  private room: () => void = () => undefined;
  private ended: () => void = () => undefined;
  private watching = false;
  private waiting = false;
  private over = false;

  constructor(private readonly port: Port) {
    port.onclose = () => this.finish();
  }

  /** wire takes Go's callbacks. */
  wire(arrived: () => void, room: () => void, ended: () => void): void {
    [this.arrived, this.room, this.ended] = [arrived, room, ended];
  }

  /** outFrom is the rest of the outgoing buffer, for the second part of a message and those after it. */
  outFrom(at: number): Uint8Array { return this.out.subarray(at); }

  /** commit sends the first n bytes of out; false for want of room, after which `room` is called. */
  commit(n: number): boolean {
    if (this.over) return true; // Go learns it from `ended`
    try {
      if (this.port.send(this.out.subarray(0, n))) return true;
    } catch {
      this.finish();
      return true;
    }
    if (!this.waiting) {
      this.waiting = true;
      this.port.writable().then(() => { this.waiting = false; if (!this.over) this.room(); }, () => this.finish());
    }
    return false;
  }

  /** take puts the next message into `in` and returns its length; 0 for none, after which `arrived` is called; -1 once closed. */
  take(): number {
    if (this.over) return -1;
    try {
      const n = this.port.take(this.in);
      if (n === 0 && !this.watching) {
        this.watching = true;
        this.port.readable().then(() => { this.watching = false; if (!this.over) this.arrived(); }, () => this.finish());
      }
      return n;
    } catch {
      this.finish();
      return -1;
    }
  }

  /** close ends the port; Go will not be called again. */
  close(): void {
    if (this.over) return;
    this.over = true;
    this.port.close();
  }

  private finish(): void {
    if (this.over) return;
    this.ended(); // calls close
  }
}

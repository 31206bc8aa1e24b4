// The switches of a tab's sensors: what is on, what each said last, and the way to take it back.
import { SensorWriter } from '../../bridge/sensors.ts';
import { sensors, type Sensor } from './sensors.ts';

/** Reading is one sensor as people see it. */
export interface Reading {
  sensor: Sensor;
  state: 'off' | 'asking' | 'on' | 'failed';
  error: string;
  values: number[];
  frame: Uint8Array | undefined;
  samples: number;
  dropped: number; // found no room, because no module reads
}

/** SensorPanel switches sensors. Nothing is asked of the person before switchOn. */
export class SensorPanel {
  private readings: Reading[] = sensors.map((sensor) => ({ sensor, state: 'off', error: '', values: [], frame: undefined, samples: 0, dropped: 0 }));
  private readonly off = new Map<string, () => void>();
  private readonly turn = new Map<string, number>(); // raised by every switch: what an earlier one started is stopped
  private readonly listeners = new Set<() => void>();
  private due = false;

  /** memory gives the arena, undefined where this tab's threads share none: samples are shown then and not written. onSwitch hears of every change. */
  constructor(private readonly memory: () => SharedArrayBuffer | undefined, private readonly onSwitch: (id: string, sensor: number, on: boolean) => void = () => undefined) {}

  /** all is an immutable snapshot, for React. */
  get all(): Reading[] { return this.readings; }

  subscribe = (fn: () => void): (() => void) => { this.listeners.add(fn); return () => this.listeners.delete(fn); };

  /** switchOn asks the person and starts a sensor. */
  async switchOn(id: string): Promise<void> {
    const r = this.readings.find((x) => x.sensor.id === id);
    if (!r || r.state === 'on' || r.state === 'asking') return;
    const turn = this.next(id), mine = (): boolean => this.turn.get(id) === turn;
    this.change(id, { state: 'asking', error: '', samples: 0 });
    const memory = this.memory();
    const writer = memory ? new SensorWriter(memory, r.sensor.sensor) : undefined;
    try {
      const stop = await r.sensor.start((values, frame) => {
        if (!mine()) return;
        writer?.write(values, frame);
        this.sampled(id, { values, ...(frame ? { frame: frame.slice() } : {}), dropped: writer?.dropped ?? 0 });
      }, () => { if (mine()) this.switchOff(id); });
      if (!mine()) { stop(); return; } // taken back meanwhile
      this.off.set(id, stop);
      this.change(id, { state: 'on' });
      this.onSwitch(id, r.sensor.sensor, true);
    } catch (e) {
      if (mine()) this.change(id, { state: 'failed', error: e instanceof Error ? e.message : String(e) });
    }
  }

  private next(id: string): number {
    const n = (this.turn.get(id) ?? 0) + 1;
    this.turn.set(id, n);
    return n;
  }

  /** switchOff takes it back: the browser's own sign that it is on goes away too. */
  switchOff(id: string): void {
    const r = this.readings.find((x) => x.sensor.id === id);
    if (!r || r.state === 'off') return;
    this.next(id);
    const stop = this.off.get(id);
    this.off.delete(id);
    stop?.();
    this.change(id, { state: 'off', values: [], frame: undefined });
    if (stop) this.onSwitch(id, r.sensor.sensor, false);
  }

  /** close switches everything off. */
  close(): void { for (const r of this.readings) this.switchOff(r.sensor.id); }

  private sampled(id: string, change: Partial<Reading>): void {
    this.readings = this.readings.map((r) => (r.sensor.id === id ? { ...r, ...change, samples: r.samples + 1 } : r));
    if (this.due) return; // people see at most one change a frame
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.tell(); });
  }

  private change(id: string, change: Partial<Reading>): void {
    this.readings = this.readings.map((r) => (r.sensor.id === id ? { ...r, ...change } : r));
    this.tell();
  }

  private tell(): void { for (const fn of this.listeners) fn(); }
}

// The sensors as the Go kernel reads them (host/browser): by name, as JSON.
import { SensorReader, type Sample } from './sensors.ts';

/** KernelSensors is what Go holds. The page tells it what is on. */
export class KernelSensors {
  private readonly readers = new Map<string, SensorReader>(); // one a sensor that is on

  constructor(private readonly memory: SharedArrayBuffer) {}

  /** set notes that a sensor was switched on, its ring begun anew, or off. */
  set(name: string, sensor: number, on: boolean): void {
    this.readers.delete(name);
    if (!on) return;
    try {
      this.readers.set(name, new SensorReader(this.memory, sensor));
    } catch {
      // Its ring is gone: it was switched off before the kernel heard that it was on.
    }
  }

  /** on names the sensors that are on. */
  on(): string[] { return [...this.readers.keys()]; }

  /** drain is what a sensor sampled since the last drain: the newest samples that fit most characters. */
  drain(name: string, most: number): string | undefined {
    const reader = this.readers.get(name);
    if (!reader) return undefined;
    const kept: string[] = [];
    let size = 2;
    for (const s of reader.drain().reverse()) {
      const text = json(s);
      if ((size += text.length + 1) > most) break;
      kept.push(text);
    }
    return `[${kept.reverse().join(',')}]`;
  }
}

/** json writes NaN, which JSON lacks, as null. */
function json(s: Sample): string {
  let frame = '';
  for (const b of s.frame) frame += String.fromCharCode(b);
  return JSON.stringify({ time: s.time, values: s.values, ...(frame ? { frame: btoa(frame) } : {}), dropped: s.dropped });
}

// Sensor rings of the arena: sensor s writes ring 2s of the device rings, and one reader takes from it. A sample
// that finds no room is dropped and counted: a sensor does not wait for whoever reads.
import * as L from '../../../protocols/gen/layout/ts/layout.ts';
import { Memory } from './memory.ts';
import { RingReader, RingWriter, formatRing, type Ring } from './ring.ts';

/** MAX_SAMPLE bounds one sample: a quarter of a ring, as in the kernel. */
export const MAX_SAMPLE = L.DEVICE_DATA_STRIDE / 4;

/** MAX_KEPT is how many samples a reader keeps; older ones go first. */
export const MAX_KEPT = 64;

/** Sample is one reading. */
export interface Sample { time: number; values: number[]; frame: Uint8Array; dropped: number }

/** sensorRing is where a sensor's ring lies. */
export const sensorRing = (sensor: number): Ring => ({
  control: L.DEVICE_RINGS_OFFSET + 2 * sensor * L.DEVICE_RINGS_STRIDE,
  data: L.DEVICE_DATA_OFFSET + 2 * sensor * L.DEVICE_DATA_STRIDE,
  capacity: L.DEVICE_DATA_STRIDE,
  maxMessage: MAX_SAMPLE,
});

/** SensorWriter fills one sensor's ring. Making one begins the ring anew. */
export class SensorWriter {
  private readonly ring: RingWriter;
  private readonly head = new DataView(new ArrayBuffer(MAX_SAMPLE));
  dropped = 0;

  constructor(memory: SharedArrayBuffer, readonly sensor: number) {
    const m = new Memory(memory), at = sensorRing(sensor);
    formatRing(m, at);
    this.ring = new RingWriter(m, at);
  }

  /** write offers one sample. */
  write(values: number[], frame?: Uint8Array): void {
    const size = L.SENSOR_SAMPLE_SIZE + 8 * values.length;
    this.head.setBigInt64(L.SENSOR_SAMPLE_AT_TIME, BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)), true);
    this.head.setUint32(L.SENSOR_SAMPLE_AT_SENSOR, this.sensor, true);
    this.head.setUint32(L.SENSOR_SAMPLE_AT_VALUES, values.length, true);
    this.head.setUint32(L.SENSOR_SAMPLE_AT_BYTES, frame?.length ?? 0, true);
    this.head.setUint32(L.SENSOR_SAMPLE_AT_DROPPED, this.dropped, true);
    values.forEach((v, i) => this.head.setFloat64(L.SENSOR_SAMPLE_SIZE + 8 * i, v, true));
    const head = new Uint8Array(this.head.buffer, 0, size);
    if (!this.ring.trySend(frame ? [head, frame] : [head])) this.dropped++;
  }
}

/** decodeSample reads a message; undefined when it is none. */
export function decodeSample(m: Uint8Array): Sample | undefined {
  if (m.length < L.SENSOR_SAMPLE_SIZE) return undefined;
  const v = new DataView(m.buffer, m.byteOffset, m.byteLength);
  const values = v.getUint32(L.SENSOR_SAMPLE_AT_VALUES, true), bytes = v.getUint32(L.SENSOR_SAMPLE_AT_BYTES, true);
  if (L.SENSOR_SAMPLE_SIZE + 8 * values + bytes !== m.length) return undefined;
  const at = L.SENSOR_SAMPLE_SIZE + 8 * values;
  return {
    time: Number(v.getBigInt64(L.SENSOR_SAMPLE_AT_TIME, true)),
    values: Array.from({ length: values }, (_, i) => v.getFloat64(L.SENSOR_SAMPLE_SIZE + 8 * i, true)),
    frame: m.slice(at, at + bytes),
    dropped: v.getUint32(L.SENSOR_SAMPLE_AT_DROPPED, true),
  };
}

/** SensorReader takes one sensor's samples as they come and keeps the newest. */
export class SensorReader {
  private readonly kept: Sample[] = []; // oldest first, at most MAX_KEPT
  private over = false;

  constructor(memory: SharedArrayBuffer, readonly sensor: number) {
    void this.follow(new RingReader(new Memory(memory), sensorRing(sensor)));
  }

  /** drain hands out what came since the last drain. */
  drain(): Sample[] { return this.kept.splice(0); }

  /** ended says that the sensor was switched off or began anew: make another reader. */
  get ended(): boolean { return this.over; }

  private async follow(ring: RingReader): Promise<void> {
    const into = new Uint8Array(MAX_SAMPLE);
    try {
      for (;;) {
        await ring.filled();
        for (let n = ring.tryReceive(into); n > 0; n = ring.tryReceive(into)) {
          const s = decodeSample(into.subarray(0, n));
          if (!s) continue;
          if (this.kept.length === MAX_KEPT) this.kept.shift();
          this.kept.push(s);
        }
      }
    } catch {
      this.over = true;
    }
  }
}

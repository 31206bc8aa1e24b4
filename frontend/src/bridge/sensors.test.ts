import { expect, it } from 'vitest';
import * as L from '../../../protocols/gen/layout/ts/layout.ts';
import { brightness, level } from '../tab/drivers/sensors.ts';
import { KernelSensors } from './kernelsensors.ts';
import { Memory } from './memory.ts';
import { MAX_KEPT, MAX_SAMPLE, SensorWriter, decodeSample, sensorRing } from './sensors.ts';

interface Read { time: number; values: (number | null)[]; frame?: string; dropped: number }

/** taken waits until the reader has taken everything out of a sensor's ring. */
async function taken(memory: SharedArrayBuffer, sensor: number): Promise<void> {
  const m = new Memory(memory), at = sensorRing(sensor).control, end = Date.now() + 5000;
  while (m.load64(at + L.RING_CONTROL_AT_HEAD) !== m.load64(at + L.RING_CONTROL_AT_TAIL)) {
    if (Date.now() > end) throw new Error('nobody reads the ring');
    await new Promise((ok) => setImmediate(ok));
  }
}

it('carries samples from a sensor to the kernel, newest kept', async () => {
  const memory = new SharedArrayBuffer(L.HEAP_OFFSET);
  const kernel = new KernelSensors(memory);
  expect(kernel.drain('camera', 1e6)).toBeUndefined();
  const camera = new SensorWriter(memory, L.SENSOR_CAMERA), place = new SensorWriter(memory, L.SENSOR_GEOLOCATION);
  kernel.set('camera', L.SENSOR_CAMERA, true);
  kernel.set('place', L.SENSOR_GEOLOCATION, true);
  place.write([52.5, 13.25, 20, NaN, NaN, NaN]);
  camera.write([2, 2], Uint8Array.of(0, 255, 7, 9));
  await taken(memory, L.SENSOR_GEOLOCATION);
  await taken(memory, L.SENSOR_CAMERA);
  expect(kernel.on()).toEqual(['camera', 'place']);
  const [at] = JSON.parse(kernel.drain('place', 1e6) ?? '') as Read[];
  expect(at?.values).toEqual([52.5, 13.25, 20, null, null, null]);
  expect(Math.abs((at?.time ?? 0) / 1000 - Date.now())).toBeLessThan(5000);
  const [frame] = JSON.parse(kernel.drain('camera', 1e6) ?? '') as Read[];
  expect(Buffer.from(frame?.frame ?? '', 'base64')).toEqual(Buffer.from([0, 255, 7, 9]));
  expect(kernel.drain('camera', 1e6)).toBe('[]');

  for (let i = 0; i < 3 * MAX_KEPT; i++) { place.write([i]); if (i % 16 === 15) await taken(memory, L.SENSOR_GEOLOCATION); }

  const kept = JSON.parse(kernel.drain('place', 1e6) ?? '') as Read[];
  expect(kept.map((s) => s.values[0])).toEqual(Array.from({ length: MAX_KEPT }, (_, i) => 2 * MAX_KEPT + i));
  for (let i = 0; i < 8; i++) place.write([i]);
  await taken(memory, L.SENSOR_GEOLOCATION);
  const few = JSON.parse(kernel.drain('place', 200) ?? '') as Read[];
  expect(few.at(-1)?.values).toEqual([7]); // the newest are those that fit
  expect(few.length).toBeLessThan(8);
  kernel.set('place', L.SENSOR_GEOLOCATION, false);
  expect(kernel.drain('place', 1e6)).toBeUndefined();
});

it('drops and counts what nobody reads, and refuses what is no sample', () => {
  const memory = new SharedArrayBuffer(L.HEAP_OFFSET), w = new SensorWriter(memory, L.SENSOR_CAMERA);
  for (let i = 0; i < 10; i++) w.write([64, 48], new Uint8Array(64 * 48));
  expect(w.dropped).toBe(5); // 16 KiB hold five frames
  expect(L.SENSOR_SAMPLE_SIZE + 16 + 64 * 48).toBeLessThanOrEqual(MAX_SAMPLE);
  const good = new Uint8Array(L.SENSOR_SAMPLE_SIZE + 8);
  new DataView(good.buffer).setUint32(L.SENSOR_SAMPLE_AT_VALUES, 1, true);
  expect(decodeSample(good)?.values).toEqual([0]);
  for (let n = 0; n < good.length; n++) expect(decodeSample(good.subarray(0, n))).toBeUndefined();
  new DataView(good.buffer).setUint32(L.SENSOR_SAMPLE_AT_VALUES, 0xffffffff, true);
  expect(decodeSample(good)).toBeUndefined();
});

it('measures brightness and level', () => {
  expect([...brightness(Uint8ClampedArray.of(255, 255, 255, 255, 255, 0, 0, 255, 0, 0, 0, 255), new Uint8Array(3))]).toEqual([255, 76, 0]);
  const [mean, peak] = level(Float32Array.from({ length: 2048 }, (_, i) => 0.5 * Math.sin(i)));
  expect(peak).toBeCloseTo(-6.02, 1);
  expect(mean).toBeCloseTo(-9.03, 1);
  expect(level(new Float32Array(8))).toEqual([-100, -100]);
});

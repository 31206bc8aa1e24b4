// Where nodes stand in the picture: this node in the middle, the others around
// it, as far away as their answers take. Pure, so that it is tested.

/** ringsMS are the distances drawn as circles, in milliseconds. */
export const ringsMS = [1, 10, 100] as const;

const inner = 2.2;
const perDecade = 1.7;

/** radius grows with the logarithm of the latency: 0.1 ms stands near, 300 ms far. */
export function radius(latencyMS: number): number {
  const ms = Math.min(1000, Math.max(0.1, latencyMS || 1));
  return inner + perDecade * (Math.log10(ms) + 1) * 0.75;
}

/** Place is a position on the plane. */
export interface Place {
  x: number;
  z: number;
}

/** angleOf spreads nodes evenly in the order of their names, so that one that
 * goes away leaves its gap and nobody else moves. */
export function place(index: number, of: number, latencyMS: number): Place {
  const angle = -Math.PI / 2 + 0.55 + (2 * Math.PI * index) / Math.max(1, of);
  const r = radius(latencyMS);
  return { x: Math.cos(angle) * r, z: Math.sin(angle) * r };
}

/** flow is how many dots travel on a link that moves this many bytes a second. */
export function flow(bytesPerSecond: number): number {
  if (bytesPerSecond < 256) return 0;
  return Math.min(14, Math.ceil(Math.log2(bytesPerSecond / 256)));
}

/** size grows with what a node keeps. */
export function size(usedBytes: number): number {
  return 0.34 + 0.05 * Math.log10(1 + usedBytes / (1 << 20));
}

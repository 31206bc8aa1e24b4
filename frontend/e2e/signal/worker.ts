import { openPort, type PortEnd } from '../../src/bridge/port.ts';

globalThis.onmessage = ({ data }: MessageEvent<{ end: PortEnd; first: boolean; turns: number }>): void => {
  const port = openPort(data.end), byte = Uint8Array.of(1), took: number[] = [];
  for (let i = 0; i < data.turns; i++) {
    const began = performance.now();
    if (data.first) port.send(byte);
    if (!port.receiveSync!(10_000)) throw new Error('no answer');
    if (data.first) took.push((performance.now() - began) * 500);
    else port.send(byte);
  }
  took.sort((a, b) => a - b);
  if (data.first) postMessage(took[took.length >> 1] ?? NaN);
};

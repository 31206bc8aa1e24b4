// The messages between the kernel and the network worker. Each is a NetFrame record and its payload; the
// layout, the kinds and the bounds come from protocols/schemas/system/v1/layout.capnp.
import * as L from '../../../../protocols/gen/layout/ts/layout.ts';

/** KEY_BYTES is the length of a node's public key and of a key's seed. */
export const KEY_BYTES = 32;

/** Frame is one message. Fields that a kind does not use are zero. */
export interface Frame { kind: number; code: number; id: number; conn: number; value: number; payload: Uint8Array }

/** Invalid says that the other side does not speak this protocol. */
export class Invalid extends Error {}

const text = new TextEncoder();
const words = new TextDecoder('utf-8', { fatal: true });

/** encodeHead makes a frame's record; the payload is sent after it. */
export function encodeHead(kind: number, f: Partial<Omit<Frame, 'kind' | 'payload'>> = {}): Uint8Array {
  const b = new Uint8Array(L.NET_FRAME_SIZE), v = new DataView(b.buffer);
  v.setUint8(L.NET_FRAME_AT_KIND, kind);
  v.setUint8(L.NET_FRAME_AT_CODE, f.code ?? 0);
  v.setUint32(L.NET_FRAME_AT_ID, f.id ?? 0, true);
  v.setUint32(L.NET_FRAME_AT_CONN, f.conn ?? 0, true);
  v.setUint32(L.NET_FRAME_AT_VALUE, f.value ?? 0, true);
  return b;
}

/** decodeFrame reads one message; the payload is a view of it. Throws Invalid. */
export function decodeFrame(m: Uint8Array): Frame {
  if (m.length < L.NET_FRAME_SIZE) throw new Invalid('a frame is too short');
  const v = new DataView(m.buffer, m.byteOffset, m.byteLength);
  const f: Frame = {
    kind: v.getUint8(L.NET_FRAME_AT_KIND), code: v.getUint8(L.NET_FRAME_AT_CODE),
    id: v.getUint32(L.NET_FRAME_AT_ID, true), conn: v.getUint32(L.NET_FRAME_AT_CONN, true), value: v.getUint32(L.NET_FRAME_AT_VALUE, true),
    payload: m.subarray(L.NET_FRAME_SIZE),
  };
  if (f.kind < L.NET_START || f.kind > L.NET_MEMBER) throw new Invalid('a frame is of no known kind');
  if (f.payload.length > (f.kind === L.NET_DATA ? L.NET_MAX_DATA : L.NET_MAX_TEXT)) throw new Invalid('a frame is too long');
  if (f.kind === L.NET_DATA && f.payload.length === 0) throw new Invalid('a frame brings no data');
  return f;
}

/** splitNamed cuts a payload into the 32 bytes in front, copied, and the text after them. */
export function splitNamed(payload: Uint8Array): { key: Uint8Array; rest: string } {
  if (payload.length < KEY_BYTES) throw new Invalid('a frame names no node');
  return { key: payload.slice(0, KEY_BYTES), rest: readText(payload.subarray(KEY_BYTES)) };
}

/** readText reads a payload, or the rest of one, that is text. Throws Invalid. */
export function readText(b: Uint8Array): string {
  try {
    return words.decode(b.slice()); // a decoder takes no view of shared memory
  } catch {
    throw new Invalid('a frame holds no text');
  }
}

/** writeText makes a payload of text, cut to what a frame may hold less the room for a key. */
export function writeText(s: string): Uint8Array {
  const b = text.encode(s);
  if (b.length <= L.NET_MAX_TEXT - KEY_BYTES) return b;
  return text.encode(new TextDecoder().decode(b.subarray(0, L.NET_MAX_TEXT - KEY_BYTES - 4)));
}

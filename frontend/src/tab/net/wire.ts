// A stream of js-libp2p as the link uses it.
import type { Stream } from '@libp2p/interface';
import type { Wire } from './stream.ts';

/** wireOf wraps a stream that libp2p has just handed over, whose events nobody has listened to. */
export function wireOf(stream: Stream): Wire {
  const brake = brakeOf(stream);
  let ended = false;
  const wire: Wire = {
    ondata: () => undefined, onend: () => undefined, onlost: () => undefined,
    open() {
      stream.addEventListener('end', () => { ended = true; wire.onend(); });
      // A stream that both sides ended closes too; the link knows that already.
      stream.addEventListener('close', (e) => { if (e.error !== undefined || !ended) wire.onlost(); });
      stream.addEventListener('message', (e) => {
        const data = e.data;
        if (data instanceof Uint8Array) wire.ondata(data);
        else for (const part of data) wire.ondata(part);
      });
      if (stream.readableEnded) { ended = true; wire.onend(); }
    },
    pause: brake.pause,
    resume: brake.resume,
    send(b) { return stream.send(b) ? undefined : stream.onDrain(); },
    close: () => stream.close(),
    abort(why) { if (stream.status === 'open' || stream.status === 'closing') stream.abort(why); },
  };
  return wire;
}

interface Brake { pause(): void; resume(): void }

/** reader is the field of @libp2p/webtransport's stream that pulls from the browser. */
type Pulled = Stream & { reader?: { read(): Promise<unknown> } };

/**
 * brakeOf makes a peer wait. Yamux streams stop giving credit while paused. A WebTransport stream of
 * @libp2p/webtransport 6.0.39 releases its reader for good when it is paused, and fails at the next read; so
 * its reads are held up instead, and QUIC's own flow control does the rest. WebRTC's data channels cannot make a
 * sender wait: credited.ts does.
 */
function brakeOf(stream: Pulled): Brake {
  const reader = stream.reader;
  if (typeof reader?.read !== 'function') {
    const quiet = (fn: () => void): void => { try { fn(); } catch { /* the stream has ended meanwhile */ } };
    return { pause: () => quiet(() => stream.pause()), resume: () => quiet(() => stream.resume()) };
  }
  const read = reader.read.bind(reader);
  let gate: Promise<void> | undefined;
  let go: () => void = () => undefined;
  reader.read = async () => { while (gate) await gate; return read(); };
  return {
    pause() { gate ??= new Promise((ok) => { go = ok; }); },
    resume() { gate = undefined; go(); },
  };
}

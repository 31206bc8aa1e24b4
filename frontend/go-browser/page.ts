// The page of a Go program: it starts the worker, passes on what the program says, and holds WebRTC for the
// program's network workers, as the page of a tab does.
import { serveRtc } from '../src/tab/net/rtcpage.ts';

declare global {
  interface Window {
    start(boot: unknown): void;
    say(fd: number, text: string): void;
    done(code: number): void;
    quota(bytes: number): Promise<void>;
  }
}

type Said = { fd: number; out: string } | { exit: number } | { rtc: MessagePort } | { quota: number };

window.start = (boot) => {
  const w = new Worker('/worker.js');
  w.onmessage = ({ data }: MessageEvent<Said>) => {
    if ('out' in data) window.say(data.fd, data.out);
    else if ('rtc' in data) serveRtc(data.rtc);
    else if ('quota' in data) void window.quota(data.quota).then(() => w.postMessage({ quota: data.quota }));
    else window.done(data.exit);
  };
  w.onerror = (e) => { window.say(2, `the worker failed: ${e.message}\n`); window.done(2); };
  w.postMessage(boot);
};

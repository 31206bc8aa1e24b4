// Sensors of the machine that a tab runs on. Each asks the person, says that it is on, and can be taken back at
// any moment. Modules read what they sample through the arena (hostCall:sensor); nothing leaves the tab otherwise.
import * as L from '../../../../protocols/gen/layout/ts/layout.ts';

/** Emit takes one sample. */
export type Emit = (values: number[], frame?: Uint8Array) => void;

/** Sensor is one kind of sensor. start rejects with a text for people when it may not or cannot run, and leaves nothing on then; ended is
 * called when the browser or the system takes it away. */
export interface Sensor {
  id: string;
  sensor: number; // constant of the layout
  title: string;
  gives: string; // what modules get to know, for people
  here(): boolean; // this browser could have it
  start(emit: Emit, ended: () => void): Promise<() => void>; // returns what switches it off
  tell(values: number[]): string; // a sample in words
}

/** FRAME is the camera's size in pixels: what fits a sample. */
export const FRAME = { width: 64, height: 48 };
const framesPerSecond = 10;
const levelsPerSecond = 10;

const degrees = (n: number): string => `${n.toFixed(4)}°`;

const geolocation: Sensor = {
  id: 'geolocation', sensor: L.SENSOR_GEOLOCATION, title: 'Place', gives: 'where this machine is',
  here: () => 'geolocation' in navigator,
  start: (emit) => new Promise((ok, fail) => {
    let first = true;
    const id = navigator.geolocation.watchPosition(
      ({ coords: c }) => {
        emit([c.latitude, c.longitude, c.accuracy, c.altitude ?? NaN, c.speed ?? NaN, c.heading ?? NaN]);
        if (first) ok(() => navigator.geolocation.clearWatch(id));
        first = false;
      },
      (e) => {
        if (!first) return; // a fix was lost; the next comes by itself
        navigator.geolocation.clearWatch(id);
        fail(new Error(e.code === e.PERMISSION_DENIED ? 'The browser does not allow it' : 'The browser finds no place'));
      },
      { enableHighAccuracy: false, maximumAge: 10_000, timeout: 20_000 },
    );
  }),
  tell: ([lat = 0, lon = 0, accuracy = 0]) => `${degrees(lat)}, ${degrees(lon)}, within ${Math.round(accuracy)} m`,
};

interface AskingEvent { requestPermission?(): Promise<string> }

const orientation: Sensor = {
  id: 'orientation', sensor: L.SENSOR_ORIENTATION, title: 'Orientation', gives: 'how this device is held',
  here: () => 'DeviceOrientationEvent' in globalThis,
  async start(emit) {
    const asking = DeviceOrientationEvent as unknown as AskingEvent;
    if (asking.requestPermission && await asking.requestPermission() !== 'granted') throw new Error('The browser does not allow it');
    const turned = (e: DeviceOrientationEvent): void => { if (e.alpha !== null) emit([e.alpha, e.beta ?? NaN, e.gamma ?? NaN]); };
    addEventListener('deviceorientation', turned);
    return () => removeEventListener('deviceorientation', turned);
  },
  tell: ([a = 0, b = 0, c = 0]) => `${Math.round(a)}°, ${Math.round(b)}°, ${Math.round(c)}°`,
};

/** media runs use with a stream; whatever use fails with, the stream is stopped. */
async function media(what: MediaStreamConstraints, ended: () => void, use: (s: MediaStream) => Promise<() => void>): Promise<() => void> {
  const stream = await asked(what);
  for (const t of stream.getTracks()) t.addEventListener('ended', ended, { once: true });
  try {
    const stop = await use(stream);
    return () => { stop(); stopAll(stream); };
  } catch (e) {
    stopAll(stream);
    throw e;
  }
}

async function asked(what: MediaStreamConstraints): Promise<MediaStream> {
  try {
    return await navigator.mediaDevices.getUserMedia(what);
  } catch (e) {
    const name = e instanceof DOMException ? e.name : '';
    throw new Error(name === 'NotAllowedError' ? 'The browser does not allow it' : name === 'NotFoundError' ? 'There is none on this machine' : 'Another program may be using it', { cause: e });
  }
}

const stopAll = (s: MediaStream): void => { for (const t of s.getTracks()) t.stop(); };

/** brightness turns RGBA into a byte a pixel. Weights: ITU-R BT.601. */
export function brightness(rgba: Uint8ClampedArray, into: Uint8Array): Uint8Array {
  for (let i = 0; i < into.length; i++) into[i] = (299 * (rgba[4 * i] ?? 0) + 587 * (rgba[4 * i + 1] ?? 0) + 114 * (rgba[4 * i + 2] ?? 0)) / 1000;
  return into;
}

const camera: Sensor = {
  id: 'camera', sensor: L.SENSOR_CAMERA, title: 'Camera', gives: `its picture in ${FRAME.width} × ${FRAME.height} grey pixels, ${framesPerSecond} times a second`,
  here: () => !!navigator.mediaDevices,
  start: (emit, ended) => media({ video: { width: { ideal: 320 }, height: { ideal: 240 } } }, ended, async (stream) => {
    const video = document.createElement('video');
    video.muted = true;
    video.playsInline = true;
    video.srcObject = stream;
    await video.play();
    const context = new OffscreenCanvas(FRAME.width, FRAME.height).getContext('2d', { willReadFrequently: true });
    if (!context) throw new Error('This browser draws no pictures off the screen');
    const grey = new Uint8Array(FRAME.width * FRAME.height);
    const timer = setInterval(() => {
      context.drawImage(video, 0, 0, FRAME.width, FRAME.height);
      emit([FRAME.width, FRAME.height], brightness(context.getImageData(0, 0, FRAME.width, FRAME.height).data, grey));
    }, 1000 / framesPerSecond);
    return () => { clearInterval(timer); video.srcObject = null; };
  }),
  tell: ([w = 0, h = 0]) => `${w} × ${h} pixels`,
};

/** level is a signal's mean level and peak in dB below full scale, at least -100. */
export function level(signal: Float32Array): [number, number] {
  let sum = 0, peak = 0;
  for (const x of signal) { sum += x * x; peak = Math.max(peak, Math.abs(x)); }
  const db = (x: number): number => Math.max(-100, 20 * Math.log10(x));
  return [db(Math.sqrt(sum / Math.max(1, signal.length))), db(peak)];
}

const microphone: Sensor = {
  id: 'microphone', sensor: L.SENSOR_MICROPHONE, title: 'Microphone level', gives: `how loud it is, ${levelsPerSecond} times a second, and no sound`,
  here: () => !!navigator.mediaDevices,
  start: (emit, ended) => media({ audio: true }, ended, async (stream) => {
    const audio = new AudioContext();
    const analyser = audio.createAnalyser();
    analyser.fftSize = 2048;
    audio.createMediaStreamSource(stream).connect(analyser);
    const signal = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => { analyser.getFloatTimeDomainData(signal); emit(level(signal)); }, 1000 / levelsPerSecond);
    return () => { clearInterval(timer); void audio.close(); };
  }),
  tell: ([mean = 0, peak = 0]) => `${Math.round(mean)} dB, peak ${Math.round(peak)} dB`,
};

const gamepad: Sensor = {
  id: 'gamepad', sensor: L.SENSOR_GAMEPAD, title: 'Gamepad', gives: 'its sticks and buttons while one is connected',
  here: () => 'getGamepads' in navigator,
  start(emit) {
    // The browser has no event for sticks: a connected pad is looked at once a frame, and nothing runs without one.
    let frame = 0, stamp = 0;
    const look = (): void => {
      const pads = navigator.getGamepads().filter((p): p is Gamepad => p !== null);
      for (const p of pads) if (p.timestamp !== stamp) { stamp = p.timestamp; emit([p.index, p.axes.length, ...p.axes, ...p.buttons.map((b) => b.value)]); }
      frame = pads.length ? requestAnimationFrame(look) : 0;
    };
    const came = (): void => { if (!frame) frame = requestAnimationFrame(look); };
    addEventListener('gamepadconnected', came);
    if (navigator.getGamepads().some(Boolean)) came();
    return Promise.resolve(() => { removeEventListener('gamepadconnected', came); cancelAnimationFrame(frame); });
  },
  tell: ([pad = 0, axes = 0, ...rest]) => `pad ${pad + 1}: ${rest.slice(0, axes).map((v) => v.toFixed(2)).join(', ')}`,
};

/** sensors are all there are, in the order people see them. */
export const sensors: Sensor[] = [geolocation, orientation, camera, microphone, gamepad];

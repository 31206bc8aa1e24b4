// The one store: what the node says, kept fresh by its event stream.
import { useEffect, useSyncExternalStore } from 'react';
import { get, lines, messageOf, send, type ModuleInfo, type NodeEvent, type Peer, type Status, type StoredObject } from './api';

/** Loadable is a value, or why there is none yet. */
export interface Loadable<T> {
  value?: T;
  error?: string;
}

export interface Moving {
  in: number; // bytes a second from the peer
  out: number;
}

export interface State {
  connected: boolean; // the event stream is open
  status: Loadable<Status>;
  peers: Loadable<Peer[]>;
  objects: Loadable<StoredObject[]>;
  modules: Loadable<ModuleInfo[]>;
  events: NodeEvent[]; // newest last, at most maxEvents
  moving: Record<string, Moving>; // by node
}

const maxEvents = 1000;
const maxObjects = 20_000;

const empty: State = { connected: false, status: {}, peers: {}, objects: {}, modules: {}, events: [], moving: {} };
let state: State = empty;
const listeners = new Set<() => void>();

export function setState(change: Partial<State>): void {
  state = { ...state, ...change };
  for (const l of listeners) l();
}

/** resetState forgets everything, for another node to be asked. */
export function resetState(): void {
  lastPeers = { at: 0, peers: [] };
  setState(empty);
}

export function getState(): State {
  return state;
}

function subscribe(fn: () => void): () => void {
  listeners.add(fn);
  return () => listeners.delete(fn);
}

/** useStore follows one part of the state. */
export function useStore<T>(pick: (s: State) => T): T {
  return useSyncExternalStore(subscribe, () => pick(state));
}

async function load<K extends 'status' | 'peers' | 'objects' | 'modules'>(name: K, fetchIt: () => Promise<State[K]['value']>): Promise<void> {
  try {
    const value = await fetchIt();
    if (JSON.stringify(value) !== JSON.stringify(state[name].value) || state[name].error) setState({ [name]: { value } } as Partial<State>);
  } catch (e) {
    setState({ [name]: { ...state[name], error: messageOf(e) } } as Partial<State>);
  }
}

export const refreshStatus = (): Promise<void> => load('status', () => get<Status>('/v1/status'));
export const refreshModules = (): Promise<void> => load('modules', async () => (await get<ModuleInfo[] | null>('/v1/modules')) ?? []);

/** refreshObjects reads the whole list, page by page. */
export const refreshObjects = (): Promise<void> =>
  load('objects', async () => {
    const all: StoredObject[] = [];
    for (let after = ''; all.length < maxObjects; ) {
      const page = await get<{ objects: StoredObject[] | null; next?: string }>(`/v1/objects?limit=1000&after=${encodeURIComponent(after)}`);
      all.push(...(page.objects ?? []));
      if (!page.next) break;
      after = page.next;
    }
    return all;
  });

let lastPeers = { at: 0, peers: [] as Peer[] };

/** refreshPeers also works out what moves on each link. */
export const refreshPeers = (): Promise<void> =>
  load('peers', async () => {
    const peers = (await get<Peer[] | null>('/v1/peers')) ?? [];
    const at = performance.now();
    const seconds = (at - lastPeers.at) / 1000;
    if (lastPeers.at > 0 && seconds < 10) {
      const moving: State['moving'] = {};
      for (const p of peers) {
        const before = lastPeers.peers.find((q) => q.node === p.node);
        if (!before) continue;
        moving[p.node] = { in: Math.max(0, p.bytes_in - before.bytes_in) / seconds, out: Math.max(0, p.bytes_out - before.bytes_out) / seconds };
      }
      setState({ moving });
    }
    lastPeers = { at, peers };
    return peers;
  });

/** soon runs fn once after a burst of reasons. */
function soon(fn: () => Promise<void>, ms: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      void fn();
    }, ms);
  };
}

const objectsSoon = soon(refreshObjects, 300);
const peersSoon = soon(refreshPeers, 100);
const statusSoon = soon(refreshStatus, 300);
const modulesSoon = soon(refreshModules, 300);
let pendingEvents: NodeEvent[] = [];
const eventsSoon = soon(async () => {
  setState({ events: [...state.events, ...pendingEvents].slice(-maxEvents) });
  pendingEvents = [];
}, 100);

function happened(e: NodeEvent): void {
  pendingEvents.push(e);
  eventsSoon();
  const service = e.type.split(':')[0];
  statusSoon();
  if (service === 'object' || service === 'job') objectsSoon();
  if (service === 'mesh') peersSoon();
  if (service === 'module') modulesSoon();
}

/** follow keeps the event stream open until signal ends it. */
export async function follow(signal: AbortSignal): Promise<void> {
  void refreshObjects();
  void refreshModules();
  for (let failed = 0; !signal.aborted; ) {
    void refreshStatus();
    void refreshPeers();
    try {
      const last = state.events.at(-1)?.id ?? '0';
      const res = await send(`/v1/events?since=${last}`, { signal });
      setState({ connected: true });
      failed = 0;
      await lines<NodeEvent>(res, (e) => {
        if (e.type) happened(e);
      });
    } catch {
      if (signal.aborted) return;
    }
    setState({ connected: false });
    failed++;
    await new Promise((ok) => setTimeout(ok, Math.min(5000, 250 * 2 ** failed)));
    const before = state.status.value?.started;
    await refreshStatus();
    if (before !== state.status.value?.started) {
      pendingEvents = [];
      setState({ events: [] }); // a restarted node counts its events anew
    }
  }
}

/** usePeersLive samples the links while a view that draws them is open and seen. */
export function usePeersLive(every = 1000): void {
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') void refreshPeers();
    }, every);
    return () => clearInterval(timer);
  }, [every]);
}

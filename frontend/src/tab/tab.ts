// The tab's node as the page uses it. One tab of a browser's profile runs the node, under a Web Lock; the others use it
// there, and one of them takes over when it closes.
import { hostOf, type Hosted } from './lead.ts';
import { Calls, type CallOptions } from './calls.ts';
import { followHost } from './hub.ts';
import { startNetwork } from './network.ts';
import { watchPower } from './power.ts';
import { resting, type TabSettings, type TabState } from './types.ts';
import type { CreditsReport, FileInfo, Holders, Job, ModuleInfo, NodeEvent, Peer, Progress, Quote, RunRequest, Stat, Status, StoredObject, ArenaMap, Check } from '../lib/api.ts';

const LOCK = 'inos-node';
const CHANNEL = 'inos-node';
const SETTINGS = 'inos.tab';

/** PutOptions describe what is put. */
export interface PutOptions {
  name: string;
  folder?: boolean; // the body is a tar stream
  size?: number;
  files?: number;
  policy?: Record<string, unknown>;
  progress?: (p: Progress) => void;
  signal?: AbortSignal;
}

/** TabOptions are what the page gives. */
export interface TabOptions {
  name: string;
  quota?: number;
}

const nothing: TabState = { phase: 'off', node: '', name: '', mesh: '', shared: false, workers: 0, offered: 0, settings: resting, elsewhere: false };

/** TabNode starts, watches and calls the tab's node. */
export class TabNode {
  private state_: TabState = nothing;
  private readonly listeners = new Set<(s: TabState) => void>();
  private calls: Calls | undefined;
  private hosted: Hosted | undefined;
  private readonly over = new AbortController();
  private yielding = '';
  private unwatch: () => void = () => undefined;

  constructor(private readonly o: TabOptions) {}

  get state(): TabState { return this.state_; }

  /** arena is the memory that the threads share; undefined without it, and in a tab that uses another's node. */
  get arena(): SharedArrayBuffer | undefined { return this.hosted?.arena(); }

  /** sensor tells the kernel that a sensor of this tab was switched. */
  sensor(name: string, sensor: number, on: boolean): void { this.hosted?.sensor(name, sensor, on); }

  /** subscribe calls fn at every change of the state until it is taken back. */
  subscribe(fn: (s: TabState) => void): () => void {
    this.listeners.add(fn);
    return () => { this.listeners.delete(fn); };
  }

  private set(s: Partial<TabState>): void {
    this.state_ = { ...this.state_, ...s };
    for (const fn of this.listeners) {
      try {
        fn(this.state_);
      } catch (e) {
        reportError(e); // a listener's defect is not the node's
      }
    }
  }

  /** start runs the node in this tab, or uses that of another tab. It returns at once. */
  start(): void {
    if (this.state_.phase !== 'off') return;
    this.set({ phase: 'starting', settings: kept() });
    void navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => lock ? this.host() : this.follow());
  }

  /** host runs the node until this tab is closed or told to end. The lock is held meanwhile. */
  private async host(): Promise<void> {
    this.set({ elsewhere: false });
    this.unwatch = watchPower((why) => { this.yielding = why; void this.tell(); });
    this.hosted = hostOf({
      channel: new BroadcastChannel(CHANNEL),
      boot: { name: this.o.name, quota: this.o.quota ?? 0, network: startNetwork, settings: () => ({ ...kept(), yield: this.yielding }) },
      up: (calls) => this.use(calls),
      down: (reason, again) => { this.calls = undefined; this.set({ phase: again ? 'starting' : 'failed', reason, offered: 0 }); },
      signal: this.over.signal,
    });
    await this.hosted.done;
    this.unwatch();
  }

  /** follow uses another tab's node, and waits to become the host. */
  private async follow(): Promise<void> {
    const channel = new BroadcastChannel(CHANNEL);
    this.set({ elsewhere: true });
    const leave = followHost(channel, {
      up: (wire) => this.use(new Calls(wire)),
      down: (why) => { this.calls = undefined; this.set({ phase: 'starting', reason: why, offered: 0 }); },
    });
    addEventListener('pagehide', leave);
    try {
      await navigator.locks.request(LOCK, { signal: this.over.signal }, async () => {
        removeEventListener('pagehide', leave);
        leave();
        this.calls?.close('this tab takes the node over');
        channel.close();
        await this.host();
      });
    } catch (e) {
      if (!this.over.signal.aborted) this.set({ phase: 'failed', reason: String(e) });
    }
  }

  /** use takes a kernel that answers, and follows its state. */
  private use(calls: Calls): void {
    this.calls = calls;
    calls.call('watch', undefined, { item: (s) => this.set({ reason: '', ...(s as TabState) }) }).catch(() => undefined);
  }

  /** end stops everything of this tab; another tab of the profile may take over. */
  end(): void {
    this.over.abort();
    this.set(nothing);
  }

  private tell(): Promise<unknown> {
    return this.calls?.call('configure', { ...kept(), yield: this.yielding }).catch(() => undefined) ?? Promise.resolve();
  }

  /** configure keeps what others may use of this tab. */
  async configure(s: Omit<TabSettings, 'yield'>): Promise<void> {
    localStorage.setItem(SETTINGS, JSON.stringify(s));
    this.set({ settings: { ...s, yield: this.state_.settings.yield } });
    await this.call('configure', { ...s, yield: this.state_.elsewhere ? this.state_.settings.yield : this.yielding });
  }

  /** call makes any call of server/tab. */
  call<T>(method: string, args?: unknown, options?: CallOptions): Promise<T> {
    const calls = this.calls;
    if (!calls) return Promise.reject(new Error(this.state_.reason || 'this tab’s node is not running'));
    return calls.call<T>(method, args, options);
  }

  join(invite: string, leave = false): Promise<TabState> { return this.call('join', { invite, leave }); }
  leave(): Promise<TabState> { return this.call('leave'); }
  stop(): Promise<TabState> { return this.call('stop'); }
  exportIdentity(): Promise<string> { return this.call('export'); }
  importIdentity(secret: string): Promise<TabState> { return this.call('import', secret); }

  status(): Promise<Status> { return this.call('status'); }
  arenaMap(): Promise<ArenaMap> { return this.call('arena'); }
  peers(): Promise<Peer[]> { return this.call('peers'); }
  doctor(): Promise<Check[]> { return this.call('doctor'); }
  modules(): Promise<ModuleInfo[]> { return this.call('modules'); }
  stat(link: string, path = '', after = ''): Promise<Stat> { return this.call('stat', { link, path, after, limit: 1000 }); }
  list(after = '', find = ''): Promise<{ objects: StoredObject[]; next?: string }> { return this.call('list', { after, find }); }
  remove(link: string): Promise<unknown> { return this.call('remove', link); }
  holders(link: string): Promise<Holders> { return this.call('holders', link); }
  quote(r: RunRequest): Promise<Quote> { return this.call('quote', r); }
  jobs(filter: Record<string, unknown> = {}): Promise<{ jobs: Job[]; next?: string }> { return this.call('jobs', filter); }
  cancelJob(id: string): Promise<unknown> { return this.call('jobCancel', id); }
  credits(filter: Record<string, unknown> = {}): Promise<CreditsReport> { return this.call('credits', filter); }

  /** run calls each with every state of every job, and resolves when all are final. */
  async run(r: RunRequest, each: (j: Job) => void, signal?: AbortSignal): Promise<void> {
    await this.call('run', r, { item: (j) => each(j as Job), ...(signal ? { signal } : {}) });
  }

  /** events calls each with what the log remembers after a position, then with what happens, until signal. */
  async events(since: number, each: (e: NodeEvent) => void, signal?: AbortSignal): Promise<void> {
    await this.call('events', since, { item: (e) => each(e as NodeEvent), ...(signal ? { signal } : {}) });
  }

  /** put stores a file, or a folder as a tar stream, and resolves when the receipts are in. */
  put(body: Blob | ReadableStream<Uint8Array>, o: PutOptions): Promise<StoredObject> {
    const args = { name: o.name, folder: o.folder ?? false, policy: o.policy ?? {}, size: o.size ?? (body instanceof Blob ? body.size : 0), files: o.files ?? 1 };
    return this.call('put', args, { body, item: (p) => o.progress?.(p as Progress), ...(o.signal ? { signal: o.signal } : {}) });
  }

  /** get streams a file, verified, or a folder as tar. begin hears what it is. */
  async get(link: string, o: { path?: string; tar?: boolean; offset?: number; length?: number; begin?: (i: FileInfo) => void; signal?: AbortSignal }, bytes: (b: Uint8Array) => void | Promise<void>): Promise<void> {
    await this.call('get', { link, path: o.path ?? '', tar: o.tar ?? false, offset: o.offset ?? 0, length: o.length ?? 0 },
      { item: (i) => o.begin?.(i as FileInfo), output: bytes, ...(o.signal ? { signal: o.signal } : {}) });
  }
}

/** kept is what the user chose on an earlier visit. */
function kept(): TabSettings {
  try {
    return { ...resting, ...(JSON.parse(localStorage.getItem(SETTINGS) ?? '{}') as Partial<TabSettings>), yield: '' };
  } catch {
    return resting;
  }
}

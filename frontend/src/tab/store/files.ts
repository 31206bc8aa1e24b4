// The files under a tab's block store (host/opfs): three of the origin private file
// system, held by this worker alone. The Go kernel runs in the same worker and
// calls `files` as a global; everything but `open` answers at once, because sync
// access handles do, so Go's one thread never waits for a promise to read or write.
//
// Bytes cross through `scratch`: one copy of memory, not one object per call.

/** The bytes of one call; larger reads and writes take several. */
export const SCRATCH = (1 << 20) + (64 << 10);

/** What calls return in place of a count. */
export const FULL = -1; // no room: the browser's quota is used up
export const FAILED = -2; // anything else; failure() says what

const RETRY_MS = 20;

/** How often the browser is asked how much room there is, at most. */
const ESTIMATE_MS = 1_000;

/** An open store's files, numbered as they were named. */
export interface Files {
  scratch: Uint8Array;
  /** read fills the scratch from a file, and returns how many bytes were there. */
  read(file: number, at: number, length: number): number;
  /** write takes the scratch's first bytes. After FULL the file may have any part of them. */
  write(file: number, at: number, length: number): number;
  flush(file: number): number;
  truncate(file: number, size: number): number;
  size(file: number): number;
  failure(): string;
  /** room is how many bytes the browser still gives this site, as it lately said. */
  room(): number;
  close(): void;
}

/**
 * Opened is the files, or why there are none: `busy` means another tab has them,
 * `none` that this browser keeps no such files here.
 */
export type Opened = { files: Files } | { busy: string } | { none: string };

/**
 * open takes the files of a store, making them if need be, until close. It waits
 * so long for another tab, or this tab's previous worker, to let go of them.
 */
export async function open(store: string, names: string[], patienceMs: number): Promise<Opened> {
  if (typeof navigator.storage?.getDirectory !== 'function' || typeof FileSystemFileHandle === 'undefined'
    || !('createSyncAccessHandle' in FileSystemFileHandle.prototype)) {
    return { none: 'this browser has no private file system for pages' };
  }
  let folder: FileSystemDirectoryHandle;
  try {
    const root = await navigator.storage.getDirectory();
    folder = await (await root.getDirectoryHandle('inos', { create: true })).getDirectoryHandle(store, { create: true });
  } catch (e) {
    return { none: `this browser keeps no files for this page, as in a private window (${text(e)})` };
  }
  const release = await lock(`inos-store:${store}`, patienceMs);
  if (!release) return { busy: 'another tab or window has this store open' };
  const handles: FileSystemSyncAccessHandle[] = [];
  try {
    for (const name of names) handles.push(await handle(folder, name, patienceMs));
    const room = await watchRoom();
    return { files: files(handles, room, release) };
  } catch (e) {
    for (const h of handles) h.close();
    release();
    if (e instanceof DOMException && e.name === 'NoModificationAllowedError') return { busy: 'another worker has the files of this store open' };
    throw e;
  }
}

const text = (e: unknown) => (e instanceof Error ? `${e.name}: ${e.message}` : String(e));

/** lock takes a Web Lock and returns what releases it, or undefined if another keeps it. */
async function lock(name: string, patienceMs: number): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const held = navigator.locks.request(name, { signal: AbortSignal.timeout(patienceMs) }, () => new Promise<void>((release) => resolve(release)));
    held.catch((e: unknown) => (e instanceof DOMException && (e.name === 'TimeoutError' || e.name === 'AbortError') ? resolve(undefined) : reject(e)));
  });
}

/** handle opens a file. A worker that just ended may hold it a moment longer. */
async function handle(folder: FileSystemDirectoryHandle, name: string, patienceMs: number): Promise<FileSystemSyncAccessHandle> {
  const f = await folder.getFileHandle(name, { create: true });
  for (const end = Date.now() + patienceMs; ;) {
    try {
      return await f.createSyncAccessHandle();
    } catch (e) {
      if (!(e instanceof DOMException) || e.name !== 'NoModificationAllowedError' || Date.now() > end) throw e;
      await new Promise((ok) => setTimeout(ok, RETRY_MS));
    }
  }
}

interface Room {
  bytes(): number;
  /** wrote says that a file grew; the browser is asked again before long. */
  wrote(bytes: number): void;
}

/** watchRoom keeps the browser's estimate, less what was written since. No timer runs while nothing is written. */
async function watchRoom(): Promise<Room> {
  let bytes = Number.MAX_SAFE_INTEGER;
  let asked = 0;
  const ask = async () => {
    asked = Date.now();
    const { quota, usage } = await navigator.storage.estimate();
    if (quota !== undefined) bytes = Math.max(0, quota - (usage ?? 0));
  };
  await ask().catch(() => undefined); // unknown is unbounded: a write will tell
  return {
    bytes: () => bytes,
    wrote(n) {
      bytes = Math.max(0, bytes - n);
      if (Date.now() - asked > ESTIMATE_MS) void ask().catch(() => undefined);
    },
  };
}

function files(handles: FileSystemSyncAccessHandle[], room: Room, release: () => void): Files {
  const scratch = new Uint8Array(SCRATCH);
  const sizes = handles.map((h) => h.getSize());
  let failure = '';
  /** attempt does something with a handle and turns what it throws into a number. */
  const attempt = (file: number, work: (h: FileSystemSyncAccessHandle) => number): number => {
    try {
      const h = handles[file];
      if (!h) throw new Error(`there is no file ${file}`);
      return work(h);
    } catch (e) {
      failure = text(e);
      return e instanceof DOMException && e.name === 'QuotaExceededError' ? FULL : FAILED;
    }
  };
  const grown = (file: number, size: number) => {
    const more = size - (sizes[file] ?? 0);
    if (more > 0) room.wrote(more);
    sizes[file] = Math.max(size, sizes[file] ?? 0);
  };
  return {
    scratch,
    read: (file, at, length) => attempt(file, (h) => h.read(scratch.subarray(0, length), { at })),
    write: (file, at, length) => attempt(file, (h) => {
      const n = h.write(scratch.subarray(0, length), { at });
      grown(file, at + n);
      return n;
    }),
    flush: (file) => attempt(file, (h) => { h.flush(); return 0; }),
    truncate: (file, size) => attempt(file, (h) => {
      h.truncate(size);
      if (size < (sizes[file] ?? 0)) sizes[file] = size;
      else grown(file, size);
      return 0;
    }),
    size: (file) => attempt(file, (h) => h.getSize()),
    failure: () => failure,
    room: () => room.bytes(),
    close: () => {
      for (const h of handles) h.close();
      handles.length = 0;
      release();
    },
  };
}

/** install makes open known to the Go kernel of this worker. */
export function install(): void {
  (globalThis as { inosStore?: { open: typeof open } }).inosStore = { open };
}

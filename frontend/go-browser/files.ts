// The files a Go program sees in the browser: Node's `fs` as far as Go's syscall
// package calls it. The module's files are read from the runner over HTTP, on
// demand and read-only; everything written lives in this worker's memory and
// covers them. Calls answer at once, through their callbacks.

interface Entry {
  folder: Map<string, true> | undefined; // names, of a folder
  data: Uint8Array;                      // bytes, of a file; as long as `size` at least
  size: number;
  mode: number;
  time: number; // ms
}

interface Open {
  entry: Entry;
  append: boolean;
  at: number;
}

type Done = (error: Error | null, value?: unknown) => void;

class FileError extends Error {
  constructor(readonly code: string) {
    super(code);
  }
}

const constants = { O_WRONLY: 1, O_RDWR: 2, O_CREAT: 64, O_EXCL: 128, O_TRUNC: 512, O_APPEND: 1024, O_DIRECTORY: 65536 };
const folderMode = 0o040755;
const fileMode = 0o100644;

export class Files {
  readonly constants = constants;
  #entries = new Map<string, Entry | null>(); // null: known to be absent
  #open = new Map<number, Open>();
  #next = 3;

  /** @param output receives what is written to descriptors 1 and 2. */
  constructor(public cwd: string, private readonly output: (fd: number, bytes: Uint8Array) => void) {
    this.#entries.set('/tmp', this.#folder());
  }

  #folder(): Entry {
    return { folder: new Map(), data: new Uint8Array(), size: 0, mode: folderMode, time: Date.now() };
  }

  resolve(path: string): string {
    const parts: string[] = [];
    for (const p of (path.startsWith('/') ? path : `${this.cwd}/${path}`).split('/')) {
      if (p === '..') parts.pop();
      else if (p !== '' && p !== '.') parts.push(p);
    }
    return '/' + parts.join('/');
  }

  /** find returns what is at an absolute path, asking the runner once. */
  #find(path: string): Entry | null {
    const known = this.#entries.get(path);
    if (known !== undefined) return known;
    const ask = new XMLHttpRequest();
    ask.open('GET', `/host?path=${encodeURIComponent(path)}`, false);
    ask.responseType = 'arraybuffer';
    ask.send();
    const data = new Uint8Array(ask.response as ArrayBuffer);
    let found: Entry | null = null;
    switch (ask.getResponseHeader('x-kind')) {
      case 'file':
        found = { folder: undefined, data, size: data.length, mode: fileMode, time: 0 };
        break;
      case 'folder': {
        const names = JSON.parse(new TextDecoder().decode(data)) as string[];
        found = { ...this.#folder(), folder: new Map(names.map((n) => [n, true])) };
      }
    }
    this.#entries.set(path, found);
    return found;
  }

  #need(path: string): Entry {
    const e = this.#find(this.resolve(path));
    if (!e) throw new FileError('ENOENT');
    return e;
  }

  #file(fd: number): Open {
    const f = this.#open.get(fd);
    if (!f) throw new FileError('EBADF');
    return f;
  }

  /** put binds a path to an entry, or to nothing, and tells its folder. */
  #put(path: string, entry: Entry | null): void {
    const cut = path.lastIndexOf('/');
    const parent = this.#find(path.slice(0, cut) || '/');
    if (!parent?.folder) throw new FileError('ENOENT');
    if (entry) parent.folder.set(path.slice(cut + 1), true);
    else parent.folder.delete(path.slice(cut + 1));
    this.#entries.set(path, entry);
  }

  #do(done: Done, work: () => unknown): void {
    let value: unknown;
    try {
      value = work();
    } catch (e) {
      if (!(e instanceof FileError)) throw e;
      done(e);
      return;
    }
    done(null, value);
  }

  #stat(e: Entry) {
    return {
      dev: 1, ino: 0, mode: e.mode, nlink: 1, uid: 0, gid: 0, rdev: 0, size: e.size, blksize: 4096, blocks: Math.ceil(e.size / 512),
      atimeMs: e.time, mtimeMs: e.time, ctimeMs: e.time, isDirectory: () => e.folder !== undefined,
    };
  }

  #resize(e: Entry, size: number): void {
    if (size > e.data.length) {
      const grown = new Uint8Array(Math.max(size, 2 * e.data.length));
      grown.set(e.data.subarray(0, e.size));
      e.data = grown;
    } else if (size < e.size) {
      e.data.fill(0, size, e.size);
    }
    e.size = size;
    e.time = Date.now();
  }

  open(path: string, flags: number, mode: number, done: Done): void {
    this.#do(done, () => {
      const full = this.resolve(path);
      let entry = this.#find(full);
      if (entry && flags & constants.O_CREAT && flags & constants.O_EXCL) throw new FileError('EEXIST');
      if (!entry) {
        if (!(flags & constants.O_CREAT)) throw new FileError('ENOENT');
        entry = { folder: undefined, data: new Uint8Array(), size: 0, mode: 0o100000 | mode, time: Date.now() };
        this.#put(full, entry);
      }
      if (entry.folder && flags & (constants.O_WRONLY | constants.O_RDWR)) throw new FileError('EISDIR');
      if (!entry.folder && flags & constants.O_DIRECTORY) throw new FileError('ENOTDIR');
      if (flags & constants.O_TRUNC) this.#resize(entry, 0);
      this.#open.set(this.#next, { entry, append: (flags & constants.O_APPEND) !== 0, at: 0 });
      return this.#next++;
    });
  }

  read(fd: number, to: Uint8Array, offset: number, length: number, at: number | null, done: Done): void {
    this.#do(done, () => {
      if (fd === 0) return 0;
      const f = this.#file(fd);
      if (f.entry.folder) throw new FileError('EISDIR');
      const from = at ?? f.at;
      const part = f.entry.data.subarray(from, Math.min(f.entry.size, from + length));
      to.set(part, offset);
      if (at === null) f.at += part.length;
      return part.length;
    });
  }

  write(fd: number, from: Uint8Array, offset: number, length: number, at: number | null, done: Done): void {
    this.#do(done, () => {
      const part = from.subarray(offset, offset + length);
      if (fd === 1 || fd === 2) {
        this.output(fd, part);
        return length;
      }
      const f = this.#file(fd);
      const to = f.append ? f.entry.size : at ?? f.at;
      if (to + length > f.entry.size) this.#resize(f.entry, to + length);
      f.entry.data.set(part, to);
      if (at === null) f.at = to + length;
      return length;
    });
  }

  /** writeSync is what the Go runtime itself prints with, as in a panic. */
  writeSync(fd: number, bytes: Uint8Array): number {
    this.output(fd, bytes);
    return bytes.length;
  }

  close(fd: number, done: Done): void {
    this.#do(done, () => {
      this.#file(fd);
      this.#open.delete(fd);
    });
  }

  fsync(_fd: number, done: Done): void { done(null); }
  stat(path: string, done: Done): void { this.#do(done, () => this.#stat(this.#need(path))); }
  lstat(path: string, done: Done): void { this.stat(path, done); }
  fstat(fd: number, done: Done): void {
    if (fd < 3) {
      done(null, this.#stat({ folder: undefined, data: new Uint8Array(), size: 0, mode: 0o020620, time: 0 }));
      return;
    }
    this.#do(done, () => this.#stat(this.#file(fd).entry));
  }
  truncate(path: string, size: number, done: Done): void { this.#do(done, () => this.#resize(this.#need(path), size)); }
  ftruncate(fd: number, size: number, done: Done): void { this.#do(done, () => this.#resize(this.#file(fd).entry, size)); }

  readdir(path: string, done: Done): void {
    this.#do(done, () => {
      const e = this.#need(path);
      if (!e.folder) throw new FileError('ENOTDIR');
      return [...e.folder.keys()].sort();
    });
  }

  mkdir(path: string, mode: number, done: Done): void {
    this.#do(done, () => {
      const full = this.resolve(path);
      if (this.#find(full)) throw new FileError('EEXIST');
      this.#put(full, { ...this.#folder(), mode: 0o040000 | mode });
    });
  }

  #remove(path: string, folder: boolean): void {
    const e = this.#need(path);
    if ((e.folder !== undefined) !== folder) throw new FileError(folder ? 'ENOTDIR' : 'EISDIR');
    if (e.folder?.size) throw new FileError('ENOTEMPTY');
    this.#put(this.resolve(path), null);
  }
  unlink(path: string, done: Done): void { this.#do(done, () => this.#remove(path, false)); }
  rmdir(path: string, done: Done): void { this.#do(done, () => this.#remove(path, true)); }

  rename(from: string, to: string, done: Done): void {
    this.#do(done, () => {
      const e = this.#need(from);
      if (e.folder) throw new FileError('ENOSYS'); // no test here moves folders
      this.#put(this.resolve(to), e);
      this.#put(this.resolve(from), null);
    });
  }

  chmod(path: string, mode: number, done: Done): void {
    this.#do(done, () => {
      const e = this.#need(path);
      e.mode = (e.mode & 0o170000) | mode;
    });
  }
  fchmod(fd: number, mode: number, done: Done): void {
    this.#do(done, () => {
      const { entry } = this.#file(fd);
      entry.mode = (entry.mode & 0o170000) | mode;
    });
  }
  utimes(path: string, _access: number, modified: number, done: Done): void {
    this.#do(done, () => { this.#need(path).time = modified * 1000; });
  }

  chown(_path: string, _uid: number, _gid: number, done: Done): void { done(new FileError('ENOSYS')); }
  fchown(_fd: number, _uid: number, _gid: number, done: Done): void { done(new FileError('ENOSYS')); }
  lchown(_path: string, _uid: number, _gid: number, done: Done): void { done(new FileError('ENOSYS')); }
  link(_path: string, _to: string, done: Done): void { done(new FileError('ENOSYS')); }
  symlink(_path: string, _to: string, done: Done): void { done(new FileError('ENOSYS')); }
  readlink(_path: string, done: Done): void { done(new FileError('EINVAL')); }
}

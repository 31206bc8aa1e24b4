// A word in shared memory by which one thread tells another to stop what it is doing: the other looks at it now and then, and
// may rest on it.

/** StopWord is the end that tells. The other watches its buffer. */
export class StopWord {
  readonly buffer = new SharedArrayBuffer(64);
  private readonly word = new Int32Array(this.buffer);

  /** set changes the word, and ends a rest; 0 means go on. */
  set(value: number): void {
    Atomics.store(this.word, 0, value);
    Atomics.notify(this.word, 0);
  }
}

/** WatchedWord is the word as the other thread sees it. A thread that nobody can tell has one of its own, which stays 0. */
export class WatchedWord {
  private readonly word: Int32Array | undefined;

  constructor(buffer: SharedArrayBuffer | undefined) {
    try {
      // A page that is not isolated cannot share memory, but a thread can have some.
      this.word = new Int32Array(buffer ?? new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer);
    } catch {
      this.word = undefined; // nor memory to wait on
    }
  }

  /** get reads the word. */
  get(): number { return this.word ? Atomics.load(this.word, 0) : 0; }

  /** rest blocks the thread, which must be one that may stop, until the word is not 0 or so many milliseconds are over. It does nothing where no thread can wait. */
  rest(ms: number): void { if (this.word) Atomics.wait(this.word, 0, 0, ms); }
}

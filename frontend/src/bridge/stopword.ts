// A word in shared memory by which one thread tells another to stop what it is doing: the other looks at it now and then.

/** StopWord is the end that tells. The other watches its buffer. */
export class StopWord {
  readonly buffer = new SharedArrayBuffer(64);
  private readonly word = new Int32Array(this.buffer);

  /** set changes the word; 0 means go on. */
  set(value: number): void { Atomics.store(this.word, 0, value); }

  /** watch returns a function that reads the word of a thread that tells. */
  static watch(buffer: SharedArrayBuffer | undefined): () => number {
    const word = buffer && new Int32Array(buffer);
    return () => (word ? Atomics.load(word, 0) : 0);
  }
}

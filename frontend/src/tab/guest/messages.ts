// What the kernel and a module worker say to each other. Numbers of 64 bits travel as decimal strings, because
// Go cannot make a BigInt. Bytes are transferred, not copied, where they have a buffer of their own.

/** Rules are what a guest pays and what bounds it: the numbers of kernel/module/guest and kernel/module/meter. */
export interface Rules {
  slice: number; ioShift: number; syscallGas: number; logGas: number; wasiGas: number; vecGas: number; subGas: number; randomGas: number;
  initGas: number; initWallMS: number; maxLogLine: number; maxLogLines: number; maxIOVecs: number; maxSubs: number; maxRandom: number;
  clockStepUS: number; randomContext: string; windowInput: number; maxResponse: number; maxSyscall: number; maxMemory: number;
  reasonStack: number; reasonTable: number; importModule: string; wasi: string; gas: string; start: string;
}

/** Info is what the kernel found in a module. */
export interface Info {
  abi: number;
  sticky: boolean;      // needs a new instance for each call
  globals: string[];    // export names of the mutable globals
  memMax: number;       // pages
  firstFunction: number; // index of the first function that is not imported
  types: Record<string, string>; // of the imported functions, by MODULE.NAME
}

/** Call is one call of inos_call. */
export interface Call {
  t: 'call'; id: number; hash: string;
  request: Uint8Array;  // the Request message; where the input lies is put in at these
  pointerAt: number;
  lengthAt: number;
  input: Uint8Array | null;
  gas: string; memory: number; wallMS: number; submittedMS: string; seed: Uint8Array;
  logs: boolean;        // somebody wants the log lines
  share: number;        // of the time that the guest may run; 0 and 1 mean all
}

/** ToWorker is what the kernel sends. */
export type ToWorker =
  | { t: 'rules'; rules: string }
  | { t: 'compile'; id: number; original: Uint8Array<ArrayBuffer>; metered: Uint8Array<ArrayBuffer> }
  | { t: 'load'; id: number; hash: string; module: WebAssembly.Module; info: string }
  | { t: 'drop'; hash: string }
  | Call
  | { t: 'read'; id: number; pointer: number; length: number }
  | { t: 'end'; reuse: boolean };

/** Used is what a call took: gas, and microseconds inside the guest and of rest. */
export interface Used { gas: string; us: number; restUS: number }

/** Failure says why a guest is at its end: code names a Stop of kernel/module/guest, or 'trap'. */
export interface Failure extends Used { t: 'failed'; id: number; start: boolean; code: string; text: string; frames: string[] }

/** FromWorker is what a module worker sends. */
export type FromWorker =
  | { t: 'compiled'; id: number; module: WebAssembly.Module }
  | { t: 'loaded'; id: number; abi: number }
  | ({ t: 'answered'; id: number; pointer: number; length: number; response: Uint8Array | null } & Used)
  | { t: 'bytes'; id: number; bytes: Uint8Array | null }
  | { t: 'log'; level: number; line: Uint8Array }
  | { t: 'syscall'; request: Uint8Array; left: string; rested: boolean }
  | { t: 'viewed'; bytes: Uint8Array | null; left: string }
  | { t: 'given'; pointer: number; length: number; left: string; code: string; text: string; frames: string[] }
  | { t: 'crashed'; text: string }
  | Failure;

/** What the kernel says to a guest that waits for a system call, in the first byte of a message of its port. */
export const VIEW = 1;    // pointer, length: u32 each
export const GIVE = 2;    // length: u32, then bytes that the guest gets in memory of its own; what does not fit follows in messages of bytes alone
export const DONE = 3;    // i64 of gas to charge, then the completion
export const ABANDON = 4; // the call is over: nobody waits for the guest
export const FILL = 5;    // pointer, length: u32 each, then bytes for that place, which go on like GIVE's

// Why guests stop, and what a browser's errors mean.

/** Stop ends a guest: an import throws it, and WebAssembly code cannot catch it. code names a Stop of kernel/module/guest. */
export class Stop {
  constructor(readonly code: string, readonly text = '', readonly frames: string[] = []) {}
}

/** texts are V8's words for traps and what every INOS engine calls them. Words of other browsers pass as they are. */
const texts: [RegExp, string][] = [
  [/^unreachable/, 'unreachable'],
  [/^(divide|remainder) by zero/, 'integer divide by zero'],
  [/^divide result unrepresentable/, 'integer overflow'],
  [/^float unrepresentable/, 'integer overflow'],
  [/^memory access out of bounds|^data segment/, 'out of bounds memory access'],
  [/^(null function or )?function signature mismatch|^indirect call signature/, 'indirect call type mismatch'],
  [/^table index is out of bounds|^table access out of bounds|^element segment/, 'invalid table access'],
];

const frame = /^\s*at (?:(.*) \()?wasm:\/\/wasm\/[^:]*:wasm-function\[(\d+)\]/;

/**
 * ofTheTab is what a browser throws when it lacks stack or memory, which is not the module's doing: RangeError in V8 and
 * JavaScriptCore, InternalError ("too much recursion", "out of memory") in SpiderMonkey. It is undefined for anything else.
 */
function ofTheTab({ name, message }: Error): Stop | undefined {
  if (/call stack|recursion/i.test(message)) return new Stop('SmallStack');
  if (name === 'RangeError' || name === 'InternalError' || /out of memory/i.test(message)) return new Stop('memory', message);
  return undefined;
}

/** reasonOf turns what a call threw into a Stop. The host has one import more than the others, before firstFunction. */
export function reasonOf(e: unknown, firstFunction: number): Stop {
  if (e instanceof Stop) return e;
  if (!(e instanceof Error)) return new Stop('memory', String(e)); // SpiderMonkey's last word when memory is short
  const tab = ofTheTab(e);
  if (tab) return tab;
  const frames: string[] = [];
  for (const line of (e.stack ?? '').split('\n')) {
    const m = frame.exec(line);
    if (!m) continue;
    const index = Number(m[2]);
    frames.push(m[1] ?? `$${index >= firstFunction ? index - 1 : index}`);
  }
  const text = texts.find(([words]) => words.test(e.message))?.[1] ?? e.message;
  return new Stop('trap', text, frames);
}

import { expect, it } from 'vitest';
import { Stop, reasonOf } from './stop.ts';

/** named is an error of a class that this engine lacks. */
const named = (name: string, message: string): Error => Object.assign(new Error(message), { name });

it.each<[string, unknown, string]>([
  ['V8 and JavaScriptCore', new RangeError('Maximum call stack size exceeded.'), 'SmallStack'],
  ['SpiderMonkey', named('InternalError', 'too much recursion'), 'SmallStack'],
  ['V8, of memory', new RangeError('Array buffer allocation failed'), 'memory'],
  ['JavaScriptCore, of memory', new RangeError('Out of memory'), 'memory'],
  ['SpiderMonkey, of memory', named('InternalError', 'allocation size overflow'), 'memory'],
  ['SpiderMonkey, out of memory', 'out of memory', 'memory'],
  ['a trap', new WebAssembly.RuntimeError('unreachable'), 'trap'],
  ['a trap at the end of memory', new WebAssembly.RuntimeError('memory access out of bounds'), 'trap'],
  ['a stop', new Stop('OutOfGas'), 'OutOfGas'],
])('tells what the tab lacks from what the module did: %s', (_, thrown, code) => expect(reasonOf(thrown, 0).code).toBe(code));

// The message that starts a resident, as the kernel would write it.
import * as capnp from 'capnp-es';
import { Request } from '../../../protocols/gen/ts/module/v1/call.ts';

/** startRequest is the Request message for a call without input. */
export function startRequest(unit: string, method: string, params: object): Uint8Array {
  const m = new capnp.Message();
  const q = m.initRoot(Request);
  q.unit = unit;
  q.method = method;
  const json = new TextEncoder().encode(JSON.stringify(params));
  q._initParams(json.length).copyBuffer(json);
  q._initInput();
  q._initJobSeed(32);
  return new Uint8Array(m.toArrayBuffer());
}

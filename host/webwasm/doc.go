// Package webwasm runs guest modules in a browser's workers behind the interface
// of kernel/module: the same files, the same bytes, the same gas as host/wasm.
//
// The kernel's thread parses, validates and meters a module (kernel/module/meter,
// with Options.Browser) and decides about every call. A module worker
// (frontend/src/tab/module.worker.ts) compiles and instantiates with WebAssembly
// and plays the host that the guest imports: slices of gas, logs, the deterministic
// subset of WASI, system calls. What a guest pays and is told stands once, in
// kernel/module/guest, whose numbers the kernel sends to each worker.
//
// How a guest is stopped: as natively, its metered code calls the host at the end
// of each slice of gas. The worker looks at its clock and, in shared memory, at a
// word by which the kernel ends a call, and throws. A worker that does not
// answer in time is terminated; a browser may need two seconds to end such a thread,
// which is why this is the last resort.
//
// How a guest keeps to its share (module.Call.Share): the worker rests in Atomics.wait
// between slices, and after the guest's end for what it still owes, before it answers:
// with its slot, so that so many slots take no more than their share. The word by which the
// kernel ends a call ends a rest too.
//
// System calls: the worker posts the request and stops in Atomics.wait until
// the kernel has served it, and gives the guest's worker's slot to another
// meanwhile. Without shared memory no guest can wait: one that makes a system call is
// stopped and the job goes to another node; the others run.
//
// Invariants:
//   - A worker runs one call at a time. An instance whose call failed in any way
//     but a well-formed response is dropped; a worker that misbehaves is terminated.
//   - At most Config.Workers guests run at once. There are as many threads, and one
//     more for each guest that waits for a system call, at most maxThreads.
//   - What a worker says is checked like what a guest says: it ran the guest.
//
// docs/tab.md has the picture.
package webwasm

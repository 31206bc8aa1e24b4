// Package browser is the tab that the kernel runs in, as far as every part of it
// needs: ports to the other threads, and the arena they share.
//
// The kernel runs in a worker of its own. JavaScript there hands it what it may
// use as one object, globalThis.inosHost (frontend/src/tab/kernel.worker.ts):
// ports by name and, where the page is cross-origin isolated, the arena as a
// SharedArrayBuffer. Go cannot map that buffer. It reads what other threads write
// with Shared, for its twin, and keeps its own image of what it writes itself,
// which Mirror copies into the buffer.
//
// Invariants:
//   - Nothing here polls: a goroutine waits on a channel that a callback of
//     JavaScript fills.
//   - A callback never blocks; Go has one thread here, and the event loop is it.
//   - What may throw is called with Call. All else that the page hands over throws
//     nothing: an exception would be a panic and end the kernel.
//   - A crossing into JavaScript costs 0.1 to 0.2 us and a copy 29 us a MiB, so
//     each message costs two crossings and one copy, whatever its size.
//
// docs/tab.md draws the threads.
package browser

// Package node assembles one running node: it opens the hosts (memory, disk,
// network, WebAssembly, ledger), drives the kernel's state machines with what
// happens, performs their effects, and answers the local API.
//
// A node founds a mesh on its first start unless Join gave it a membership in
// another one. The founder is the mesh's seed: it holds the root key, admits
// members and keeps the ledger.
//
// Lifecycle: Start returns a node that serves; Close drains it (no new puts or
// jobs, running ones end or are stopped) and releases everything within
// DrainTime. Every goroutine a node starts is counted in tasks and ends with
// ctx.
package node

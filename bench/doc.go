// Package bench measures what docs/status.md promises, with real node
// processes on this machine, and the same work on peers whose binaries are on
// the PATH, in the same run.
//
// Every figure is the median of several runs. Machines are noisy: compare
// ratios within one run before figures across runs. Timings include the
// client, its Unix socket and the node, as a user meets them.
package bench

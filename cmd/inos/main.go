// Command inos runs a node and speaks to one.
//
// Every subcommand has a file of its own and is wiring only: it reads flags,
// calls the node through package client, and prints. Results go to standard
// output, everything else to standard error. docs/cli.md documents the commands
// and exit codes.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"inos/bench/shmem"
)

func main() {
	if shmem.Child() { // inos bench started this process to be woken
		return
	}
	a := &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		inTTY:   term.IsTerminal(int(os.Stdin.Fd())),
		outTTY:  term.IsTerminal(int(os.Stdout.Fd())),
		errTTY:  term.IsTerminal(int(os.Stderr.Fd())),
		environ: os.Environ, now: time.Now,
	}
	ctx, stop := interruptible(context.Background(), os.Exit)
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// sameSignal is how long repeats of the first signal count as the same: a
// supervisor often signals a process and then its group.
const sameSignal = 500 * time.Millisecond

// interruptible ends ctx at the first SIGINT or SIGTERM and the process at the
// second.
func interruptible(ctx context.Context, exit func(int)) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go obey(signals, time.Now, cancel, exit)
	return ctx, cancel
}

// obey calls stop at the first signal and exit at the next that is not a repeat
// of it.
func obey(signals <-chan os.Signal, now func() time.Time, stop func(), exit func(int)) {
	<-signals
	first := now()
	stop()
	for range signals {
		if now().Sub(first) >= sameSignal {
			exit(exitInterrupted)
			return
		}
	}
}

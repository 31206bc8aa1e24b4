package sched

import "inos/kernel/api"

// Bounds of the machine's tables.
const (
	MaxEscrows  = 1 << 16 // escrows not yet closed; placement on paid workers waits beyond it
	MaxHolders  = 16      // holders of an input that are looked at
	MaxWarm     = 64      // compiled modules remembered of a worker
	maxAttempts = 200     // attempts at one job, refusals by busy workers included
	maxCommands = 4       // ledger commands of one kind in flight
	lookahead   = 16      // waiting jobs of a batch looked at for one placement
	maxSkips    = 64      // times the first of them may be overtaken
	ringBudget  = 256     // batches looked at in one Step
)

// Config fixes a machine's parameters. Times are in milliseconds; zero means the
// default.
type Config struct {
	Self          api.NodeID // this node, the payer; required
	MaxJobs       int        // jobs not yet final; default and most 2*api.MaxBatchJobs
	MaxFailures   int        // failed attempts after which a job fails; default 4, most 16
	Window        int        // jobs kept at a worker beyond the ones it runs; default its Workers, at least 2
	QuoteMaxAge   int64      // how long a gossiped price counts as quoted; default 30 s
	QuoteTimeout  int64      // default 5 s
	WaitForWorker int64      // how long a job waits while no suitable worker is online; default 10 s
	Slack         int64      // added to an attempt's run time for transfers and queues; default 60 s
	EscrowMargin  int64      // from an attempt's end to its escrow's expiry; default 60 s
}

func (c Config) validate() (Config, error) {
	const op = "sched.config"
	if c.Self.IsZero() {
		return c, api.Errorf(op, api.Invalid, "the scheduler needs the id of its node")
	}
	for _, v := range []int64{int64(c.MaxJobs), int64(c.MaxFailures), int64(c.Window), c.QuoteMaxAge, c.QuoteTimeout, c.WaitForWorker, c.Slack, c.EscrowMargin} {
		if v < 0 {
			return c, api.Errorf(op, api.Invalid, "a parameter of the scheduler is negative")
		}
	}
	if c.MaxJobs > 2*api.MaxBatchJobs || c.MaxFailures > 16 {
		return c, api.Errorf(op, api.Invalid, "at most 200000 jobs and 16 failures a job")
	}
	c.MaxJobs = or(c.MaxJobs, 2*api.MaxBatchJobs)
	c.MaxFailures = or(c.MaxFailures, 4)
	c.QuoteMaxAge = or(c.QuoteMaxAge, 30_000)
	c.QuoteTimeout = or(c.QuoteTimeout, 5_000)
	c.WaitForWorker = or(c.WaitForWorker, 10_000)
	c.Slack = or(c.Slack, 60_000)
	c.EscrowMargin = or(c.EscrowMargin, 60_000)
	return c, nil
}

func or[T int | int64](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

package supervise

import "inos/kernel/api"

// Config fixes a machine's parameters. Times are in milliseconds; zero means the
// default.
type Config struct {
	Modules      int   // supervisors; default and most 256, the arena's slots
	Payers       int   // payers with crashes remembered of a module; default 64, most 1024
	StartCrashes int   // failures to start in a row that end in quarantine; default 5
	CrashPayers  int   // payers whose traps, without a success between them, end in quarantine; default 3, at least 2
	CrashInputs  int   // distinct inputs of those traps; default 8, most 64
	PayerCrashes int   // traps in a row that keep their payer out; default 16
	PayerFree    int   // traps in a row before a payer waits for its next call; default 3
	Degraded     int   // traps in a row, of anybody, that make a module degraded; default 3
	BackoffFirst int64 // wait after the first failure; default 250 ms
	BackoffMost  int64 // longest wait; default 30 s
	Window       int64 // traps further back are forgotten; default 10 min
	Isolation    int64 // how long a payer is kept out; default 10 min
	Recover      int64 // a degraded module is healthy after a success this long after its last crash; default 5 s
}

// MaxModules bounds the supervisors of a node.
const MaxModules = 256

func (c Config) withDefaults() (Config, error) {
	for _, f := range []struct {
		v         *int
		otherwise int
		least     int
		most      int
	}{
		{&c.Modules, MaxModules, 1, MaxModules},
		{&c.Payers, 64, 1, 1024},
		{&c.StartCrashes, 5, 1, 64},
		{&c.CrashPayers, 3, 2, 64},
		{&c.CrashInputs, 8, 1, 64},
		{&c.PayerCrashes, 16, 1, 1 << 16},
		{&c.PayerFree, 3, 1, 1 << 16},
		{&c.Degraded, 3, 1, 1 << 16},
	} {
		if *f.v == 0 {
			*f.v = f.otherwise
		}
		if *f.v < f.least || *f.v > f.most {
			return c, errConfig()
		}
	}
	for _, f := range []struct {
		v         *int64
		otherwise int64
	}{
		{&c.BackoffFirst, 250},
		{&c.BackoffMost, 30_000},
		{&c.Window, 600_000},
		{&c.Isolation, 600_000},
		{&c.Recover, 5_000},
	} {
		if *f.v == 0 {
			*f.v = f.otherwise
		}
		if *f.v < 1 || *f.v > 24*3600*1000 {
			return c, errConfig()
		}
	}
	if c.BackoffMost < c.BackoffFirst || c.Payers < c.CrashPayers {
		return c, errConfig()
	}
	return c, nil
}

func errConfig() error {
	return api.Errorf("supervise.config", api.Invalid, "a parameter of the supervisor is outside its bounds")
}

// backoff is the wait before the n-th try after a failure, n from 1: doubled
// each time, and drawn between half of that and all of it, so that modules that
// failed together do not come back together.
//
// Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015
// ("equal jitter").
func (c Config) backoff(n int, random uint64) int64 {
	most := c.BackoffMost
	if n-1 < 40 {
		most = min(most, c.BackoffFirst<<(n-1))
	}
	half := most / 2
	return half + int64(random%uint64(most-half+1))
}

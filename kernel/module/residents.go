package module

import (
	"context"
	"encoding/json"

	"inos/kernel/arena"
)

// ResidentConfig says how a resident runs.
type ResidentConfig struct {
	Params  json.RawMessage // of its method "start"; empty means {}
	Workers int             // 1 to 8; 0 means 1
	Rate    float64         // steps a second at most; 0 means as many as it can

	// Log receives the resident's log lines, from one goroutine at a time. nil
	// drops them.
	Log func(level LogLevel, line []byte)
}

// ResidentEngine is an Engine that runs residents too.
type ResidentEngine interface {
	// StartResident starts the resident in wasm in the engine's arena, which a is
	// open over, and returns once its first state is made. It runs until Stop, a
	// failure, or the engine's end.
	//
	// Errors: Invalid for a file that is no acceptable resident or parameters
	// that it does not take; Conflict when its place is taken; Exhausted when the
	// arena has no memory for it; Unsupported where nothing can share memory;
	// Trapped; Closed.
	StartResident(ctx context.Context, a *arena.Arena, wasm []byte, cfg ResidentConfig) (Resident, error)
}

// Resident is one run of a module inside the arena. All methods are safe for
// concurrent use.
type Resident interface {
	// Done is closed when it has ended; then nothing of it is left in the arena.
	Done() <-chan struct{}

	// Err says why it ended: nil while it runs and after Stop.
	Err() error

	// Stop ends it and waits until it has.
	Stop()

	// Steps and Gas are what it made and used so far; States names the states
	// that it shows, and Owner is whose they and its memory are in the arena.
	Steps() uint64
	Gas() uint64
	States() []string
	Owner() arena.Owner
}

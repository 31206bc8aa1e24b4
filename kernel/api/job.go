package api

import "encoding/json"

// JobSpec is one call of a module's method on at most one input. A map over
// many inputs is many JobSpecs with one Batch id.
type JobSpec struct {
	ID         ID              `json:"id"`
	Batch      ID              `json:"batch"`
	Payer      NodeID          `json:"payer"`
	Module     Hash            `json:"module"`      // BLAKE3 of the module file
	ModuleLink Link            `json:"module_link"` // public object with the file; zero for built-in modules
	Unit       string          `json:"unit"`
	Method     string          `json:"method"`
	Params     json.RawMessage `json:"params,omitempty"`     // JSON object, canonical (sorted keys, no spaces)
	Input      Link            `json:"input"`                // zero when the method takes none
	InputPath  string          `json:"input_path,omitempty"` // a file inside a folder object
	Limits     Limits          `json:"limits"`
	PriceCap   Credits         `json:"price_cap"` // most the payer pays for this job; 0 means what the node's price bounds allow
	Deadline   int64           `json:"deadline"`  // Unix milliseconds; 0 means none beyond Limits.WallMS
	Priority   Priority        `json:"priority"`
	Submitted  int64           `json:"submitted"` // Unix milliseconds; the guest's virtual clock starts here
	Node       NodeID          `json:"node"`      // run only there; zero lets the scheduler choose
	OutputKey  [32]byte        `json:"-"`         // namespace key that seals the output; derived by the payer
}

// Limits bound one call. Zero means the default; a node caps them with its own.
type Limits struct {
	Gas         uint64 `json:"gas"`          // DefaultGas
	MemoryBytes uint64 `json:"memory_bytes"` // linear memory, DefaultMemory
	OutputBytes uint64 `json:"output_bytes"` // DefaultOutput
	WallMS      uint32 `json:"wall_ms"`      // DefaultWallMS
}

// Defaults and hard bounds of Limits.
const (
	DefaultGas    = 20 * Ggas
	DefaultMemory = 256 << 20
	DefaultOutput = 64 << 20
	DefaultWallMS = 60_000

	MaxParams    = 64 << 10
	MaxInput     = 256 << 20 // bytes handed to a guest in one call
	MaxBatchJobs = 100_000
)

// WithDefaults fills the zero fields of l.
func (l Limits) WithDefaults() Limits {
	if l.Gas == 0 {
		l.Gas = DefaultGas
	}
	if l.MemoryBytes == 0 {
		l.MemoryBytes = DefaultMemory
	}
	if l.OutputBytes == 0 {
		l.OutputBytes = DefaultOutput
	}
	if l.WallMS == 0 {
		l.WallMS = DefaultWallMS
	}
	return l
}

// JobState is where a job is in its life. The order is the order of progress.
type JobState uint8

// The states. Done, Failed and Stopped are final.
const (
	JobQueued JobState = iota
	JobQuoted
	JobRunning
	JobDone
	JobFailed
	JobStopped
)

var jobStateNames = [...]string{"queued", "quoted", "running", "done", "failed", "stopped"}

// String returns the stable lower-case name.
func (s JobState) String() string {
	if int(s) < len(jobStateNames) {
		return jobStateNames[s]
	}
	return "unknown"
}

// Final reports whether the state will not change.
func (s JobState) Final() bool { return s >= JobDone }

// MarshalText returns String.
func (s JobState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses String's form.
func (s *JobState) UnmarshalText(b []byte) error {
	for i, n := range jobStateNames {
		if n == string(b) {
			*s = JobState(i)
			return nil
		}
	}
	return Errorf("api.jobstate", Invalid, "unknown job state")
}

// JobResult is what a worker reports, signed by the worker.
type JobResult struct {
	ID         ID        `json:"id"`
	Worker     NodeID    `json:"worker"`
	Escrow     uint64    `json:"-"`                 // Escrow.Seq of the dispatch; 0 when free of charge
	Kind       Kind      `json:"-"`                 // Other (0) when the job succeeded
	Message    string    `json:"message,omitempty"` // why it failed, for people
	Gas        uint64    `json:"gas"`
	Output     Link      `json:"output"`      // zero when the output is empty
	OutputHash Hash      `json:"output_hash"` // BLAKE3 of the output's plaintext
	OutputSize uint64    `json:"output_bytes"`
	MediaType  string    `json:"media_type,omitempty"`
	RunUS      uint64    `json:"run_us"`        // time inside the guest, microseconds
	Receipts   []Receipt `json:"-"`             // for the output's blocks
	Log        string    `json:"log,omitempty"` // the end of what the guest logged, a line each, for people; not signed
	Sig        [64]byte  `json:"-"`
}

// Job is a job as its payer's node lists it.
type Job struct {
	Spec     JobSpec   `json:"spec"`
	Name     string    `json:"name,omitempty"` // the input's name
	Input    uint64    `json:"input_bytes"`    // the input's size
	Method   string    `json:"method"`         // module/unit.method
	State    JobState  `json:"state"`
	Result   JobResult `json:"result"`
	Error    string    `json:"error,omitempty"` // kind name when failed
	Price    Credits   `json:"price"`           // settled
	Attempts uint8     `json:"attempts"`
	Finished int64     `json:"finished,omitempty"` // Unix milliseconds
}

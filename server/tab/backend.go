package tab

import (
	"context"
	"io"

	"inos/kernel/api"
)

// Backend is the tab's node while it runs. node.Node implements it; the methods
// are those of package server's Backend, with its contracts.
type Backend interface {
	Status(ctx context.Context) (api.Status, error)
	Arena(ctx context.Context) (api.ArenaMap, error)
	Peers(ctx context.Context) ([]api.Peer, error)
	Put(ctx context.Context, req api.PutRequest, body io.Reader, progress func(api.Progress)) (api.Object, error)
	Get(ctx context.Context, req api.GetRequest, begin func(api.FileInfo) (io.Writer, error)) error
	Stat(ctx context.Context, req api.StatRequest) (api.Stat, error)
	List(ctx context.Context, req api.ListRequest) (api.ObjectPage, error)
	Remove(ctx context.Context, link api.Link) error
	Holders(ctx context.Context, link api.Link) (api.Holders, error)
	Run(ctx context.Context, req api.RunRequest, each func(api.Job) error) error
	Quote(ctx context.Context, req api.RunRequest) (api.Quote, error)
	Jobs(ctx context.Context, filter api.JobFilter) (api.JobPage, error)
	Job(ctx context.Context, id api.ID) (api.Job, error)
	JobCancel(ctx context.Context, id api.ID) error
	Modules(ctx context.Context) ([]api.ModuleInfo, error)
	Module(ctx context.Context, ref string) (api.ModuleInfo, error)
	ModuleAdd(ctx context.Context, wasm io.Reader) (api.ModuleInfo, error)
	ModuleReport(ctx context.Context, ref string) (api.ModuleReport, error)
	ModuleReset(ctx context.Context, ref string) (api.ModuleReport, error)
	ModuleStart(ctx context.Context, ref string, req api.ResidentStart) (api.Resident, error)
	ModuleStop(ctx context.Context, ref string) (api.Resident, error)
	Residents(ctx context.Context) ([]api.Resident, error)
	Credits(ctx context.Context, filter api.CreditsFilter) (api.CreditsReport, error)
	Transfer(ctx context.Context, req api.TransferRequest) (api.Entry, error)
	Doctor(ctx context.Context) ([]api.Check, error)
	Events(ctx context.Context, since uint64, fn func(api.Event) error) error
}

// Host is the life of the tab's node, which is there before and after the node.
type Host interface {
	// State is what the node does now. It is cheap.
	State() State

	// Watch calls fn with the state, and again when it has changed, until ctx ends
	// or fn fails.
	Watch(ctx context.Context, fn func(State) error) error

	// Node is the running node; Unavailable or NotFound, with what to do, while
	// there is none.
	Node() (Backend, error)

	// Join redeems an invite and starts the node. Exists when the tab belongs to
	// another mesh and leave is false.
	Join(ctx context.Context, invite string, leave bool) error

	// Leave stops the node and forgets its membership. Its identity stays.
	Leave(ctx context.Context) error

	// Secret is the identity as one line, and Import replaces it by another while
	// the tab is in no mesh.
	Secret(ctx context.Context) (string, error)
	Import(ctx context.Context, secret string) error

	// Configure sets what others may use of this tab.
	Configure(Settings) error

	// Stop stops the node until the page is loaded again.
	Stop(ctx context.Context) error
}

// Phases of a tab's node.
const (
	Starting = "starting"
	Unjoined = "unjoined" // waits for an invite
	Running  = "running"
	Failed   = "failed"
	Stopped  = "stopped"
)

// State is what the page shows of its node.
type State struct {
	Phase    string     `json:"phase"`
	Reason   string     `json:"reason,omitempty"`   // why it failed, or is in no mesh
	Kind     string     `json:"kind,omitempty"`     // of the reason
	Node     api.NodeID `json:"node"`               // zero until it is known
	Name     string     `json:"name"`               // in the mesh; empty before
	Mesh     api.NodeID `json:"mesh"`               // zero before
	Volatile string     `json:"volatile,omitempty"` // why this browser keeps nothing
	Shared   bool       `json:"shared"`             // threads share memory
	Workers  int        `json:"workers"`            // jobs it could run at once
	Offered  int        `json:"offered"`            // of them, for others now
	Settings Settings   `json:"settings"`
}

// Settings are what others may use of this tab. The page keeps them and says them
// again when the kernel starts.
type Settings struct {
	Contribute bool   `json:"contribute"` // run jobs of others at all
	Workers    int    `json:"workers"`    // at most so many at once; 0 means as many as CPUCap allows
	CPUCap     int    `json:"cpu_cap"`    // percent of the machine's cores that they may keep busy; 0 means 50
	Yield      string `json:"yield"`      // why it rests now, such as "hidden" or "battery"; empty when it does not
}

// percent is the CPUCap that holds.
func (s Settings) percent() int {
	if s.CPUCap <= 0 || s.CPUCap > 100 {
		return 50
	}
	return s.CPUCap
}

// Share is the part of the time that each of the jobs of others may run on a machine
// with cores, so that as many as Offer allows keep to CPUCap together: 0, which means
// all, where it is no less than a core.
func (s Settings) Share(cores int) float64 {
	if share := float64(cores*s.percent()) / 100; share < 1 {
		return share
	}
	return 0
}

// Offer is how many jobs of others the settings allow on a machine with cores,
// at most most. Where CPUCap is less than a core it is one, which rests: see Share.
func (s Settings) Offer(cores, most int) int {
	if !s.Contribute || s.Yield != "" {
		return 0
	}
	n := max(1, cores*s.percent()/100)
	if s.Workers > 0 {
		n = min(n, s.Workers)
	}
	return min(n, most)
}

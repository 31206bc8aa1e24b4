package server

import (
	"context"
	"io"

	"inos/kernel/api"
)

// Backend is the running node as its local API sees it. node.Node implements
// it; the server adds transport, limits and authentication and nothing else.
//
// Every method is safe for concurrent use, honours its context, and returns
// errors of package api, whose kind the client receives. A callback is called
// from one goroutine at a time and never after the method has returned; when it
// returns an error, the method stops and returns that error.
type Backend interface {
	// Status is cheap enough to be asked every second.
	Status(ctx context.Context) (api.Status, error)

	// Arena describes the node's shared memory as it is now.
	Arena(ctx context.Context) (api.ArenaMap, error)

	// Peers lists the mesh's members, this node first, then by name.
	Peers(ctx context.Context) ([]api.Peer, error)

	// Tabs opens what browser tabs need to reach this node, if it is not open yet,
	// and says how they reach the mesh. Denied when the settings keep tabs out.
	Tabs(ctx context.Context) (api.TabAccess, error)

	// Put stores body and returns once the policy's receipts are in. body is
	// read to its end exactly once. progress is never nil; Put calls it as often
	// as it likes: the server keeps only the newest.
	Put(ctx context.Context, req api.PutRequest, body io.Reader, progress func(api.Progress)) (api.Object, error)

	// Get sends a file's bytes, or with req.Tar a tar stream of what is below
	// req.Path, with names relative to it. It calls begin
	// once, before the first byte, and writes to the Writer that begin returns.
	// The server can answer an error from before begin with a status of its own;
	// a later one breaks the stream visibly.
	Get(ctx context.Context, req api.GetRequest, begin func(api.FileInfo) (io.Writer, error)) error

	// Stat describes one file or folder of any object whose link is known.
	Stat(ctx context.Context, req api.StatRequest) (api.Stat, error)

	// List pages through the objects this node owns, newest first.
	List(ctx context.Context, req api.ListRequest) (api.ObjectPage, error)

	// Remove releases an object this node owns. The link's root suffices.
	Remove(ctx context.Context, link api.Link) error

	// Holders says where an object's blocks are. For an object this node owns the
	// link's root suffices.
	Holders(ctx context.Context, link api.Link) (api.Holders, error)

	// Run starts one job per input and calls each on every change of state, and
	// last with the final state of every job. The server may skip a state that is
	// replaced at once, and may read the Job later. It returns nil when all jobs are
	// final, even when some failed: their Job says so. Ending ctx cancels them.
	Run(ctx context.Context, req api.RunRequest, each func(api.Job) error) error

	// Quote estimates what Run would cost and starts nothing.
	Quote(ctx context.Context, req api.RunRequest) (api.Quote, error)

	// Jobs pages through the jobs this node pays for, newest first.
	Jobs(ctx context.Context, filter api.JobFilter) (api.JobPage, error)

	// Job returns one job.
	Job(ctx context.Context, id api.ID) (api.Job, error)

	// JobCancel stops a job, or every job of a batch. Final jobs stay as they are.
	JobCancel(ctx context.Context, id api.ID) error

	// Modules lists what this node can run, by name.
	Modules(ctx context.Context) ([]api.ModuleInfo, error)

	// Module finds a module by name, name@version, name@version:author or a
	// hash's first digits.
	Module(ctx context.Context, ref string) (api.ModuleInfo, error)

	// ModuleAdd validates a module file of at most api.MaxModule bytes, stores it
	// as a public object and registers it.
	ModuleAdd(ctx context.Context, wasm io.Reader) (api.ModuleInfo, error)

	// ModuleRemove forgets a module on this node, and on all of them when
	// withdrawal is its author's (module.SignWithdrawal) and not zero.
	ModuleRemove(ctx context.Context, ref string, withdrawal [64]byte) error

	// ModuleReport says how this node supervises a module, named as for Module.
	ModuleReport(ctx context.Context, ref string) (api.ModuleReport, error)

	// ModuleReset ends a module's quarantine on this node, forgets its crashes, and
	// reports how it is then.
	ModuleReset(ctx context.Context, ref string) (api.ModuleReport, error)

	// ModuleStart starts a resident module and returns once its first state is made.
	ModuleStart(ctx context.Context, ref string, req api.ResidentStart) (api.Resident, error)

	// ModuleStop ends a resident and waits until it has given back its memory.
	ModuleStop(ctx context.Context, ref string) (api.Resident, error)

	// Residents lists the residents that run here, or ran, by name.
	Residents(ctx context.Context) ([]api.Resident, error)

	// Invite makes a one-time invite. Only a seed can.
	Invite(ctx context.Context, req api.InviteRequest) (api.Invite, error)

	// Revoke ends a member's membership, named by name or id. Only a seed can.
	Revoke(ctx context.Context, node string) error

	// Credits reports balances and a page of entries.
	Credits(ctx context.Context, filter api.CreditsFilter) (api.CreditsReport, error)

	// Transfer moves credits from this node's account, once per req.ID.
	Transfer(ctx context.Context, req api.TransferRequest) (api.Entry, error)

	// Doctor runs every check and returns them all.
	Doctor(ctx context.Context) ([]api.Check, error)

	// Events calls fn for every event after position since that the node still
	// remembers, then for new ones as they happen, until ctx ends or fn fails. A
	// reader too slow for the node's bounded buffer gets api.Exhausted.
	Events(ctx context.Context, since uint64, fn func(api.Event) error) error

	// Metrics writes the Prometheus text exposition format.
	Metrics(ctx context.Context, w io.Writer) error

	// Shutdown asks the process to drain and stop, and returns at once.
	Shutdown(ctx context.Context) error
}

// Reacher is a Backend in a process that browser tabs reach the mesh from.
type Reacher interface {
	// TabSources lists what a network worker's policy must name so that a tab reaches the
	// mesh's nodes and nothing else, as in "ws://192.0.2.1:4410"; at most 256.
	// It is cheap, and opens nothing.
	TabSources() []string
}

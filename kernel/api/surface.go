package api

import (
	"encoding/json"
	"time"
)

// The types below are what a running node shows its owner: requests and
// answers of the local API, the command line and the web page. Times are Unix
// milliseconds unless a field says otherwise; sizes are bytes; an amount is in
// microcredits. Pages are bounded by MaxPage and continued by an opaque cursor.

// Bounds of the local API.
const (
	DefaultPage = 200   // items in a page when a request names no limit
	MaxPage     = 1_000 // items in one page
	MaxModule   = 64 << 20
	MaxObjName  = 255 // bytes of an object's name
	MaxPath     = 4096
)

// Status is the answer to "how is this node?".
type Status struct {
	Version       string     `json:"version"`
	Node          NodeID     `json:"node"`
	Name          string     `json:"name"`
	Mesh          NodeID     `json:"mesh"`
	Roles         Role       `json:"roles"`
	Ready         bool       `json:"ready"`   // serves requests and has joined its mesh
	Started       int64      `json:"started"` // Unix milliseconds
	UptimeSeconds float64    `json:"uptime_seconds"`
	Addrs         []string   `json:"addrs"`                   // multiaddrs that others can dial
	PeersOnline   int        `json:"peers_online"`            // members reachable now, without this node
	PeersKnown    int        `json:"peers_known"`             // members, without this node
	Store         StoreUsage `json:"store"`                   // blocks on this node, for anybody
	Objects       uint64     `json:"objects"`                 // objects this node owns
	UnderCopied   uint64     `json:"under_copied"`            // of those, objects with fewer copies than wanted
	JobsRunning   int        `json:"jobs_running"`            // on this node
	JobsQueued    int        `json:"jobs_queued"`             // on this node
	Engine        string     `json:"engine"`                  // what executes guests: wazero or wasmtime
	Balance       Credits    `json:"balance"`                 // this node's account
	BalanceError  string     `json:"balance_error,omitempty"` // why the balance is not known, which is 0 then
	RSS           uint64     `json:"rss"`                     // resident memory of the process
	Goroutines    int        `json:"goroutines"`              //
	Dir           string     `json:"dir"`                     // data directory
	API           string     `json:"api,omitempty"`           // loopback URL of the HTTP API, when one is open
	Refused       string     `json:"refused,omitempty"`       // why the mesh does not admit this node, e.g. its membership was revoked
}

// TabAccess is how a browser tab reaches the nodes of the mesh.
type TabAccess struct {
	Nodes []TabNode `json:"nodes"` // this node first, then those that are online; without an address a tab can dial, left out
}

// TabNode is one node that tabs reach.
type TabNode struct {
	Node  NodeID   `json:"node"`
	Name  string   `json:"name"`
	Addrs []string `json:"addrs"` // full multiaddrs, the best first; WebTransport's hold the hashes of certificates that are good for days
}

// PutRequest describes an upload. The body is the file's bytes, or for a folder
// a tar stream of regular files, directories and symbolic links.
type PutRequest struct {
	Name   string `json:"name"`
	Folder bool   `json:"folder"`
	Policy Policy `json:"policy"`
	Size   uint64 `json:"size"`  // plaintext bytes to come, for progress only; 0 when unknown
	Files  uint64 `json:"files"` // files to come, for progress only
}

// Progress is the state of a running put or get, the same for the command
// line, the API and the page. Counters only grow.
type Progress struct {
	Bytes      uint64 `json:"bytes"`       // plaintext bytes consumed
	TotalBytes uint64 `json:"total_bytes"` // 0 when unknown
	Files      uint64 `json:"files"`
	TotalFiles uint64 `json:"total_files"`
	Wire       uint64 `json:"wire"`   // bytes of distinct blocks after compression and sealing
	Blocks     uint64 `json:"blocks"` // distinct blocks
	Known      uint64 `json:"known"`  // of those, already stored before this put
	Acked      uint64 `json:"acked"`  // blocks with every receipt they need
	Nodes      int    `json:"nodes"`  // distinct holders that have signed so far
}

// GetRequest names bytes to read. Path is a file or folder inside a folder
// object, slash-separated and relative; empty means the object itself.
type GetRequest struct {
	Link   Link   `json:"link"`
	Path   string `json:"path,omitempty"`
	Tar    bool   `json:"tar"`    // send a tar stream; required for a folder
	Offset uint64 `json:"offset"` // for a file: first byte
	Length uint64 `json:"length"` // for a file: bytes from Offset; 0 means to the end
}

// FileKind tells files, folders and symbolic links apart.
type FileKind uint8

// The kinds of file.
const (
	RegularFile FileKind = iota
	FolderFile
	SymlinkFile
)

var fileKindNames = [...]string{"file", "folder", "symlink"}

// String returns the stable lower-case name.
func (k FileKind) String() string {
	if int(k) < len(fileKindNames) {
		return fileKindNames[k]
	}
	return "unknown"
}

// MarshalText returns String.
func (k FileKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText parses String's form.
func (k *FileKind) UnmarshalText(b []byte) error {
	for i, n := range fileKindNames {
		if n == string(b) {
			*k = FileKind(i)
			return nil
		}
	}
	return Errorf("api.filekind", Invalid, "a kind of file is file, folder or symlink")
}

// FileInfo is one file, folder or symbolic link of an object.
type FileInfo struct {
	Path      string   `json:"path"` // relative to the object's root; empty for the root itself
	Name      string   `json:"name"` // last element of Path, or the object's name
	Kind      FileKind `json:"kind"`
	Size      uint64   `json:"size"`  // plaintext bytes; for a folder, of everything below
	Files     uint64   `json:"files"` // for a folder, files below
	Mode      uint32   `json:"mode"`  // permission bits
	ModTime   int64    `json:"mod_time"`
	Target    string   `json:"target,omitempty"` // of a symbolic link
	MediaType string   `json:"media_type,omitempty"`
}

// StatRequest asks for one entry and, when it is a folder, a page of what it
// holds directly.
type StatRequest struct {
	Link  Link   `json:"link"`
	Path  string `json:"path,omitempty"`
	After string `json:"after,omitempty"` // Stat.Next of the page before
	Limit int    `json:"limit,omitempty"`
}

// Stat answers a StatRequest.
type Stat struct {
	Link    Link       `json:"link"`
	Info    FileInfo   `json:"info"`
	Entries []FileInfo `json:"entries"`        // sorted by name; empty for a file
	Next    string     `json:"next,omitempty"` // cursor; empty when this is the last page
}

// ListRequest asks for one page of the objects a node owns.
type ListRequest struct {
	After   string       `json:"after,omitempty"`   // Next of the page before
	Limit   int          `json:"limit,omitempty"`   // 0 means DefaultPage, at most MaxPage
	Find    string       `json:"find,omitempty"`    // only objects with this name or root address; at most MaxObjName bytes
	Outputs OutputFilter `json:"outputs,omitempty"` // whether outputs of jobs are listed
}

// OutputFilter says what a list does with the outputs of jobs.
type OutputFilter string

// The filters.
const (
	WithOutputs    OutputFilter = ""     // list them among the others
	WithoutOutputs OutputFilter = "hide" // leave them out and count them
	OnlyOutputs    OutputFilter = "only"
)

// Valid reports whether f is one of the filters.
func (f OutputFilter) Valid() bool {
	return f == WithOutputs || f == WithoutOutputs || f == OnlyOutputs
}

// ObjectPage is a page of the objects a node owns, newest first.
type ObjectPage struct {
	Objects []Object `json:"objects"`
	Hidden  uint64   `json:"hidden,omitempty"` // outputs that the filter left out on this page; the sum over all pages is their number
	Next    string   `json:"next,omitempty"`
}

// Setting is one setting of a running node as it is in force.
type Setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Source string `json:"source"` // default, file, environment or flag
	Doc    string `json:"doc,omitempty"`
}

// Holder is one node's share of an object.
type Holder struct {
	Node   NodeID `json:"node"`
	Name   string `json:"name"`
	Domain string `json:"domain,omitempty"`
	Online bool   `json:"online"`
	Self   bool   `json:"self"`
	Blocks uint64 `json:"blocks"`
	Bytes  uint64 `json:"bytes"` // wire bytes
}

// Holders says where an object's blocks are.
type Holders struct {
	Link            Link     `json:"link"`
	Blocks          uint64   `json:"blocks"` // distinct blocks, manifests included
	Bytes           uint64   `json:"bytes"`
	Wanted          uint8    `json:"wanted"`           // copies
	Copies          uint8    `json:"copies"`           // the fewest live copies any block has
	UnderReplicated uint64   `json:"under_replicated"` // blocks with fewer live copies than wanted
	Holders         []Holder `json:"holders"`
}

// RunInput is one input of a run. A folder without a path stands for every
// file in it.
type RunInput struct {
	Link Link   `json:"link"`
	Path string `json:"path,omitempty"`
}

// RunRequest asks for one method call per input, or for a single call without
// input when Inputs is empty.
type RunRequest struct {
	Module   string          `json:"module"` // name or hash
	Unit     string          `json:"unit"`
	Method   string          `json:"method"`
	Params   json.RawMessage `json:"params,omitempty"` // JSON object; at most MaxParams bytes
	Inputs   []RunInput      `json:"inputs,omitempty"` // at most MaxBatchJobs after folders are expanded
	Node     string          `json:"node,omitempty"`   // name or id; empty lets the scheduler choose
	Limits   Limits          `json:"limits"`
	PriceCap Credits         `json:"price_cap"` // per job; 0 means what the node's price bounds allow
	Deadline int64           `json:"deadline"`  // Unix milliseconds; 0 means none
	Priority Priority        `json:"priority"`  // high goes first and costs twice as much
}

// Quote estimates a run before it starts.
type Quote struct {
	Jobs     int         `json:"jobs"`
	Bytes    uint64      `json:"bytes"` // input bytes
	Gas      uint64      `json:"gas"`   // expected, all jobs
	Seen     int         `json:"seen"`  // earlier jobs of the method that Gas is told from; 0: a guess by the inputs' size
	Price    Credits     `json:"price"` // expected, all jobs
	Ceiling  Credits     `json:"ceiling"`
	Offers   []NodeQuote `json:"offers"` // per node that could run it, cheapest first
	Balance  Credits     `json:"balance"`
	Affords  bool        `json:"affords"` // Balance covers Ceiling
	Module   Hash        `json:"module"`
	FreeHere bool        `json:"free_here"` // this node can run it itself at no price
}

// NodeQuote is one node's price for a run.
type NodeQuote struct {
	Node  NodeID  `json:"node"`
	Name  string  `json:"name"`
	Price Credits `json:"price"`
	Queue int     `json:"queue"`
}

// JobFilter selects jobs of the payer's history, newest first.
type JobFilter struct {
	Batch  ID     `json:"batch"`            // zero means all
	State  string `json:"state,omitempty"`  // a JobState's name; empty means all
	Active bool   `json:"active,omitempty"` // only those not final
	After  string `json:"after,omitempty"`
	Limit  int    `json:"limit,omitempty"`
}

// JobPage is a page of jobs.
type JobPage struct {
	Jobs []Job  `json:"jobs"`
	Next string `json:"next,omitempty"`
}

// BuiltinModule is one of the modules that every node of a version has.
type BuiltinModule struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Hash    Hash   `json:"hash"`
	Size    uint64 `json:"size"` // bytes
}

// ModuleInfo describes a module a node can run.
type ModuleInfo struct {
	Name          string       `json:"name"`
	Version       string       `json:"version"`
	Ref           string       `json:"ref,omitempty"` // what to call it in this mesh; empty for a file that no node knows
	Hash          Hash         `json:"hash"`
	Size          uint64       `json:"size"`
	Author        NodeID       `json:"author"`   // who signed the file; zero when nobody did
	Verified      bool         `json:"verified"` // the author's signature holds
	Content       Hash         `json:"content"`  // BLAKE3 of the file without its signature; zero when nobody signed it
	BuiltIn       bool         `json:"built_in"`
	Resident      bool         `json:"resident"` // else guest
	Deterministic bool         `json:"deterministic"`
	Description   string       `json:"description,omitempty"`
	Link          Link         `json:"link"` // the module file as a public object; zero for built-in ones
	Limits        Limits       `json:"limits"`
	Syscalls      []string     `json:"syscalls,omitempty"`
	Units         []ModuleUnit `json:"units"`
}

// ModuleUnit is a group of methods.
type ModuleUnit struct {
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	Methods     []ModuleMethod `json:"methods"`
}

// ModuleMethod is one callable method.
type ModuleMethod struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Params      json.RawMessage `json:"params,omitempty"`  // JSON Schema
	Accepts     []string        `json:"accepts,omitempty"` // media types; empty means no input
	Returns     []string        `json:"returns,omitempty"` // media types
}

// InviteRequest asks for a one-time invite.
type InviteRequest struct {
	Roles Role   `json:"roles"`          // 0 means Hub
	TTL   int64  `json:"ttl"`            // seconds; 0 means a day
	Name  string `json:"name,omitempty"` // the name the joining node will have; empty lets it choose
}

// Invite is a one-time invite. Text is a secret until it is used.
type Invite struct {
	Text    string `json:"text"`
	Roles   Role   `json:"roles"`
	Name    string `json:"name,omitempty"`
	Expires int64  `json:"expires"` // Unix seconds
}

// CreditsFilter selects ledger entries, newest first.
type CreditsFilter struct {
	Account string `json:"account,omitempty"` // an account, node name or id; empty means all
	Cause   string `json:"cause,omitempty"`   // a Cause's name; empty means all
	Ref     string `json:"ref,omitempty"`
	Before  uint64 `json:"before,omitempty"` // entries with a smaller Seq; 0 means from the newest
	Limit   int    `json:"limit,omitempty"`
}

// CreditsReport is the ledger as a member sees it. Total always equals Genesis:
// the sum over all accounts never changes.
type CreditsReport struct {
	Node     NodeID    `json:"node"`
	Balance  Credits   `json:"balance"` // of Node
	Balances []Balance `json:"balances"`
	Entries  []Entry   `json:"entries"`
	Total    Credits   `json:"total"`
	Genesis  Credits   `json:"genesis"`
	Next     uint64    `json:"next,omitempty"` // Before of the next page; 0 when this is the last

	// Escrows are the open ones that Node pays, read after Entries: an escrow of an
	// entry that is not here is closed, unless these are MaxEntryPage, which is the
	// most that are told. In order of their IDs.
	Escrows []Account `json:"escrows"`
}

// TransferRequest moves credits from this node's account by hand.
type TransferRequest struct {
	ID     ID      `json:"id"` // idempotency: the same id moves credits once
	To     string  `json:"to"` // node name or id
	Amount Credits `json:"amount"`
	Memo   string  `json:"memo,omitempty"` // at most 128 bytes
}

// CheckState is the outcome of one check of `inos doctor`.
type CheckState uint8

// The outcomes, from good to bad.
const (
	CheckOK CheckState = iota
	CheckWarn
	CheckFail
)

var checkNames = [...]string{"ok", "warn", "fail"}

// String returns the stable lower-case name.
func (s CheckState) String() string {
	if int(s) < len(checkNames) {
		return checkNames[s]
	}
	return "unknown"
}

// MarshalText returns String.
func (s CheckState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses String's form.
func (s *CheckState) UnmarshalText(b []byte) error {
	for i, n := range checkNames {
		if n == string(b) {
			*s = CheckState(i)
			return nil
		}
	}
	return Errorf("api.checkstate", Invalid, "a check is ok, warn or fail")
}

// Check is one finding of `inos doctor`.
type Check struct {
	Name   string     `json:"name"`
	State  CheckState `json:"state"`
	Detail string     `json:"detail"`
	Fix    string     `json:"fix,omitempty"` // what the owner can do
}

// Event is a CloudEvents 1.0 envelope in its JSON form.
//
// Source: CloudEvents 1.0.2, section 3.1, and its JSON event format.
type Event struct {
	SpecVersion string          `json:"specversion"` // "1.0"
	ID          string          `json:"id"`          // decimal position in this node's stream, from 1
	Source      string          `json:"source"`      // the node's did:key
	Type        string          `json:"type"`        // {service}:{action}:v{version}:{state}, e.g. job:run:v1:done
	Subject     string          `json:"subject,omitempty"`
	Time        time.Time       `json:"time"`
	ContentType string          `json:"datacontenttype,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`
}

// EventVersion is the specversion of every Event.
const EventVersion = "1.0"

// Problem is an error as it travels over HTTP, with two members of our own.
//
// Source: RFC 9457.
type Problem struct {
	Title  string `json:"title"`  // the status in words
	Status int    `json:"status"` // HTTP status
	Detail string `json:"detail"` // what went wrong and what to do, for people
	Kind   string `json:"kind"`   // a Kind's name, for programs
	Op     string `json:"op,omitempty"`
}

// PutUpdate is one line of the answer to an upload. Exactly one member is set;
// an Object or an Error is the last line.
type PutUpdate struct {
	Progress *Progress `json:"progress,omitempty"`
	Object   *Object   `json:"object,omitempty"`
	Error    *Problem  `json:"error,omitempty"`
}

// RunUpdate is one line of the answer to a run. Exactly one member is set; an
// Error is the last line.
type RunUpdate struct {
	Job   *Job     `json:"job,omitempty"`
	Error *Problem `json:"error,omitempty"`
}

// EventUpdate is one line of the event stream: an Event, or last an Error.
type EventUpdate struct {
	Event
	Error *Problem `json:"error,omitempty"`
}

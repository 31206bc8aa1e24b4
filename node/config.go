package node

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"inos/kernel/api"
)

// Config is everything a node can be told. The zero value of an optional field
// means the default named beside it.
type Config struct {
	Dir    string   // data folder, created with mode 0700; required. In a tab, a folder of its origin's private file system
	Name   string   // name in the mesh, 1..32 of [a-z0-9-]; the host's name
	Listen []string // multiaddrs to listen on; TCP and QUIC on ListenHost, port ListenPort

	ListenHost string // address for the default listeners; "127.0.0.1"
	ListenPort int    // port for the default listeners; 0 lets the system choose, and the choice is kept

	Announce []string // multiaddrs that others may dial besides those listened on, such as a proxy's for tabs

	Tabs string // when to listen for browser tabs, one of TabsAuto, TabsOn and TabsOff; TabsAuto

	Domain string // failure domain label: copies prefer different ones
	Region string // region label

	Quota   uint64 // bytes of blocks this node keeps; 0 means the free space of the disk
	Workers int    // jobs run at once; the number of cores
	Engine  string // what executes guests, one of Engines; "wazero"
	Prices  *api.Prices

	MaxPrices *api.Prices // the most this node pays, whatever others ask; ten times DefaultPrices

	ArenaBytes int           // shared memory, of one of layout.Tiers' sizes; 64 MiB
	GoneAfter  time.Duration // a silent member is replaced after this; 5 s
	RepairRate uint64        // bytes per second that repair may send; 64 MiB/s

	PutWindow int // bytes of blocks in flight in one put; 64 MiB

	LeaveMesh bool // Join may leave a mesh that has other members or data of this node

	Syscalls SyscallConfig // what modules may ask of this node
	Sensors  Sensors       // what hostCall:sensor reads; nil where the machine has none

	Host HostConfig // what only this platform's hosts need

	Log  func(format string, args ...any) // one line per call; nil discards
	Warn func(format string, args ...any) // what the owner has to know at once, one line per call; Log when nil
}

// When a node listens for browser tabs: once an edge is invited or known or a
// page asks, from the start, or never.
const (
	TabsAuto = "auto"
	TabsOn   = "on"
	TabsOff  = "off"
)

// Economic constants of a new mesh. A seed writes them into the genesis of its
// ledger; they are not changed by configuration.
const (
	GenesisSupply = 1_000_000 * api.Credit
	JoinGrant     = 1_000 * api.Credit
)

// DefaultHost is the address to listen on when none is given: this machine
// alone.
const DefaultHost = "127.0.0.1"

// DefaultPrices are what a node asks unless it is told otherwise.
var DefaultPrices = api.Prices{
	StorageGiBMonth: api.Credit / 10,
	ServeGiB:        api.Credit / 100,
	ComputeGgas:     api.Credit / 100,
}

func (c Config) withDefaults() (Config, error) {
	const op = "node.config"
	if c.Dir == "" {
		return c, api.Errorf(op, api.Invalid, "a node needs a data folder")
	}
	var err error
	if c.Dir, err = absolute(c.Dir); err != nil {
		return c, api.E(op, api.Invalid, err)
	}
	if c.Name == "" {
		c.Name = DefaultName()
	}
	if !ValidName(c.Name) {
		return c, api.Errorf(op, api.Invalid, fmt.Sprintf("the name %q must have 1 to %d of a-z, 0-9 and -", c.Name, api.MaxName))
	}
	if c.ListenHost == "" {
		c.ListenHost = DefaultHost
	}
	if c.ListenPort < 0 || c.ListenPort > 65535 {
		return c, api.Errorf(op, api.Invalid, "a port is between 0 and 65535")
	}
	switch c.Tabs {
	case "":
		c.Tabs = TabsAuto
	case TabsAuto, TabsOn, TabsOff:
	default:
		return c, api.Errorf(op, api.Invalid, fmt.Sprintf("tabs is %s, %s or %s, not %q", TabsAuto, TabsOn, TabsOff, c.Tabs))
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Engine == "" {
		c.Engine = Engines()[0]
	}
	if err := CheckEngine(c.Engine); err != nil {
		return c, err
	}
	if c.Prices == nil {
		p := DefaultPrices
		c.Prices = &p
	}
	if c.MaxPrices == nil {
		d := DefaultPrices
		c.MaxPrices = &api.Prices{StorageGiBMonth: 10 * d.StorageGiBMonth, ServeGiB: 10 * d.ServeGiB, ComputeGgas: 10 * d.ComputeGgas}
	}
	if c.ArenaBytes == 0 {
		c.ArenaBytes = 64 << 20
	}
	if c.GoneAfter == 0 {
		c.GoneAfter = 5 * time.Second
	}
	if c.RepairRate == 0 {
		c.RepairRate = 64 << 20
	}
	if c.PutWindow == 0 {
		c.PutWindow = 64 << 20
	}
	if c.Log == nil {
		c.Log = func(string, ...any) {}
	}
	if c.Warn == nil {
		c.Warn = c.Log
	}
	return c, nil
}

// ValidName reports whether s may name a node.
func ValidName(s string) bool {
	if s == "" || len(s) > api.MaxName {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// DefaultName is the name of a node that was given none: the machine's, made
// valid.
func DefaultName() string {
	h, _, _ := strings.Cut(strings.ToLower(hostname()), ".")
	name := strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			return r
		}
		return '-'
	}, h)
	if len(name) > api.MaxName {
		name = name[:api.MaxName]
	}
	if name = strings.Trim(name, "-"); name == "" {
		return "node"
	}
	return name
}

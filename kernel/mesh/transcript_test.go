package mesh

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/identity"
)

var update = flag.Bool("update", false, "write what the transcripts yield into testdata")

// TestTranscripts plays testdata/*.txt: lines that start with > are what the
// coordinator answers to the command above them. Commands are in run.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("the transcript differs; look at it with go test -update and git diff.\ngot:\n%s", got)
			}
		})
	}
}

func play(t *testing.T, text string) string {
	p := &player{t: t, now: transcriptStart, nodes: map[api.NodeID]string{}, addrs: map[api.Address]string{}, seq: map[string]uint64{}}
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, ">") {
			continue
		}
		out.WriteString(line + "\n")
		if f := strings.Fields(line); len(f) > 0 && f[0] != "#" {
			p.run(f[0], f[1:])
			for _, e := range p.effects {
				out.WriteString("> " + e + "\n")
			}
			p.effects = nil
		}
	}
	return out.String()
}

const transcriptStart = 1_800_000_000 * time.Second

// player keeps the names that a transcript uses.
type player struct {
	t       *testing.T
	c       *Coordinator
	now     time.Duration
	nodes   map[api.NodeID]string
	addrs   map[api.Address]string
	seq     map[string]uint64
	effects []string
}

func key(name string) identity.Identity { return identity.NewFromSeed(blake3.Sum256([]byte(name))) }

func (p *player) node(name string) api.NodeID {
	id := key(name).ID()
	p.nodes[id] = name
	return id
}

func (p *player) addr(name string) api.Address {
	a := api.Address(blake3.Sum256([]byte(name)))
	p.addrs[a] = name
	return a
}

func id(name string) (id api.ID) { copy(id[:], name); return id }

func lease(name string) (l api.LeaseID) { copy(l[:], name); return l }

func (p *player) step(ev Event) {
	for _, e := range p.c.Step(p.now, ev) {
		p.effects = append(p.effects, p.show(e))
	}
}

func (p *player) run(cmd string, args []string) {
	arg := func(i int) string {
		if i >= len(args) {
			p.t.Fatalf("%s needs more words", cmd)
		}
		return args[i]
	}
	number := func(i int) uint64 {
		n, err := strconv.ParseUint(arg(i), 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		return n
	}
	switch cmd {
	case "mesh": // SELF OTHER...: everybody is a hub with space; nobody is connected
		p.mesh(args)
	case "capability": // NODE free=GIB [domain=D]
		p.capability(arg(0), args[1:])
	case "connected":
		p.step(PeerConnected{Node: p.node(arg(0))})
	case "lost":
		p.step(PeerLost{Node: p.node(arg(0))})
	case "seen":
		p.step(PeerSeen{Node: p.node(arg(0)), RTT: time.Millisecond})
	case "revoked":
		p.step(RevocationReceived{identity.SignRevocation(key("root"), api.Revocation{Node: p.node(arg(0))})})
	case "wait": // DURATION, ticking when asked
		p.wait(arg(0))
	case "put": // ID copies [minacks]
		policy := api.Policy{Copies: uint8(number(1))}
		if len(args) > 2 {
			policy.MinAcks = uint8(number(2))
		}
		p.step(PutBegin{Put: id(arg(0)), Lease: lease("draft-" + arg(0)), Policy: policy})
	case "blocks": // ID BATCH BLOCK...
		p.step(PutBlocks{Put: id(arg(0)), Batch: number(1), Blocks: p.refs(args[2:])})
	case "commit":
		p.step(PutCommit{Put: id(arg(0)), Final: lease("final-" + arg(0)), Lease: api.Lease{Copies: 3}})
	case "abort":
		p.step(PutAbort{Put: id(arg(0))})
	case "stored": // SEND: the holder's receipt
		p.stored(number(0))
	case "unstored": // SEND KIND
		p.step(StoreFailed{Send: number(0), Kind: api.KindNamed(arg(1))})
	case "committed":
		p.step(CommitAcked{Send: number(0)})
	case "uncommitted": // SEND KIND
		p.step(CommitFailed{Send: number(0), Kind: api.KindNamed(arg(1))})
	case "fetch": // ID BLOCK...
		p.step(FetchBegin{Fetch: id(arg(0)), Wants: p.refs(args[1:])})
	case "arrived": // SEND BLOCK
		p.step(FetchArrived{Send: number(0), Addr: p.addr(arg(1)), Size: 1 << 20})
	case "missed": // SEND KIND [BLOCK...]
		var addrs []api.Address
		for _, a := range args[2:] {
			addrs = append(addrs, p.addr(a))
		}
		p.step(FetchMissed{Send: number(0), Kind: api.KindNamed(arg(1)), Addrs: addrs})
	case "local": // SCAN BLOCK...: the only page, all of 3 copies
		ev := LocalBlocks{Scan: number(0), Done: true}
		for _, r := range p.refs(args[1:]) {
			ev.Blocks = append(ev.Blocks, LocalBlock{Addr: r.Addr, Lease: lease("final-p"), Size: r.Size, Copies: 3})
		}
		p.step(ev)
	case "has": // SEND yes|no...
		ev := HasAnswered{Send: number(0)}
		for _, a := range args[1:] {
			ev.Has = append(ev.Has, a == "yes")
		}
		p.step(ev)
	case "place": // BLOCK COPIES
		p.effects = append(p.effects, p.names(p.c.Place(nil, p.addr(arg(0)), int(number(1)))))
	default:
		p.t.Fatalf("unknown command %s", cmd)
	}
}

func (p *player) mesh(names []string) {
	root := key("root")
	table := identity.NewMemberTable(root.ID())
	for _, n := range names {
		m := identity.SignMembership(root, api.Membership{Node: p.node(n), Roles: api.Hub, Name: n, Issued: 1})
		if _, err := table.Merge(m, 1); err != nil {
			p.t.Fatal(err)
		}
	}
	c, err := New(Config{Self: p.node(names[0]), Members: table, ConnectAfter: time.Minute, ConnectMax: time.Hour, RescanEvery: -1}, p.now)
	if err != nil {
		p.t.Fatal(err)
	}
	p.c = c
	for _, n := range names {
		if n != names[0] {
			c.Step(p.now, PeerConnected{Node: p.node(n)})
		}
		p.capability(n, []string{"free=100"})
	}
	p.effects = nil
	p.wait("2s") // the scan that follows a change of members
	c.Step(p.now, LocalBlocks{Scan: 1, Done: true})
	p.effects = nil
}

func (p *player) capability(name string, args []string) {
	p.seq[name]++
	v := api.Capability{Seq: p.seq[name], Roles: api.Hub, Name: name}
	for _, a := range args {
		k, val, _ := strings.Cut(a, "=")
		switch k {
		case "free":
			gib, _ := strconv.ParseUint(val, 10, 64)
			v.Free, v.Used = gib<<30, (100-gib)<<30
		case "domain":
			v.Domain = val
		}
	}
	p.step(CapabilityReceived{identity.SignCapability(key(name), v)})
}

func (p *player) wait(d string) {
	span, err := time.ParseDuration(d)
	if err != nil {
		p.t.Fatal(err)
	}
	end := p.now + span
	for range 1000 {
		at, ok := p.c.NextTick()
		if !ok || at > end {
			break
		}
		p.now = max(p.now, at)
		p.step(Tick{})
	}
	p.now = end
}

func (p *player) refs(names []string) []BlockRef {
	var refs []BlockRef
	for _, n := range names {
		refs = append(refs, BlockRef{Addr: p.addr(n), Size: 1 << 20})
	}
	return refs
}

func (p *player) stored(send uint64) {
	s := p.c.sends[send]
	if s == nil {
		p.step(StoreAcked{Send: send})
		return
	}
	p.step(StoreAcked{Send: send, Receipt: api.Receipt{
		Holder: s.to, Lease: s.lease, Blocks: identity.BatchDigest(s.addrs), Count: uint32(len(s.addrs)),
	}})
}

func (p *player) names(nodes []api.NodeID) string {
	var out []string
	for _, n := range nodes {
		out = append(out, p.nodes[n])
	}
	return strings.Join(out, " ")
}

func (p *player) blocks(addrs []api.Address) string {
	var out []string
	for _, a := range addrs {
		out = append(out, p.addrs[a])
	}
	return strings.Join(out, " ")
}

func text(b []byte) string { return strings.TrimRight(string(b), "\x00") }

func (p *player) show(e Effect) string {
	switch e := e.(type) {
	case MemberChanged:
		return fmt.Sprintf("%s is %s", p.nodes[e.Node], e.State)
	case Connect:
		return "connect to " + p.nodes[e.Node]
	case Disconnect:
		return fmt.Sprintf("disconnect %s (%s)", p.nodes[e.Node], e.Kind)
	case ShareMembers:
		return "share members with " + p.nodes[e.Node]
	case Probe:
		return "probe " + p.nodes[e.Node]
	case SendStore:
		return fmt.Sprintf("#%d store at %s under %s: %s", e.Send, p.nodes[e.To], text(e.Lease[:]), p.blocks(e.Addrs))
	case SendCommit:
		return fmt.Sprintf("#%d commit at %s: %s becomes %s, short=%v", e.Send, p.nodes[e.To], text(e.From[:]), text(e.Final[:]), e.Short)
	case SendRelease:
		return fmt.Sprintf("release %s at %s", text(e.Lease[:]), p.nodes[e.To])
	case PutAcked:
		return fmt.Sprintf("batch %d of put %s has %d acks", e.Batch, text(e.Put[:]), e.Acks)
	case PutDone:
		if e.Err != nil {
			return fmt.Sprintf("put %s failed: %v", text(e.Put[:]), e.Err)
		}
		return fmt.Sprintf("put %s is done, %d acks, at %s", text(e.Put[:]), e.Acks, p.names(e.Holders))
	case SendFetch:
		return fmt.Sprintf("#%d fetch from %s: %s", e.Send, p.nodes[e.To], p.blocks(e.Addrs))
	case CancelFetch:
		return fmt.Sprintf("cancel #%d at %s", e.Send, p.nodes[e.To])
	case Deliver:
		return fmt.Sprintf("deliver %s from %s", p.addrs[e.Addr], p.nodes[e.From])
	case FetchDone:
		if e.Err != nil {
			return fmt.Sprintf("fetch %s failed at %s: %s", text(e.Fetch[:]), p.addrs[e.Addr], api.KindOf(e.Err))
		}
		return fmt.Sprintf("fetch %s is done", text(e.Fetch[:]))
	case PeerFault:
		return fmt.Sprintf("%s broke the protocol (%s)", p.nodes[e.Node], e.Kind)
	case ScanLocal:
		return fmt.Sprintf("scan %d the local store", e.Scan)
	case AskHas:
		return fmt.Sprintf("#%d ask %s for %s", e.Send, p.nodes[e.To], p.blocks(e.Addrs))
	case RepairProgress:
		return fmt.Sprintf("repair: %d scanned, %d copies made, %d short, done=%v", e.Scanned, e.Blocks, e.UnderReplicated, e.Done)
	}
	return fmt.Sprintf("%T", e)
}

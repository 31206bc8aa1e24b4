package ledger

import (
	"container/heap"

	"inos/kernel/api"
)

// Bounds of the memory of applied commands. At the bound new commands are
// refused with Exhausted until older ones expire, so none is forgotten early.
const (
	MaxRecent          = 1 << 19 // commands remembered
	MaxRecentPerSigner = 1 << 17 // of one signer
)

// pair names a payer and a payee of cheques.
type pair struct{ payer, payee api.NodeID }

// cheque is what was redeemed between a pair, cumulative.
type cheque struct {
	paid  api.Credits
	bytes uint64
}

// applied is the memory of one command.
type applied struct {
	signer  api.NodeID
	digest  api.Hash
	expires int64
	time    int64
	first   uint64
	count   uint32
}

// Machine is the ledger's state. It is not safe for concurrent use.
type Machine struct {
	mesh     api.NodeID // the root key that signs genesis and grants
	supply   api.Credits
	treasury api.Credits
	nodes    api.Credits // sum of accounts
	escrowed api.Credits // sum of escrows
	seq      uint64      // entries made
	now      int64       // of the last applied command, Unix milliseconds; never goes back

	accounts map[api.NodeID]api.Credits // at most api.MaxLedgerAccounts
	escrows  map[api.ID]api.Escrow      // open; at most api.MaxOpenEscrows
	cheques  map[pair]cheque            // at most api.MaxChequePairs
	recent   map[api.ID]applied         // at most MaxRecent
	signers  map[api.NodeID]int         // how many of recent each signer has
	expiry   expiryHeap                 // recent by expires, and places that repeats have extended

	dirty map[rowKey]struct{} // rows changed since Flush
	tx    tx                  // of the command being applied
}

// New returns an empty ledger for the mesh with this root key.
func New(mesh api.NodeID) *Machine {
	m := &Machine{
		mesh:     mesh,
		accounts: map[api.NodeID]api.Credits{},
		escrows:  map[api.ID]api.Escrow{},
		cheques:  map[pair]cheque{},
		recent:   map[api.ID]applied{},
		signers:  map[api.NodeID]int{},
		dirty:    map[rowKey]struct{}{},
	}
	m.tx = tx{
		m:        m,
		accounts: map[api.NodeID]api.Credits{},
		escrows:  map[api.ID]escrowChange{},
		cheques:  map[pair]cheque{},
	}
	return m
}

// Applied is what a command did.
type Applied struct {
	Outcome api.Outcome
	Entries []api.Entry // valid until the next Apply; none for a repeated command
	Log     bool        // the command changed state: a replay needs it
}

// Apply applies one command at time now (Unix milliseconds; an earlier time than
// before counts as the time before). On error nothing has changed. The kinds of
// error are those of api.Ledger.Submit.
func (m *Machine) Apply(now int64, c Checked) (Applied, error) {
	const op = "ledger.apply"
	now = max(now, m.now)
	cmd := &c.cmd
	if a, ok := m.recent[cmd.ID]; ok && a.expires > now {
		if a.digest != c.digest {
			return Applied{}, api.Errorf(op, api.Conflict, "another command with this id was applied; draw a new id")
		}
		return m.repeat(now, cmd, a)
	}
	if err := m.admit(now, cmd); err != nil {
		return Applied{}, api.E(op, api.Other, err)
	}
	t := &m.tx
	t.begin(now)
	if err := t.run(cmd); err != nil {
		return Applied{}, api.E(op, api.Other, err)
	}
	out := api.Outcome{First: m.seq + 1, Count: uint32(len(t.entries)), Time: now}
	t.commit()
	m.remember(cmd, c.digest, out)
	return Applied{Outcome: out, Entries: t.entries, Log: true}, nil
}

// repeat answers a command that was applied before. When it was signed again
// with a later expiry, the memory is extended to that, so that this version
// cannot be applied after the first is forgotten.
func (m *Machine) repeat(now int64, cmd *api.Command, a applied) (Applied, error) {
	out := Applied{Outcome: api.Outcome{First: a.first, Count: a.count, Time: a.time, Repeated: true}}
	if cmd.Expires <= a.expires {
		return out, nil
	}
	if cmd.Expires > now+api.MaxCommandLife {
		return Applied{}, tooFarAhead("ledger.repeat")
	}
	a.expires = cmd.Expires
	m.recent[cmd.ID] = a
	heap.Push(&m.expiry, expiring{a.expires, cmd.ID})
	m.now = now
	m.mark(rowKey{kind: rowRecent, a: widen(cmd.ID)})
	m.mark(rowKey{kind: rowMeta})
	out.Log = true
	return out, nil
}

func tooFarAhead(op string) error {
	return api.Errorf(op, api.Invalid, "a command expires at most 10 minutes ahead; check this node's clock")
}

func (m *Machine) admit(now int64, cmd *api.Command) error {
	const op = "ledger.admit"
	switch {
	case cmd.Expires <= now:
		return api.Errorf(op, api.Timeout, "the command has expired; sign a new one")
	case cmd.Expires > now+api.MaxCommandLife:
		return tooFarAhead(op)
	}
	full := len(m.recent) >= MaxRecent || m.signers[cmd.Signer] >= MaxRecentPerSigner
	if full && m.expiry[0].at > now {
		return api.Errorf(op, api.Exhausted, "too many recent commands; wait for some to expire, or batch items")
	}
	return nil
}

// remember keeps the outcome of a command that was applied. Only here are older
// ones forgotten, so that a command that fails leaves no trace at all and a
// replay of the applied commands reaches the same state.
func (m *Machine) remember(cmd *api.Command, digest api.Hash, out api.Outcome) {
	m.forget(out.Time)
	m.recent[cmd.ID] = applied{
		signer: cmd.Signer, digest: digest, expires: cmd.Expires, time: out.Time, first: out.First, count: out.Count,
	}
	m.signers[cmd.Signer]++
	heap.Push(&m.expiry, expiring{cmd.Expires, cmd.ID})
	m.mark(rowKey{kind: rowRecent, a: widen(cmd.ID)})
}

// forget drops the memory of commands that have expired. They are refused by
// their own expiry from now on.
func (m *Machine) forget(now int64) {
	for len(m.expiry) > 0 && m.expiry[0].at <= now {
		id := heap.Pop(&m.expiry).(expiring).id
		if m.recent[id].expires > now {
			continue // extended by a repeat, which has its own place in the heap
		}
		signer := m.recent[id].signer
		delete(m.recent, id)
		if m.signers[signer]--; m.signers[signer] == 0 {
			delete(m.signers, signer)
		}
		m.mark(rowKey{kind: rowRecent, a: widen(id)})
	}
}

func (m *Machine) mark(k rowKey) { m.dirty[k] = struct{}{} }

// Mesh returns the root key the ledger belongs to.
func (m *Machine) Mesh() api.NodeID { return m.mesh }

// Now returns the time of the last applied command, Unix milliseconds.
func (m *Machine) Now() int64 { return m.now }

// Seq returns the number of entries made.
func (m *Machine) Seq() uint64 { return m.seq }

// expiring is an applied command in order of its expiry.
type expiring struct {
	at int64
	id api.ID
}

type expiryHeap []expiring

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(x any)        { *h = append(*h, x.(expiring)) }
func (h *expiryHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

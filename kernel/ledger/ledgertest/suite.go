package ledgertest

import (
	"context"
	"sync"
	"testing"

	"inos/kernel/api"
)

// Epoch is the time at which a suite's clock starts, Unix milliseconds.
const Epoch = int64(1_700_000_000_000)

// World is a ledger with a clock the test moves and four actors: the mesh's
// root, and three members with 1000, 1000 and 0 credits.
type World struct {
	T      testing.TB
	L      api.Ledger
	Root   *Actor
	A      *Actor
	B      *Actor
	C      *Actor
	mu     sync.Mutex
	now    int64 // guarded by mu
	supply api.Credits
}

// Now is the world's clock.
func (w *World) Now() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Advance moves the clock.
func (w *World) Advance(ms int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now += ms
}

// NewWorld opens a ledger with open, which is given the root key and the clock.
func NewWorld(t testing.TB, open func(mesh api.NodeID, now func() int64) api.Ledger) *World {
	w := &World{T: t, Root: NewActor(1), A: NewActor(2), B: NewActor(3), C: NewActor(4), now: Epoch, supply: 1_000_000 * api.Credit}
	w.L = open(w.Root.ID, w.Now)
	w.Must(w.Root, api.Genesis{Supply: w.supply})
	w.Must(w.Root, api.Grant{Node: w.A.ID, Amount: 1000 * api.Credit})
	w.Must(w.Root, api.Grant{Node: w.B.ID, Amount: 1000 * api.Credit})
	w.Must(w.Root, api.Grant{Node: w.C.ID})
	return w
}

// Do signs and submits an operation.
func (w *World) Do(who *Actor, op api.Op) (api.Outcome, error) {
	return w.L.Submit(context.Background(), who.Command(w.Now(), op))
}

// Must is Do for an operation that succeeds.
func (w *World) Must(who *Actor, op api.Op) api.Outcome {
	w.T.Helper()
	out, err := w.Do(who, op)
	if err != nil {
		w.T.Fatalf("%T: %v", op, err)
	}
	return out
}

// Fails is Do for an operation that fails with kind and changes nothing.
func (w *World) Fails(kind api.Kind, who *Actor, op api.Op) {
	w.T.Helper()
	w.FailsCommand(kind, who.Command(w.Now(), op))
}

// FailsCommand submits a command that fails with kind and changes nothing.
func (w *World) FailsCommand(kind api.Kind, cmd api.Command) {
	w.T.Helper()
	before := w.totals()
	if _, err := w.L.Submit(context.Background(), cmd); api.KindOf(err) != kind {
		w.T.Fatalf("%T: got %v, want kind %v", cmd.Op, err, kind)
	}
	if after := w.totals(); after != before {
		w.T.Fatalf("%T failed and changed %+v to %+v", cmd.Op, before, after)
	}
}

func (w *World) totals() api.LedgerTotals {
	w.T.Helper()
	t, err := w.L.Totals(context.Background())
	if err != nil {
		w.T.Fatal(err)
	}
	if t.Treasury+t.Nodes+t.Escrowed != t.Supply {
		w.T.Fatalf("credits are not conserved: %+v", t)
	}
	return t
}

// Has checks a member's balance, in whole and micro credits.
func (w *World) Has(who *Actor, want api.Credits) {
	w.T.Helper()
	got, err := w.L.Balance(context.Background(), api.Account{Kind: api.NodeAccount, Node: who.ID})
	if err != nil || got != want {
		w.T.Fatalf("balance is %v (%v), want %v", got, err, want)
	}
}

// Open opens an escrow of A for B: 10 credits at 2 credits per Ggas, for a minute.
func (w *World) Open() api.Escrow {
	w.T.Helper()
	e := api.Escrow{
		ID: w.A.Fresh(), Job: w.A.Fresh(), Payer: w.A.ID, Worker: w.B.ID,
		Amount: 10 * api.Credit, Price: 2 * api.Credit, Expires: w.Now() + 60_000,
	}
	e.Seq = w.Must(w.A, api.EscrowOpen{Escrows: []api.Escrow{e}}).First
	return e
}

func settle(s ...api.Settlement) api.EscrowSettle { return api.EscrowSettle{Settlements: s} }
func refund(id ...api.ID) api.EscrowRefund        { return api.EscrowRefund{Escrows: id} }

// Run runs the suite.
func Run(t *testing.T, open func(t testing.TB, mesh api.NodeID, now func() int64) api.Ledger) {
	tests := []struct {
		name string
		run  func(*World)
	}{
		{"grants", grants},
		{"transfers", transfers},
		{"signatures", signatures},
		{"exactly once", exactlyOnce},
		{"expiry", expiry},
		{"settle by payer", settleByPayer},
		{"settle by worker", settleByWorker},
		{"settle kinds", settleKinds},
		{"settle once", settleOnce},
		{"refunds", refunds},
		{"batches", batches},
		{"storage", storage},
		{"cheques", cheques},
		{"history", history},
		{"views", views},
		{"concurrent", concurrent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := NewWorld(t, func(mesh api.NodeID, now func() int64) api.Ledger { return open(t, mesh, now) })
			test.run(w)
			w.totals()
		})
	}
}

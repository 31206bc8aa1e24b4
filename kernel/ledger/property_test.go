package ledger_test

import (
	"bytes"
	"iter"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"inos/kernel/api"
	"inos/kernel/ledger"
	"inos/kernel/ledger/ledgertest"
)

// history is a machine under random commands, with what a host would store.
type history struct {
	*rapid.T
	m       *ledger.Machine
	now     int64
	actors  []*ledgertest.Actor // the first is the mesh's root
	escrows []api.Escrow        // ever opened
	rows    map[string]string   // what Flush has stored
	log     []logged
	sums    map[api.Account]api.Credits // from the entries alone
	paid    map[uint64]int              // settlements by the entry that opened the escrow
	opened  map[api.ID]uint64           // open escrow -> that entry
}

type logged struct {
	at  int64
	cmd ledger.Checked
}

const supply = 10_000

func newHistory(t *rapid.T) *history {
	h := &history{
		T: t, now: ledgertest.Epoch, rows: map[string]string{}, sums: map[api.Account]api.Credits{},
		paid: map[uint64]int{}, opened: map[api.ID]uint64{},
	}
	for i := range 4 {
		h.actors = append(h.actors, ledgertest.NewActor(byte(i+1)))
	}
	h.m = ledger.New(h.actors[0].ID)
	h.apply(h.actors[0], api.Genesis{Supply: supply})
	for _, a := range h.actors[1:] {
		h.apply(h.actors[0], api.Grant{Node: a.ID, Amount: 1000})
	}
	return h
}

func (h *history) actor(name string) *ledgertest.Actor {
	return rapid.SampledFrom(h.actors).Draw(h.T, name)
}

func (h *history) amount() api.Credits {
	return api.Credits(rapid.Int64Range(-2, 1500).Draw(h.T, "amount"))
}

func (h *history) apply(who *ledgertest.Actor, op api.Op) {
	cmd := who.Command(h.now, op)
	times := 1
	if rapid.IntRange(0, 4).Draw(h.T, "repeat") == 0 {
		times = 2
	}
	for i := range times {
		checked, err := ledger.Check(cmd)
		if err != nil {
			return
		}
		before := h.m.Totals()
		done, err := h.m.Apply(h.now, checked)
		if err != nil {
			if h.m.Totals() != before {
				h.Fatalf("a failed %T changed the ledger", op)
			}
			continue
		}
		if done.Outcome.Repeated != (i == 1) {
			h.Fatalf("%T: time %d gives %+v", op, i, done.Outcome)
		}
		if done.Log {
			h.log = append(h.log, logged{h.now, checked})
		}
		h.follow(op, done.Entries)
	}
}

// follow keeps books from the entries alone.
func (h *history) follow(op api.Op, entries []api.Entry) {
	for i := range entries {
		e := &entries[i]
		if e.Amount <= 0 {
			h.Fatalf("an entry of %d", e.Amount)
		}
		if e.Cause != api.CauseGenesis {
			h.sums[e.From] -= e.Amount
		}
		h.sums[e.To] += e.Amount
		switch e.Cause {
		case api.CauseEscrow:
			h.opened[e.To.ID] = e.Seq
			opened := op.(api.EscrowOpen).Escrows[i]
			opened.Seq = e.Seq
			h.escrows = append(h.escrows, opened)
		case api.CauseSettle:
			if h.paid[h.opened[e.From.ID]]++; h.paid[h.opened[e.From.ID]] > 1 {
				h.Fatal("an escrow was settled twice")
			}
		}
	}
}

func (h *history) check(t *rapid.T) {
	totals := h.m.Totals()
	if totals.Supply != supply || totals.Treasury+totals.Nodes+totals.Escrowed != supply {
		t.Fatalf("credits are not conserved: %+v", totals)
	}
	var sum api.Credits
	for _, row := range h.m.Balances() {
		if row.Amount < 0 {
			t.Fatalf("%v is negative", row.Account)
		}
		sum += row.Amount
		if row.Account.Kind != api.EscrowAccount && h.sums[row.Account] != row.Amount {
			t.Fatalf("%v has %v, its entries add up to %v", row.Account, row.Amount, h.sums[row.Account])
		}
	}
	if sum != supply {
		t.Fatalf("the balances add up to %v", sum)
	}
}

func (h *history) flush(*rapid.T) {
	_ = h.m.Flush(func(k, v []byte) error {
		if v == nil {
			delete(h.rows, string(k))
		} else {
			h.rows[string(k)] = string(v)
		}
		return nil
	})
}

func byteRows(rows map[string]string) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for k, v := range rows {
			if !yield([]byte(k), []byte(v)) {
				return
			}
		}
	}
}

// restore replaces the machine by one made from the rows that were stored, and
// goes on with it.
func (h *history) restore(t *rapid.T) {
	h.flush(t)
	m, err := ledger.Restore(h.actors[0].ID, byteRows(h.rows))
	if err != nil {
		t.Fatal(err)
	}
	if m.Hash() != h.m.Hash() {
		t.Fatal("the stored rows are another state")
	}
	snapshot := map[string]string{}
	for k, v := range m.Rows() {
		snapshot[string(k)] = string(v)
	}
	if !maps.Equal(snapshot, h.rows) {
		t.Fatal("the snapshot differs from the stored rows")
	}
	h.m = m
}

func (h *history) replay() {
	m := ledger.New(h.actors[0].ID)
	for _, l := range h.log {
		if _, err := m.Apply(l.at, l.cmd); err != nil {
			h.Fatalf("replay: %v", err)
		}
	}
	if m.Hash() != h.m.Hash() {
		h.Fatal("a replay leads to another state")
	}
}

func (h *history) open(*rapid.T) {
	who := h.actor("payer")
	escrows := make([]api.Escrow, rapid.IntRange(1, 3).Draw(h.T, "escrows"))
	for i := range escrows {
		id := who.Fresh()
		if len(h.escrows) > 0 && rapid.IntRange(0, 5).Draw(h.T, "reuse") == 0 {
			id = rapid.SampledFrom(h.escrows).Draw(h.T, "old").ID
		}
		escrows[i] = api.Escrow{
			ID: id, Job: who.Fresh(), Payer: who.ID, Worker: h.actor("worker").ID, Amount: h.amount(),
			Price: api.Credits(rapid.Int64Range(0, 900).Draw(h.T, "price")), Expires: h.now + rapid.Int64Range(-1, 90_000).Draw(h.T, "life"),
		}
	}
	h.apply(who, api.EscrowOpen{Escrows: escrows})
}

func (h *history) settle(*rapid.T) {
	if len(h.escrows) == 0 {
		return
	}
	var list []api.Settlement
	for range rapid.IntRange(1, 2).Draw(h.T, "settlements") {
		e := rapid.SampledFrom(h.escrows).Draw(h.T, "escrow")
		kind := api.Kind(rapid.IntRange(0, 17).Draw(h.T, "kind"))
		gas := rapid.SampledFrom([]uint64{0, 1, api.Ggas, 3 * api.Ggas, 1 << 63}).Draw(h.T, "gas")
		for _, a := range h.actors {
			if a.ID == e.Worker {
				list = append(list, a.Settlement(e, kind, gas))
			}
		}
	}
	h.apply(h.actor("settler"), api.EscrowSettle{Settlements: list})
}

func (h *history) refund(*rapid.T) {
	if len(h.escrows) == 0 {
		return
	}
	e := rapid.SampledFrom(h.escrows).Draw(h.T, "escrow")
	h.apply(h.actor("refunder"), api.EscrowRefund{Escrows: []api.ID{e.ID}})
}

func TestRandomCommands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		t.Repeat(map[string]func(*rapid.T){
			"":        h.check,
			"open":    h.open,
			"settle":  h.settle,
			"refund":  h.refund,
			"flush":   h.flush,
			"restore": h.restore,
			"wait": func(*rapid.T) {
				h.now += rapid.SampledFrom([]int64{1, 1000, 61_000, api.EscrowGrace, api.EscrowSweep}).Draw(h.T, "ms")
			},
			"transfer": func(*rapid.T) { h.apply(h.actor("from"), api.Transfer{To: h.actor("to").ID, Amount: h.amount()}) },
			"grant":    func(*rapid.T) { h.apply(h.actor("root"), api.Grant{Node: h.actor("to").ID, Amount: h.amount()}) },
			"store": func(*rapid.T) {
				h.apply(h.actor("owner"), api.StoragePay{Root: api.Address{1}, Payments: []api.StoragePayment{
					{Holder: h.actor("h1").ID, Amount: h.amount()}, {Holder: h.actor("h2").ID, Amount: h.amount()},
				}})
			},
			"cheque": func(*rapid.T) {
				payee := h.actor("payee")
				h.apply(payee, api.CashCheque{Cheque: h.actor("payer").Cheque(payee.ID, h.amount(), 1)})
			},
		})
		h.replay()
	})
}

func FuzzRestore(f *testing.F) {
	h := ledgertest.NewActor(1)
	f.Add([]byte("m"), bytes.Repeat([]byte{1}, 65))
	f.Add(append([]byte("a"), h.ID[:]...), make([]byte, 8))
	f.Add(bytes.Repeat([]byte("o"), 17), make([]byte, 112))
	f.Fuzz(func(t *testing.T, k, v []byte) {
		m, err := ledger.Restore(h.ID, func(yield func(k, v []byte) bool) { yield(k, v) })
		if err != nil {
			return
		}
		if s := m.Totals(); s.Treasury+s.Nodes+s.Escrowed != s.Supply {
			t.Fatalf("accepted %+v", s)
		}
	})
}

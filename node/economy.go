package node

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/wire"
)

const keySeed = "mesh/seed" // the seed's id and, after it, its addresses as told by the invite

// openEconomy opens the ledger on the seed, or the way to it elsewhere.
func (n *Node) openEconomy() error {
	n.cheques = newChequeBook(n)
	n.outbox = newOutbox(n)
	if n.root.IsZero() {
		n.books = remoteLedger{n}
		return nil
	}
	l, err := openLedger(n.cfg, n.root.ID())
	if err != nil {
		return err
	}
	if err := n.openDesk(l); err != nil {
		_ = l.Close()
		return err
	}
	n.books = l
	return n.genesis()
}

// genesis creates the supply on the first start and opens the accounts of
// members that lack one. Both are applied once, however often they are asked for.
func (n *Node) genesis() error {
	t, err := n.books.Totals(n.ctx)
	if err != nil {
		return err
	}
	if t.Supply == 0 {
		if _, err := n.books.Submit(n.ctx, n.command(n.root.PrivateKey(), api.RandomID(), api.Genesis{Supply: GenesisSupply})); err != nil {
			return err
		}
	}
	for _, m := range n.members.Memberships() {
		if err := n.grant(n.ctx, m.Node); err != nil {
			return err
		}
	}
	return nil
}

// grant opens a member's account, once.
func (n *Node) grant(ctx context.Context, node api.NodeID) error {
	if _, err := n.books.Balance(ctx, api.Account{Kind: api.NodeAccount, Node: node}); api.KindOf(err) != api.NotFound {
		return err
	}
	_, err := n.books.Submit(ctx, n.command(n.root.PrivateKey(), api.RandomID(), api.Grant{Node: node, Amount: JoinGrant}))
	return err
}

// command signs an operation for the ledger.
func (n *Node) command(key ed25519.PrivateKey, id api.ID, op api.Op) api.Command {
	cmd := api.Command{
		ID: id, Signer: api.NodeID(key.Public().(ed25519.PublicKey)),
		Expires: time.Now().UnixMilli() + api.MaxCommandLife - 1000, Op: op,
	}
	b, err := wire.CommandSigning(cmd)
	if err == nil {
		cmd.Sig = [64]byte(ed25519.Sign(key, b))
	}
	return cmd // an operation without a canonical form has no signature and is refused
}

// pay signs an operation as this node.
func (n *Node) pay(id api.ID, op api.Op) api.Command { return n.command(n.id.PrivateKey(), id, op) }

// price is what a member asks, by its latest capability, and at most what this
// node is willing to pay.
func (n *Node) price(node api.NodeID) api.Prices {
	asked := DefaultPrices
	for _, p := range n.peerRows() {
		if p.Node == node {
			asked = p.Prices
			break
		}
	}
	most := n.cfg.MaxPrices
	return api.Prices{
		StorageGiBMonth: min(max(asked.StorageGiBMonth, 0), most.StorageGiBMonth),
		ServeGiB:        min(max(asked.ServeGiB, 0), most.ServeGiB),
		ComputeGgas:     min(max(asked.ComputeGgas, 0), most.ComputeGgas),
	}
}

// payStorage pays every other holder that signed for blocks of an object and
// returns the sum. A lease without an end is paid for the first month. A holder
// whose price cannot be worked out is left out. The payment is durable with the
// next synced write of the store; an error means that it could not be kept.
func (n *Node) payStorage(root api.Address, lease api.LeaseID, until int64, kept map[api.NodeID]*kept) (api.Credits, error) {
	seconds := uint64(api.MonthSec)
	if until != 0 {
		seconds = uint64(max(until-time.Now().Unix(), 0))
	}
	op, total := api.StoragePay{Root: root, Lease: lease}, api.Credits(0)
	for holder, k := range kept {
		if holder == n.id.ID() || len(op.Payments) == api.MaxCommandItems {
			continue
		}
		amount, err := n.price(holder).Storage(k.bytes, seconds)
		if err == nil && amount == 0 {
			continue
		}
		sum := total
		if err == nil {
			sum, err = total.Add(amount)
		}
		if err != nil {
			n.metrics.paymentsRefused.Add(1)
			n.cfg.Log("payment to %s for storage of %s: %v", holder.Short(), root.Short(), err)
			continue
		}
		total = sum
		op.Payments = append(op.Payments, api.StoragePayment{Holder: holder, Amount: amount, Bytes: k.bytes, Blocks: digestOf(k.blocks)})
	}
	if len(op.Payments) == 0 {
		return 0, nil
	}
	if err := n.outbox.add(op); err != nil {
		return 0, err
	}
	return total, nil
}

func digestOf(batches []api.Hash) (digest api.Hash) {
	h := blake3.New()
	for i := range batches {
		_, _ = h.Write(batches[i][:])
	}
	h.Sum(digest[:0])
	return digest
}

// sweepEvery is how often the seed returns escrows that nobody closed.
const sweepEvery = 10 * time.Minute

// startEconomy begins what the economy does by itself.
func (n *Node) startEconomy() {
	n.cheques.start()
	n.worker.claims.start()
	if n.seed != nil {
		n.spawn(n.sweep)
	}
}

// sweep runs on the seed and returns escrows to payers that vanished.
func (n *Node) sweep() {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		if err := n.sweepEscrows(time.Now().UnixMilli() - api.EscrowSweep); err != nil && n.ctx.Err() == nil {
			n.cfg.Log("returning forgotten escrows: %v", err)
		}
		select {
		case <-t.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// sweepEscrows refunds the escrows that expired at or before the given time. One
// that its payer closes meanwhile is passed over.
func (n *Node) sweepEscrows(expired int64) error {
	q := api.EscrowQuery{Expired: expired, Limit: api.MaxCommandItems}
	for {
		page, err := n.books.Escrows(n.ctx, q)
		if err != nil || len(page) == 0 {
			return err
		}
		ids := make([]api.ID, len(page))
		for i := range page {
			ids[i] = page[i].ID
		}
		err = bisect(ids, func(part []api.ID) error {
			_, err := n.books.Submit(n.ctx, n.pay(api.RandomID(), api.EscrowRefund{Escrows: part}))
			return err
		})
		if err != nil {
			return err
		}
		q.After = ids[len(ids)-1]
	}
}

// bisect submits items in one command and, when it is refused as a whole, its
// halves, so that one closed escrow does not hold up the others. A single item
// that the ledger refuses for good is passed over; other errors are returned.
func bisect[T any](items []T, submit func([]T) error) error {
	err := submit(items)
	switch api.KindOf(err) {
	case api.NotFound, api.Invalid, api.Denied, api.Unverified:
	default:
		return err
	}
	if len(items) == 1 {
		return nil
	}
	half := len(items) / 2
	if err := bisect(items[:half], submit); err != nil {
		return err
	}
	return bisect(items[half:], submit)
}

// Transfer moves credits to another member, once per request id.
func (n *Node) Transfer(ctx context.Context, req api.TransferRequest) (api.Entry, error) {
	const op = "node.transfer"
	m, err := n.findMember(op, req.To)
	if err != nil {
		return api.Entry{}, err
	}
	if req.Amount <= 0 {
		return api.Entry{}, api.Errorf(op, api.Invalid, "an amount is more than zero")
	}
	if req.ID.IsZero() {
		req.ID = api.RandomID()
	}
	out, err := n.books.Submit(ctx, n.pay(req.ID, api.Transfer{To: m.Node, Amount: req.Amount, Memo: req.Memo}))
	if err != nil {
		return api.Entry{}, err
	}
	entries, err := n.books.Entries(ctx, api.EntryQuery{From: out.First, Limit: 1})
	if err != nil || len(entries.Entries) == 0 {
		return api.Entry{}, err
	}
	return entries.Entries[0], nil
}

// Credits reports the ledger.
func (n *Node) Credits(ctx context.Context, f api.CreditsFilter) (api.CreditsReport, error) {
	rep := api.CreditsReport{Node: n.id.ID()}
	balances, err := n.books.Balances(ctx)
	if err != nil {
		return rep, err
	}
	for i, b := range balances {
		if rep.Total, err = rep.Total.Add(b.Amount); err != nil {
			return rep, err
		}
		if b.Account.Kind == api.NodeAccount {
			if m, ok := n.members.Get(b.Account.Node); ok {
				balances[i].Name = m.Name
			}
			if b.Account.Node == n.id.ID() {
				rep.Balance = b.Amount
			}
		}
	}
	rep.Balances = balances
	totals, err := n.books.Totals(ctx)
	if err != nil {
		return rep, err
	}
	rep.Genesis = totals.Supply
	if rep.Entries, rep.Next, err = n.entries(ctx, f); err != nil {
		return rep, err
	}
	open, err := n.books.Escrows(ctx, api.EscrowQuery{Payer: rep.Node, Limit: api.MaxEntryPage})
	for i := range open {
		rep.Escrows = append(rep.Escrows, api.Account{Kind: api.EscrowAccount, ID: open[i].ID})
	}
	return rep, err
}

// entries reads a page of history, newest first.
func (n *Node) entries(ctx context.Context, f api.CreditsFilter) ([]api.Entry, uint64, error) {
	const op = "node.credits"
	q := api.EntryQuery{Ref: f.Ref, Before: f.Before, Limit: pageLimit(f.Limit)}
	if f.Cause != "" {
		var c api.Cause
		if err := c.UnmarshalText([]byte(f.Cause)); err != nil {
			return nil, 0, err
		}
		q.Cause = &c
	}
	if f.Account != "" {
		a, err := n.account(op, f.Account)
		if err != nil {
			return nil, 0, err
		}
		q.Account = &a
	}
	var out []api.Entry
	for {
		page, err := n.books.Entries(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, page.Entries...)
		if page.Next == 0 || len(out) >= q.Limit {
			return out, page.Next, nil
		}
		q.Before = page.Next // a page may be short: rows that do not match are passed over in bounded steps
	}
}

func (n *Node) account(op, s string) (api.Account, error) {
	if a, err := api.ParseAccount(s); err == nil {
		return a, nil
	}
	m, err := n.findMember(op, s)
	return api.Account{Kind: api.NodeAccount, Node: m.Node}, err
}

func pageLimit(n int) int {
	if n <= 0 {
		return api.DefaultPage
	}
	return min(n, api.MaxPage)
}

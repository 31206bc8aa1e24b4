package ledgertest

import (
	"context"
	"sync"

	"inos/kernel/api"
)

func grants(w *World) {
	w.Has(w.A, 1000*api.Credit)
	w.Fails(api.Exists, w.Root, api.Grant{Node: w.A.ID, Amount: 1})
	w.Fails(api.Exists, w.Root, api.Genesis{Supply: 1})
	w.Fails(api.Denied, w.A, api.Genesis{Supply: 1})
	w.Fails(api.Denied, w.A, api.Grant{Node: NewActor(9).ID, Amount: 1})
	w.Fails(api.Unfunded, w.Root, api.Grant{Node: NewActor(9).ID, Amount: w.supply})
	w.Fails(api.Invalid, w.Root, api.Grant{Node: NewActor(9).ID, Amount: -1})
}

func transfers(w *World) {
	w.Must(w.A, api.Transfer{To: w.C.ID, Amount: 7 * api.Credit, Memo: "thanks"})
	w.Has(w.A, 993*api.Credit)
	w.Has(w.C, 7*api.Credit)
	w.Fails(api.Unfunded, w.C, api.Transfer{To: w.A.ID, Amount: 8 * api.Credit})
	w.Fails(api.NotFound, w.A, api.Transfer{To: NewActor(9).ID, Amount: 1})
	w.Fails(api.NotFound, NewActor(9), api.Transfer{To: w.A.ID, Amount: 1})
	w.Fails(api.Invalid, w.A, api.Transfer{To: w.A.ID, Amount: 1})
	w.Fails(api.Invalid, w.A, api.Transfer{To: w.B.ID, Amount: 0})
	w.Fails(api.Invalid, w.A, api.Transfer{To: w.B.ID, Amount: -5})
	w.Fails(api.Invalid, w.A, api.Transfer{To: w.B.ID, Amount: 1, Memo: string(make([]byte, api.MaxMemo+1))})
}

func signatures(w *World) {
	forged := w.A.Command(w.Now(), api.Transfer{To: w.B.ID, Amount: 1})
	forged.Op = api.Transfer{To: w.B.ID, Amount: 2}
	w.FailsCommand(api.Unverified, forged)
	stolen := w.B.Command(w.Now(), api.Transfer{To: w.B.ID, Amount: 1})
	stolen.Signer = w.A.ID
	w.FailsCommand(api.Unverified, stolen)
	e := w.Open()
	proof := w.B.Settlement(e, api.Other, api.Ggas)
	proof.Proof.Gas++
	w.Fails(api.Unverified, w.A, settle(proof))
	cheque := w.A.Cheque(w.B.ID, 5, 5)
	cheque.Cumulative++
	w.Fails(api.Unverified, w.B, api.CashCheque{Cheque: cheque})
	w.FailsCommand(api.Invalid, api.Command{ID: w.A.Fresh(), Signer: w.A.ID, Expires: w.Now() + 1})
}

func exactlyOnce(w *World) {
	cmd := w.A.Command(w.Now(), api.Transfer{To: w.B.ID, Amount: 3})
	first, err := w.L.Submit(context.Background(), cmd)
	if err != nil || first.Repeated {
		w.T.Fatal(first, err)
	}
	w.Advance(1000)
	again, err := w.L.Submit(context.Background(), cmd)
	if err != nil || !again.Repeated || again.First != first.First || again.Count != first.Count || again.Time != first.Time {
		w.T.Fatalf("first %+v, again %+v (%v)", first, again, err)
	}
	w.Has(w.B, 1000*api.Credit+3)
	w.FailsCommand(api.Conflict, w.A.CommandAs(cmd.ID, w.Now(), api.Transfer{To: w.B.ID, Amount: 4}))
	renewed := w.A.CommandAs(cmd.ID, w.Now()+120_000, cmd.Op)
	if again, err := w.L.Submit(context.Background(), renewed); err != nil || !again.Repeated {
		w.T.Fatal(again, err)
	}
	w.Advance(60_000)
	w.Must(w.B, api.Transfer{To: w.A.ID, Amount: 1}) // cmd has expired, renewed has not
	if again, err := w.L.Submit(context.Background(), renewed); err != nil || !again.Repeated {
		w.T.Fatal(again, err)
	}
	w.Advance(121_000) // the memory of the command ends with its validity
	w.Must(w.B, api.Transfer{To: w.A.ID, Amount: 1})
	w.FailsCommand(api.Timeout, cmd)

	poor := w.C.Command(w.Now(), api.Transfer{To: w.A.ID, Amount: 1})
	w.FailsCommand(api.Unfunded, poor)
	w.Must(w.A, api.Transfer{To: w.C.ID, Amount: 1})
	if out, err := w.L.Submit(context.Background(), poor); err != nil || out.Repeated { // a failure leaves the id free
		w.T.Fatal(out, err)
	}
}

func expiry(w *World) {
	w.FailsCommand(api.Timeout, w.A.Command(w.Now()-60_000, api.Transfer{To: w.B.ID, Amount: 1}))
	w.FailsCommand(api.Invalid, w.A.Command(w.Now()+api.MaxCommandLife, api.Transfer{To: w.B.ID, Amount: 1}))
}

func settleByPayer(w *World) {
	e := w.Open()
	w.Has(w.A, 990*api.Credit)
	w.Fails(api.Denied, w.C, settle(w.B.Settlement(e, api.Other, api.Ggas)))
	w.Fails(api.Denied, w.B, settle(w.B.Settlement(e, api.Other, api.Ggas))) // before Expires
	w.Fails(api.Invalid, w.A, settle(w.C.Settlement(e, api.Other, api.Ggas)))
	w.Must(w.A, settle(w.B.Settlement(e, api.Other, api.Ggas)))
	w.Has(w.A, 998*api.Credit)
	w.Has(w.B, 1002*api.Credit)
}

func settleByWorker(w *World) {
	e := w.Open()
	w.Advance(60_000)
	w.Must(w.B, settle(w.B.Settlement(e, api.Other, 100*api.Ggas))) // never more than was set aside
	w.Has(w.A, 990*api.Credit)
	w.Has(w.B, 1010*api.Credit)
}

func settleKinds(w *World) {
	paid := api.Credits(0)
	for kind := api.Other; kind <= api.Unsupported; kind++ {
		w.Must(w.A, settle(w.B.Settlement(w.Open(), kind, api.Ggas)))
		if api.GuestOutcome(kind) {
			paid += 2 * api.Credit
		}
		w.Has(w.B, 1000*api.Credit+paid)
		w.Has(w.A, 1000*api.Credit-paid)
	}
}

func settleOnce(w *World) {
	e := w.Open()
	s := w.B.Settlement(e, api.Other, api.Ggas)
	w.Fails(api.NotFound, w.A, settle(s, s)) // twice in one command
	w.Must(w.A, settle(s))
	w.Fails(api.NotFound, w.A, settle(s))
	w.Fails(api.NotFound, w.A, refund(e.ID))
	reused := e
	reused.Expires = w.Now() + 60_000
	w.Must(w.A, api.EscrowOpen{Escrows: []api.Escrow{reused}})
	w.Fails(api.Invalid, w.A, settle(s)) // the old proof does not fit the reused id
}

func refunds(w *World) {
	e, f := w.Open(), w.Open()
	w.Fails(api.Denied, w.A, refund(e.ID))
	w.Advance(60_000 + api.EscrowGrace - 1)
	w.Fails(api.Denied, w.A, refund(e.ID))
	w.Fails(api.Denied, w.C, refund(e.ID))
	w.Advance(1)
	w.Fails(api.Denied, w.C, refund(e.ID))
	w.Must(w.A, refund(e.ID))
	w.Has(w.A, 990*api.Credit)
	w.Advance(api.EscrowSweep - api.EscrowGrace)
	w.Must(w.C, refund(f.ID))
	w.Has(w.A, 1000*api.Credit)
	w.Fails(api.NotFound, w.A, refund(f.ID))
}

func batches(w *World) {
	escrows := make([]api.Escrow, api.MaxCommandItems)
	for i := range escrows {
		escrows[i] = api.Escrow{
			ID: w.A.Fresh(), Job: w.A.Fresh(), Payer: w.A.ID, Worker: w.B.ID,
			Amount: api.Credit, Price: api.Credit, Expires: w.Now() + 60_000,
		}
	}
	out := w.Must(w.A, api.EscrowOpen{Escrows: escrows})
	if int(out.Count) != len(escrows) {
		w.T.Fatalf("%d entries for %d escrows", out.Count, len(escrows))
	}
	proofs := make([]api.Settlement, len(escrows))
	for i := range escrows {
		escrows[i].Seq = out.First + uint64(i)
		proofs[i] = w.B.Settlement(escrows[i], api.Other, api.Ggas/2)
	}
	w.Must(w.A, settle(proofs...))
	w.Has(w.B, 1128*api.Credit)

	half := []api.Escrow{escrows[0], escrows[1]} // all or none
	half[1].Amount = 5000 * api.Credit
	w.Fails(api.Unfunded, w.A, api.EscrowOpen{Escrows: half})
	twice := []api.Escrow{escrows[0], escrows[0]}
	w.Fails(api.Exists, w.A, api.EscrowOpen{Escrows: twice})
	w.Fails(api.Invalid, w.A, api.EscrowOpen{})
	foreign := escrows[0]
	foreign.Payer = w.C.ID
	w.Fails(api.Denied, w.A, api.EscrowOpen{Escrows: []api.Escrow{foreign}})
	own := escrows[0]
	own.Worker = w.A.ID
	w.Fails(api.Invalid, w.A, api.EscrowOpen{Escrows: []api.Escrow{own}})
	stranger := escrows[0]
	stranger.Worker = NewActor(9).ID
	w.Fails(api.NotFound, w.A, api.EscrowOpen{Escrows: []api.Escrow{stranger}})
	long := escrows[0]
	long.Expires = w.Now() + api.MaxEscrowLife + 1
	w.Fails(api.Invalid, w.A, api.EscrowOpen{Escrows: []api.Escrow{long}})
	late := escrows[0]
	late.Expires = w.Now()
	w.Fails(api.Timeout, w.A, api.EscrowOpen{Escrows: []api.Escrow{late}})
}

func storage(w *World) {
	op := api.StoragePay{Root: api.Address{1}, Payments: []api.StoragePayment{
		{Holder: w.B.ID, Amount: 2 * api.Credit, Bytes: 5}, {Holder: w.C.ID, Amount: 3 * api.Credit, Bytes: 5},
	}}
	w.Must(w.A, op)
	w.Has(w.A, 995*api.Credit)
	w.Has(w.C, 3*api.Credit)
	op.Payments[1].Amount = 5000 * api.Credit
	w.Fails(api.Unfunded, w.A, op)
	op.Payments[1].Amount = 0
	w.Fails(api.Invalid, w.A, op)
	op.Payments[1] = api.StoragePayment{Holder: w.A.ID, Amount: 1}
	w.Fails(api.Invalid, w.A, op)
}

func cheques(w *World) {
	w.Must(w.B, api.CashCheque{Cheque: w.A.Cheque(w.B.ID, 5*api.Credit, 100)})
	w.Must(w.B, api.CashCheque{Cheque: w.A.Cheque(w.B.ID, 8*api.Credit, 200)}) // only the difference
	w.Has(w.B, 1008*api.Credit)
	w.Fails(api.Exists, w.B, api.CashCheque{Cheque: w.A.Cheque(w.B.ID, 8*api.Credit, 200)})
	w.Fails(api.Exists, w.B, api.CashCheque{Cheque: w.A.Cheque(w.B.ID, 5*api.Credit, 100)})
	w.Fails(api.Unfunded, w.B, api.CashCheque{Cheque: w.A.Cheque(w.B.ID, 5000*api.Credit, 1)})
	w.Fails(api.Denied, w.C, api.CashCheque{Cheque: w.A.Cheque(w.B.ID, 9*api.Credit, 1)})
	w.Must(w.A, api.CashCheque{Cheque: w.B.Cheque(w.A.ID, 1*api.Credit, 1)}) // the other way is another pair
	w.Has(w.A, 993*api.Credit)
}

// seqs pages through a query and returns all sequence numbers.
func seqs(w *World, q api.EntryQuery) (out []uint64) {
	w.T.Helper()
	for {
		page, err := w.L.Entries(context.Background(), q)
		if err != nil {
			w.T.Fatal(err)
		}
		for _, e := range page.Entries {
			out = append(out, e.Seq)
		}
		if page.Next == 0 {
			return out
		}
		if q.From > 0 {
			q.From = page.Next
		} else {
			q.Before = page.Next
		}
	}
}

func expect(w *World, what string, got []uint64, want ...uint64) {
	w.T.Helper()
	if len(got) != len(want) {
		w.T.Fatalf("%s: got %v, want %v", what, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			w.T.Fatalf("%s: got %v, want %v", what, got, want)
		}
	}
}

func history(w *World) { // entries 1..3 are genesis and two grants; the grant of nothing leaves none
	e := w.Open()                                                  // 4
	w.Must(w.A, settle(w.B.Settlement(e, api.Other, api.Ggas)))    // 5 settle, 6 refund
	w.Must(w.B, api.Transfer{To: w.C.ID, Amount: 1, Memo: "note"}) // 7
	a := &api.Account{Kind: api.NodeAccount, Node: w.A.ID}
	cause := api.CauseRefund
	expect(w, "all", seqs(w, api.EntryQuery{Limit: 3}), 7, 6, 5, 4, 3, 2, 1)
	expect(w, "oldest first", seqs(w, api.EntryQuery{From: 1, Limit: 2}), 1, 2, 3, 4, 5, 6, 7)
	expect(w, "from the middle", seqs(w, api.EntryQuery{From: 6}), 6, 7)
	expect(w, "before", seqs(w, api.EntryQuery{Before: 3}), 2, 1)
	expect(w, "of an account", seqs(w, api.EntryQuery{Account: a, Limit: 1}), 6, 4, 2)
	expect(w, "of an account, forward", seqs(w, api.EntryQuery{Account: a, From: 3, Limit: 1}), 4, 6)
	expect(w, "of the treasury", seqs(w, api.EntryQuery{Account: &api.Account{}}), 3, 2, 1)
	expect(w, "by cause", seqs(w, api.EntryQuery{Cause: &cause}), 6)
	expect(w, "by job", seqs(w, api.EntryQuery{Ref: e.Job.String(), Limit: 2}), 6, 5, 4)
	expect(w, "beyond", seqs(w, api.EntryQuery{From: 99}))
	page, err := w.L.Entries(context.Background(), api.EntryQuery{Limit: 1})
	want := api.Entry{
		Seq: 7, Time: w.Now(), From: api.Account{Kind: api.NodeAccount, Node: w.B.ID},
		To: api.Account{Kind: api.NodeAccount, Node: w.C.ID}, Amount: 1, Cause: api.CauseTransfer, Ref: "note",
	}
	if err != nil || page.Entries[0] != want {
		w.T.Fatalf("got %+v (%v), want %+v", page.Entries[0], err, want)
	}
	if _, err := w.L.Entries(context.Background(), api.EntryQuery{Limit: api.MaxEntryPage + 1}); api.KindOf(err) != api.Invalid {
		w.T.Fatalf("a page beyond the bound: %v", err)
	}
}

func views(w *World) {
	ctx := context.Background()
	e, _ := w.Open(), w.Open()
	rows, err := w.L.Balances(ctx)
	if err != nil || len(rows) != 5 {
		w.T.Fatalf("%v (%v)", rows, err)
	}
	var sum api.Credits
	for _, r := range rows {
		sum += r.Amount
	}
	if sum != w.supply {
		w.T.Fatalf("the rows add up to %v, want %v", sum, w.supply)
	}
	if got, err := w.L.Escrow(ctx, e.ID); err != nil || got != e {
		w.T.Fatalf("got %+v (%v), want %+v", got, err, e)
	}
	if got, err := w.L.Balance(ctx, api.Account{Kind: api.EscrowAccount, ID: e.ID}); err != nil || got != e.Amount {
		w.T.Fatalf("escrow holds %v (%v)", got, err)
	}
	page, err := w.L.Escrows(ctx, api.EscrowQuery{Payer: w.A.ID, Limit: 1})
	if err != nil || len(page) != 1 {
		w.T.Fatalf("%v (%v)", page, err)
	}
	rest, err := w.L.Escrows(ctx, api.EscrowQuery{Payer: w.A.ID, Worker: w.B.ID, After: page[0].ID})
	if err != nil || len(rest) != 1 || rest[0].ID == page[0].ID {
		w.T.Fatalf("%v (%v)", rest, err)
	}
	if none, err := w.L.Escrows(ctx, api.EscrowQuery{Expired: w.Now()}); err != nil || len(none) != 0 {
		w.T.Fatalf("%v (%v)", none, err)
	}
	if _, err := w.L.Balance(ctx, api.Account{Kind: api.NodeAccount, Node: NewActor(9).ID}); api.KindOf(err) != api.NotFound {
		w.T.Fatal(err)
	}
}

// concurrent repeats every command from two callers at once.
func concurrent(w *World) {
	const callers, each = 8, 25
	var wg sync.WaitGroup
	for c := range callers {
		actor := []*Actor{w.A, w.B}[c%2]
		commands := make([]api.Command, each)
		for i := range commands {
			commands[i] = actor.Command(w.Now(), api.Transfer{To: w.C.ID, Amount: 1})
		}
		for range 2 {
			wg.Go(func() {
				for _, cmd := range commands {
					if _, err := w.L.Submit(context.Background(), cmd); err != nil {
						w.T.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	w.Has(w.C, callers*each)
}

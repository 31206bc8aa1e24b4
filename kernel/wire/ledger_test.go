package wire

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// fill writes a recognisable pattern into a fixed-size field.
func fill(dst []byte, seed byte) {
	for i := range dst {
		dst[i] = seed + byte(i)
	}
}

func testID(seed byte) (id api.ID)        { fill(id[:], seed); return id }
func testNode(seed byte) (id api.NodeID)  { fill(id[:], seed); return id }
func testHash(seed byte) (h api.Hash)     { fill(h[:], seed); return h }
func testSig(seed byte) (s [64]byte)      { fill(s[:], seed); return s }
func testLease(seed byte) (l api.LeaseID) { fill(l[:], seed); return l }
func testRoot(seed byte) (a api.Address)  { fill(a[:], seed); return a }
func testEscrow(seed byte) api.Escrow {
	return api.Escrow{
		ID: testID(seed), Job: testID(seed + 1), Payer: testNode(seed + 2), Worker: testNode(seed + 3),
		Amount: 5 * api.Credit, Price: 7, Expires: 1234567, Seq: 9,
	}
}

func testCheque() api.Cheque {
	return api.Cheque{Payer: testNode(1), Payee: testNode(2), Cumulative: 77, Bytes: 88, Sig: testSig(3)}
}

// testCommands has one command per operation.
func testCommands() []api.Command {
	ops := []api.Op{
		api.Genesis{Supply: 1000 * api.Credit},
		api.Grant{Node: testNode(4), Amount: 10},
		api.Transfer{To: testNode(5), Amount: 11, Memo: "for the disks"},
		api.EscrowOpen{Escrows: []api.Escrow{testEscrow(10), testEscrow(20)}},
		api.EscrowSettle{Settlements: []api.Settlement{{Escrow: testID(6), Proof: api.JobProof{
			Job: testID(7), Worker: testNode(8), Escrow: 3, Kind: api.Trapped, Gas: 99, Detail: testHash(9), Sig: testSig(10),
		}}}},
		api.EscrowRefund{Escrows: []api.ID{testID(1), testID(2)}},
		api.StoragePay{Root: testRoot(1), Lease: testLease(2), Payments: []api.StoragePayment{
			{Holder: testNode(3), Amount: 4, Bytes: 5, Blocks: testHash(6)},
		}},
		api.CashCheque{Cheque: testCheque()},
	}
	out := make([]api.Command, len(ops))
	for i, op := range ops {
		out[i] = api.Command{ID: testID(byte(i)), Signer: testNode(byte(i) + 100), Expires: 1_700_000_000_000, Op: op, Sig: testSig(byte(i))}
	}
	return out
}

func TestCommandRoundTrip(t *testing.T) {
	for _, want := range testCommands() {
		b, err := EncodeCommand(want)
		if err != nil {
			t.Fatalf("%T: %v", want.Op, err)
		}
		got, err := DecodeCommand(b)
		if err != nil {
			t.Fatalf("%T: %v", want.Op, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
}

// The signed bytes are a format: a change breaks every signature made before.
func TestSigningBytesGolden(t *testing.T) {
	all := blake3.New()
	for _, cmd := range testCommands() {
		b, err := CommandSigning(cmd)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = all.Write(b)
	}
	_, _ = all.Write(ChequeSigning(testCheque()))
	_, _ = all.Write(ResultSigning(testResult()))
	id := EscrowID(testID(1), 2)
	_, _ = all.Write(id[:])
	identity := JobIdentity(testSpec())
	_, _ = all.Write(identity[:])
	const want = "da667ebd475116ca130c857a3d91dacfb2d4fb69f643f8a61d9683f611c9216a"
	if got := blake3Sum(all).String(); got != want {
		t.Errorf("signed bytes hash to %s, want %s", got, want)
	}
}

// Any changed field changes the signed bytes, and escrows' Seq, which the
// ledger sets, does not.
func TestSigningCoversFields(t *testing.T) {
	cmd := testCommands()[3]
	base, _ := CommandSigning(cmd)
	op := cmd.Op.(api.EscrowOpen)
	op.Escrows[0].Seq = 99
	if same, _ := CommandSigning(cmd); !bytes.Equal(base, same) {
		t.Error("Seq is signed")
	}
	op.Escrows[0].Price++
	if changed, _ := CommandSigning(cmd); bytes.Equal(base, changed) {
		t.Error("Price is not signed")
	}
	r := testResult()
	before := ResultSigning(r)
	r.Output.Key[3]++
	if bytes.Equal(before, ResultSigning(r)) {
		t.Error("the output's key is not signed")
	}
	if _, err := CommandSigning(api.Command{}); api.KindOf(err) != api.Invalid {
		t.Errorf("a command without operation: %v", err)
	}
}

func TestLargestCommandFits(t *testing.T) {
	settle := api.EscrowSettle{Settlements: make([]api.Settlement, api.MaxCommandItems)}
	open := api.EscrowOpen{Escrows: make([]api.Escrow, api.MaxCommandItems)}
	for _, op := range []api.Op{settle, open} {
		b, err := EncodeCommand(api.Command{Op: op})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeCommand(b); err != nil {
			t.Fatal(err)
		}
	}
	settle.Settlements = append(settle.Settlements, api.Settlement{})
	b, err := EncodeCommand(api.Command{Op: settle})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeCommand(b); api.KindOf(err) != api.Invalid {
		t.Errorf("257 settlements: %v", err)
	}
}

func TestLedgerRecordsRoundTrip(t *testing.T) {
	node := api.Account{Kind: api.NodeAccount, Node: testNode(1)}
	escrow := api.Account{Kind: api.EscrowAccount, ID: testID(1)}
	cause := api.CauseSettle
	check(t, testCheque(), EncodeCheque, DecodeCheque)
	check(t, node, EncodeAccount, DecodeAccount)
	check(t, escrow, EncodeAccount, DecodeAccount)
	check(t, api.Account{}, EncodeAccount, DecodeAccount)
	check(t, api.Outcome{First: 1, Count: 2, Time: 3, Repeated: true}, EncodeOutcome, DecodeOutcome)
	check(t, api.EntryPage{Next: 4, Entries: []api.Entry{
		{Seq: 1, Time: 2, From: node, To: escrow, Amount: 3, Cause: api.CauseEscrow, Ref: "x"},
		{Seq: 2, To: node, Cause: api.CauseTransfer},
	}}, EncodeEntries, DecodeEntries)
	check(t, api.EntryQuery{}, EncodeEntryQuery, DecodeEntryQuery)
	check(t, api.EntryQuery{Account: &node, Cause: &cause, Ref: "r", Before: 5, From: 6, Limit: 7}, EncodeEntryQuery, DecodeEntryQuery)
	check(t, api.EscrowQuery{Payer: testNode(1), After: testID(2), Expired: 3, Limit: 4}, EncodeEscrowQuery, DecodeEscrowQuery)
	check(t, []api.Escrow{testEscrow(1), testEscrow(2)}, EncodeEscrows, DecodeEscrows)
	check(t, []api.Balance{{Account: node, Name: "a", Amount: 1}, {Account: escrow, Amount: 2}}, EncodeBalances, DecodeBalances)
	check(t, api.LedgerTotals{Supply: 6, Treasury: 1, Nodes: 2, Escrowed: 3, Accounts: 4, Escrows: 5, Entries: 6}, EncodeTotals, DecodeTotals)
}

func check[T any](t *testing.T, want T, encode func(T) ([]byte, error), decode func([]byte) (T, error)) {
	t.Helper()
	b, err := encode(want)
	if err != nil {
		t.Fatalf("%T: %v", want, err)
	}
	got, err := decode(b)
	if err != nil {
		t.Fatalf("%T: %v", want, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%T: got %+v\nwant %+v", want, got, want)
	}
	if _, err := decode(b[:len(b)-8]); err == nil {
		t.Errorf("%T: a truncated record was accepted", want)
	}
}

// refuzz checks that whatever a decoder accepts survives encoding again.
func refuzz[T any](t *testing.T, b []byte, encode func(T) ([]byte, error), decode func([]byte) (T, error)) {
	v, err := decode(b)
	if err != nil {
		return
	}
	again, err := encode(v)
	if err != nil {
		t.Fatalf("accepted what cannot be encoded: %v", err)
	}
	w, err := decode(again)
	if err != nil {
		t.Fatalf("cannot read what it wrote: %v", err)
	}
	if !reflect.DeepEqual(v, w) {
		t.Fatalf("changed on the way: %+v, %+v", v, w)
	}
}

func FuzzDecodeCommand(f *testing.F) {
	for _, cmd := range testCommands() {
		b, _ := EncodeCommand(cmd)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { refuzz(t, b, EncodeCommand, DecodeCommand) })
}

// FuzzDecodeLedger feeds every other decoder of the ledger.
func FuzzDecodeLedger(f *testing.F) {
	node := api.Account{Kind: api.NodeAccount, Node: testNode(1)}
	cheque, _ := EncodeCheque(testCheque())
	page, _ := EncodeEntries(api.EntryPage{Entries: []api.Entry{{Seq: 1, From: node, To: node, Ref: "r"}}})
	query, _ := EncodeEntryQuery(api.EntryQuery{Account: &node})
	escrows, _ := EncodeEscrows([]api.Escrow{testEscrow(1)})
	balances, _ := EncodeBalances([]api.Balance{{Account: node}})
	totals, _ := EncodeTotals(api.LedgerTotals{})
	for _, b := range [][]byte{cheque, page, query, escrows, balances, totals} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		refuzz(t, b, EncodeCheque, DecodeCheque)
		refuzz(t, b, EncodeAccount, DecodeAccount)
		refuzz(t, b, EncodeOutcome, DecodeOutcome)
		refuzz(t, b, EncodeEntries, DecodeEntries)
		refuzz(t, b, EncodeEntryQuery, DecodeEntryQuery)
		refuzz(t, b, EncodeEscrowQuery, DecodeEscrowQuery)
		refuzz(t, b, EncodeEscrows, DecodeEscrows)
		refuzz(t, b, EncodeBalances, DecodeBalances)
		refuzz(t, b, EncodeTotals, DecodeTotals)
	})
}

// A message whose list claims more than it holds must cost nothing.
func TestAmplificationRefused(t *testing.T) {
	b, _ := EncodeEscrows([]api.Escrow{testEscrow(1)})
	for at := 8; at+8 <= len(b); at += 8 {
		for _, word := range []uint64{^uint64(0), 1<<63 | 1, 0x7fffffff_00000001} {
			c := bytes.Clone(b)
			binary.LittleEndian.PutUint64(c[at:], word)
			_, _ = DecodeEscrows(c)
		}
	}
}

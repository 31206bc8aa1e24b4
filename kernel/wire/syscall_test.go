package wire

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

func syscallRequests() []SyscallRequest {
	return []SyscallRequest{
		{ID: 1, Op: FetchChunk{Offset: 7, Length: 9}},
		{ID: 2, Op: FetchChunk{Link: "inos:abc#def", Path: "a/b"}},
		{ID: 3, Op: FetchChunk{Address: testRoot(4)}},
		{ID: 4, DeadlineMS: 250, Op: StoreChunk{Data: Span{8, 16}, Name: "part", Public: true}},
		{ID: 5, Source: testHash(6), Op: SendMessage{Node: "did:key:z", Module: "counter", Data: Span{24, 3}}},
		{ID: 6, Op: SpawnThread{Unit: "u", Method: "m", Params: `{"a":1}`, Input: Span{1, 2}, Gas: 5}},
		{ID: 7, Op: KillThread{Thread: 3}},
		{ID: 8, Op: AwaitThread{Thread: 4}},
		{ID: 10, Op: FetchChunk{Address: testRoot(4), Into: Span{64, 128}}},
		{ID: 11, Op: StoreChunk{Data: Span{8, 16}, Name: "part", Block: true}},
		{ID: 9, Op: HostCall{Service: "kv", Operation: "put", Argument: "key", Data: Span{5, 6}}},
	}
}

func syscallCompletions() []SyscallCompletion {
	return []SyscallCompletion{
		{ID: 1, Result: FetchDone{Data: Span{8, 4}, Size: 100}},
		{ID: 2, Result: StoreDone{Link: "inos:abc#def", Size: 9}},
		{ID: 9, Result: StoreDone{Link: "inos:abc", Size: 9, Address: testRoot(7)}},
		{ID: 3, Result: SendDone{Sequence: 5, Receipt: []byte("receipt!")}},
		{ID: 4, Result: SpawnDone{Thread: 2}},
		{ID: 5, Result: KillDone{}},
		{ID: 6, Result: HostDone{Code: 200, Detail: "text/plain", Data: Span{16, 5}}},
		{ID: 7, Result: AwaitDone{Data: Span{32, 6}, Gas: 7}},
		{ID: 8, Result: SyscallFailed{Kind: api.Denied, Message: "not listed"}},
	}
}

func testMessage() ModuleMessage {
	return ModuleMessage{From: testHash(1), Module: "counter", Sequence: 9, SentMS: 10, Data: []byte("hello")}
}

func testMessageReceipt() MessageReceipt {
	return MessageReceipt{
		FromNode: testNode(1), FromModule: testHash(2), ToNode: testNode(3), ToModule: testHash(4),
		Sequence: 5, Digest: testHash(6), AcceptedMS: 7, Sig: testSig(8),
	}
}

func TestSyscallRoundTrips(t *testing.T) {
	for _, q := range syscallRequests() {
		check(t, q, EncodeSyscallRequest, DecodeSyscallRequest)
	}
	for _, c := range syscallCompletions() {
		check(t, c, EncodeSyscallCompletion, DecodeSyscallCompletion)
	}
	p := testMessageReceipt()
	check(t, testMessage(), EncodeModuleMessage, DecodeModuleMessage)
	check(t, p, EncodeMessageReceipt, DecodeMessageReceipt)
	check(t, MessageReply{Receipt: &p}, EncodeMessageReply, DecodeMessageReply)
	check(t, MessageReply{Behind: 12}, EncodeMessageReply, DecodeMessageReply)
}

// The bytes that guests and nodes of other builds write and expect.
func TestSyscallGolden(t *testing.T) {
	sum := blake3.New()
	add := func(b []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		_, _ = sum.Write(b)
	}
	for _, q := range syscallRequests() {
		add(EncodeSyscallRequest(q))
	}
	for _, c := range syscallCompletions() {
		add(EncodeSyscallCompletion(c))
	}
	add(EncodeModuleMessage(testMessage()))
	add(EncodeMessageReceipt(testMessageReceipt()))
	add(ReceiptSigning(testMessageReceipt()), nil)
	const want = "60bb0ff88ce6997cecaef5d23183703d4bb09763d9f533f831666bb68e9edb8a"
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		t.Errorf("the encodings hash to %s, not %s: a change of them is a new version", got, want)
	}
	b, err := EncodeSyscallRequest(SyscallRequest{ID: 7, Op: KillThread{Thread: 3}})
	if want := "0000000006000000000000000300020007000000000000000000000004000000030000000000000000000000000000000000000000000000"; err != nil || hex.EncodeToString(b) != want {
		t.Errorf("killThread is %x, %v", b, err)
	}
}

func TestSyscallBounds(t *testing.T) {
	long := strings.Repeat("x", MaxSyscallText+1)
	for _, op := range []SyscallOp{
		FetchChunk{Link: long}, StoreChunk{Name: long}, SendMessage{Module: long}, SpawnThread{Params: long}, HostCall{Argument: long},
	} {
		b, err := EncodeSyscallRequest(SyscallRequest{ID: 5, Op: op})
		if err != nil {
			t.Fatal(err)
		}
		if q, err := DecodeSyscallRequest(b); api.KindOf(err) != api.Invalid || q.ID != 5 {
			t.Errorf("%T with a long text: id %d, %v", op, q.ID, err)
		}
	}
	if _, err := EncodeSyscallRequest(SyscallRequest{Op: HostCall{Argument: long + long}}); api.KindOf(err) != api.Invalid {
		t.Errorf("a request longer than a ring takes: %v", err)
	}
	if _, err := EncodeSyscallRequest(SyscallRequest{}); api.KindOf(err) != api.Invalid {
		t.Errorf("a request for nothing: %v", err)
	}
	b, err := EncodeSyscallCompletion(SyscallCompletion{Result: SyscallFailed{Kind: api.Invalid, Message: strings.Repeat("é", 400)}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := DecodeSyscallCompletion(b)
	if f, _ := c.Result.(SyscallFailed); err != nil || f.Message != strings.Repeat("é", MaxSyscallFailure/2) {
		t.Errorf("a long message: %q, %v", f.Message, err)
	}
	if _, err := EncodeModuleMessage(ModuleMessage{Data: make([]byte, MaxModuleMessageIn+1)}); api.KindOf(err) != api.Invalid {
		t.Errorf("a long message: %v", err)
	}
}

func FuzzDecodeSyscall(f *testing.F) {
	for _, q := range syscallRequests() {
		b, _ := EncodeSyscallRequest(q)
		f.Add(b)
	}
	for _, c := range syscallCompletions() {
		b, _ := EncodeSyscallCompletion(c)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// Text that is shared between fields may not fit when written apart.
		if q, err := DecodeSyscallRequest(b); err == nil {
			if again, err := EncodeSyscallRequest(q); err == nil {
				refuzz(t, again, EncodeSyscallRequest, DecodeSyscallRequest)
			}
		}
		if c, err := DecodeSyscallCompletion(b); err == nil {
			if again, err := EncodeSyscallCompletion(c); err == nil {
				refuzz(t, again, EncodeSyscallCompletion, DecodeSyscallCompletion)
			}
		}
	})
}

func FuzzDecodeModuleMessage(f *testing.F) {
	p := testMessageReceipt()
	message, _ := EncodeModuleMessage(testMessage())
	receipt, _ := EncodeMessageReceipt(p)
	reply, _ := EncodeMessageReply(MessageReply{Receipt: &p})
	behind, _ := EncodeMessageReply(MessageReply{Behind: 3})
	for _, b := range [][]byte{message, receipt, reply, behind} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		refuzz(t, b, EncodeModuleMessage, DecodeModuleMessage)
		refuzz(t, b, EncodeMessageReceipt, DecodeMessageReceipt)
		refuzz(t, b, EncodeMessageReply, DecodeMessageReply)
	})
}

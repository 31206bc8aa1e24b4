package wire

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"inos/kernel/api"
)

func genText(t *rapid.T, label string, max int) string {
	return rapid.StringMatching(`[a-zA-Z0-9 .,:;-]*`).Filter(func(s string) bool { return len(s) <= max }).Draw(t, label)
}

func gen32(t *rapid.T, label string) (b [32]byte) {
	copy(b[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, label))
	return b
}

func genAddrs(t *rapid.T, least int) []api.Address {
	n := rapid.IntRange(least, 40).Draw(t, "addresses")
	addrs := make([]api.Address, n)
	for i := range addrs {
		addrs[i] = gen32(t, "address")
	}
	return addrs
}

func genReceipt(t *rapid.T) api.Receipt {
	r := api.Receipt{
		Holder: gen32(t, "holder"), Lease: gen32(t, "lease"), Blocks: gen32(t, "blocks"),
		Count: rapid.Uint32().Draw(t, "count"), Bytes: rapid.Uint64().Draw(t, "bytes"), Time: rapid.Int64().Draw(t, "time"),
	}
	copy(r.Sig[:], rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "sig"))
	return r
}

// roundTrip checks that decode undoes encode and that encoding is stable.
func roundTrip[T any](t *rapid.T, v T, enc func(T) ([]byte, error), dec func([]byte) (T, error)) {
	b, err := enc(v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := dec(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, v) {
		t.Fatalf("got %+v, want %+v", got, v)
	}
	again, err := enc(got)
	if err != nil || !bytes.Equal(again, b) {
		t.Fatal("encoding is not stable", err)
	}
}

func TestExchangeRoundTrips(t *testing.T) {
	kind := rapid.SampledFrom([]api.Kind{api.Other, api.Invalid, api.NotFound, api.Corrupt, api.Unsupported})
	t.Run("hello", rapid.MakeCheck(func(t *rapid.T) {
		h := Hello{Credential: rapid.SliceOfN(rapid.Byte(), 1, MaxCredential).Draw(t, "credential"), Kind: kind.Draw(t, "kind"), Message: genText(t, "message", MaxReason)}
		copy(h.Instance[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "instance"))
		roundTrip(t, h, EncodeHello, DecodeHello)
	}))
	t.Run("call", rapid.MakeCheck(func(t *rapid.T) {
		c := Call{ID: rapid.Uint64().Draw(t, "id"), Type: CallType(rapid.IntRange(0, 2).Draw(t, "type"))}
		switch c.Type {
		case CallRequest:
			c.BodySize = rapid.Uint32Max(MaxBody).Draw(t, "body")
			c.Method, c.TimeoutMS = "m"+genText(t, "method", MaxMethod-1), rapid.Uint32().Draw(t, "timeout")
		case CallResponse:
			c.BodySize = rapid.Uint32Max(MaxBody).Draw(t, "body")
			c.Failed, c.Kind, c.Message = rapid.Bool().Draw(t, "failed"), kind.Draw(t, "kind"), genText(t, "message", MaxReason)
			c.ServiceUS = rapid.Uint32().Draw(t, "service")
		}
		roundTrip(t, c, EncodeCall, DecodeCall)
	}))
	t.Run("request", rapid.MakeCheck(func(t *rapid.T) {
		addrs := genAddrs(t, 1)
		r := BlocksRequest{Fetch: addrs}
		if rapid.Bool().Draw(t, "store") {
			s := StoreBatch{Seq: rapid.Uint64().Draw(t, "seq"), Lease: gen32(t, "lease"), Addrs: addrs, Sizes: make([]uint32, len(addrs))}
			for i := range s.Sizes {
				s.Sizes[i] = rapid.Uint32Range(1, 100_000).Draw(t, "size")
			}
			r = BlocksRequest{Store: &s}
		}
		roundTrip(t, r, EncodeBlocksRequest, DecodeBlocksRequest)
	}))
	t.Run("reply", rapid.MakeCheck(func(t *rapid.T) {
		if rapid.Bool().Draw(t, "stored") {
			s := Stored{Seq: rapid.Uint64().Draw(t, "seq"), Kind: kind.Draw(t, "kind")}
			if s.Failed = rapid.Bool().Draw(t, "failed"); s.Failed {
				s.Message = genText(t, "message", MaxReason)
			} else {
				s.Receipt = genReceipt(t)
			}
			roundTrip(t, BlocksReply{Stored: &s}, EncodeBlocksReply, DecodeBlocksReply)
			return
		}
		n := rapid.IntRange(1, 50).Draw(t, "blocks")
		g := Group{Kinds: make([]api.Kind, n), Sizes: make([]uint32, n)}
		for i := range n {
			if rapid.Bool().Draw(t, "served") {
				g.Sizes[i] = rapid.Uint32Range(1, MaxGroupBytes/50).Draw(t, "size")
			} else {
				g.Kinds[i] = api.NotFound
			}
		}
		roundTrip(t, BlocksReply{Group: &g}, EncodeBlocksReply, DecodeBlocksReply)
	}))
	t.Run("lease", rapid.MakeCheck(func(t *rapid.T) {
		roundTrip(t, LeaseCall{Lease: gen32(t, "lease"), From: gen32(t, "from"), Addrs: genAddrs(t, 0)}, EncodeLeaseCall, DecodeLeaseCall)
	}))
	t.Run("receipt", rapid.MakeCheck(func(t *rapid.T) { roundTrip(t, genReceipt(t), EncodeReceipt, DecodeReceipt) }))
}

func TestExchangeRefusesWhatIsOutOfBounds(t *testing.T) {
	addr := make([]api.Address, MaxBatchBlocks+1)
	for name, err := range map[string]error{
		"credential": second(EncodeHello(Hello{Credential: make([]byte, MaxCredential+1)})),
		"method":     second(EncodeCall(Call{Method: strings.Repeat("m", MaxMethod+1)})),
		"body":       second(EncodeCall(Call{BodySize: MaxBody + 1})),
		"no blocks":  second(EncodeBlocksRequest(BlocksRequest{})),
		"addresses":  second(EncodeBlocksRequest(BlocksRequest{Fetch: addr})),
		"sizes":      second(EncodeBlocksRequest(BlocksRequest{Store: &StoreBatch{Addrs: addr[:2], Sizes: []uint32{1}}})),
		"empty":      second(EncodeBlocksRequest(BlocksRequest{Store: &StoreBatch{Addrs: addr[:1], Sizes: []uint32{0}}})),
		"large":      second(EncodeBlocksRequest(BlocksRequest{Store: &StoreBatch{Addrs: addr[:1], Sizes: []uint32{api.MaxBlock + 1}}})),
		"group":      second(EncodeBlocksReply(BlocksReply{Group: &Group{Kinds: make([]api.Kind, 2), Sizes: []uint32{api.MaxBlock, api.MaxBlock}}})),
		"unserved":   second(EncodeBlocksReply(BlocksReply{Group: &Group{Kinds: []api.Kind{api.NotFound}, Sizes: []uint32{5}}})),
		"nothing":    second(EncodeBlocksReply(BlocksReply{})),
		"lease call": second(EncodeLeaseCall(LeaseCall{Addrs: addr})),
	} {
		if api.KindOf(err) != api.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := make([]uint32, 9)
	for i := range full {
		full[i] = 1 << 20
	}
	if _, err := EncodeBlocksRequest(BlocksRequest{Store: &StoreBatch{Addrs: addr[:9], Sizes: full}}); api.KindOf(err) != api.Invalid {
		t.Error("a batch of 9 MiB:", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestReasonsAreCutAndClean(t *testing.T) {
	long := strings.Repeat("é", MaxReason) + "\x1b[31m\x00"
	b, err := EncodeHello(Hello{Message: long})
	if err != nil {
		t.Fatal(err)
	}
	h, err := DecodeHello(b)
	if err != nil || len(h.Message) > MaxReason || !strings.HasPrefix(h.Message, "éé") {
		t.Fatal(len(h.Message), err)
	}
	if got := cleanText("a\x1b[31mb\nc\xff"); got != "a[31mbc" {
		t.Errorf("%q", got)
	}
}

// fuzzDecoder checks that a decoder never panics and that what it accepts can
// be encoded again.
func fuzzDecoder[T any](f *testing.F, seeds []T, enc func(T) ([]byte, error), dec func([]byte) (T, error)) {
	for _, s := range seeds {
		b, err := enc(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-8])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := dec(b)
		if err != nil {
			if api.KindOf(err) != api.Invalid {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		again, err := enc(v)
		if err != nil {
			t.Fatalf("%+v was decoded but does not encode: %v", v, err)
		}
		if w, err := dec(again); err != nil || !reflect.DeepEqual(v, w) {
			t.Fatalf("%+v became %+v, %v", v, w, err)
		}
	})
}

func FuzzDecodeHello(f *testing.F) {
	fuzzDecoder(f, []Hello{{Credential: []byte{1}}, {Credential: []byte{2}, Kind: api.Denied, Message: "no"}}, EncodeHello, DecodeHello)
}

func FuzzDecodeCall(f *testing.F) {
	fuzzDecoder(f, []Call{
		{ID: 1, Method: "m", TimeoutMS: 5, BodySize: 9},
		{Type: CallResponse, ID: 2, Failed: true, Kind: api.NotFound, Message: "gone"},
		{Type: CallCancel, ID: 3},
	}, EncodeCall, DecodeCall)
}

func FuzzDecodeBlocksRequest(f *testing.F) {
	fuzzDecoder(f, []BlocksRequest{
		{Fetch: []api.Address{{1}, {2}}},
		{Store: &StoreBatch{Seq: 1, Addrs: []api.Address{{1}}, Sizes: []uint32{7}}},
	}, EncodeBlocksRequest, DecodeBlocksRequest)
}

func FuzzDecodeBlocksReply(f *testing.F) {
	fuzzDecoder(f, []BlocksReply{
		{Group: &Group{Kinds: []api.Kind{0, api.NotFound}, Sizes: []uint32{7, 0}}},
		{Stored: &Stored{Seq: 1, Receipt: api.Receipt{Count: 1}}},
		{Stored: &Stored{Seq: 1, Failed: true, Kind: api.NoSpace, Message: "full"}},
	}, EncodeBlocksReply, DecodeBlocksReply)
}

func FuzzDecodeReceipt(f *testing.F) {
	fuzzDecoder(f, []api.Receipt{{Count: 3}}, EncodeReceipt, DecodeReceipt)
}

func FuzzDecodeLeaseCall(f *testing.F) {
	fuzzDecoder(f, []LeaseCall{{Addrs: []api.Address{{1}}}, {}}, EncodeLeaseCall, DecodeLeaseCall)
}

func FuzzDecodeProviderPut(f *testing.F) {
	fuzzDecoder(f, []ProviderPut{{Record: api.ProviderRecord{Expires: 7}, Spread: true}, {}}, EncodeProviderPut, DecodeProviderPut)
}

func FuzzDecodeProviderQuery(f *testing.F) {
	fuzzDecoder(f, []ProviderQuery{{Root: api.Address{1}, Max: 3}}, EncodeProviderQuery, DecodeProviderQuery)
}

func BenchmarkCallFrame(b *testing.B) {
	c := Call{ID: 7, Method: "ledger.apply", TimeoutMS: 1000, BodySize: 128}
	b.ReportAllocs()
	for range b.N {
		msg, err := EncodeCall(c)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := DecodeCall(msg); err != nil {
			b.Fatal(err)
		}
	}
}

package wire

import (
	"encoding/json"
	"testing"

	"inos/kernel/api"
)

func testSpec() api.JobSpec {
	s := api.JobSpec{
		Priority: api.High,
		ID:       testID(1), Batch: testID(2), Payer: testNode(3), Module: testHash(4), Unit: "image", Method: "thumbnail",
		Params: json.RawMessage(`{"width":256}`), Input: api.Link{Root: testRoot(5)}, InputPath: "a/b.jpg",
		Limits: api.Limits{Gas: 1, MemoryBytes: 2, OutputBytes: 3, WallMS: 4}, PriceCap: 6, Deadline: 7, Submitted: 8,
		Node: testNode(9), ModuleLink: api.Link{Root: testRoot(10)},
	}
	fill(s.Input.Key[:], 11)
	fill(s.OutputKey[:], 12)
	return s
}

func testResult() api.JobResult {
	return api.JobResult{
		ID: testID(1), Worker: testNode(2), Escrow: 3, Kind: api.Trapped, Message: "unreachable", Gas: 4,
		Output: api.Link{Root: testRoot(5)}, OutputHash: testHash(6), OutputSize: 7, MediaType: "image/webp", RunUS: 8,
		Receipts: []api.Receipt{{Holder: testNode(9), Lease: testLease(10), Blocks: testHash(11), Count: 12, Bytes: 13, Time: 14, Sig: testSig(15)}},
		Sig:      testSig(16),
	}
}

type stopRecord struct {
	Job     api.ID
	Attempt uint8
}

func encodeStop(s stopRecord) ([]byte, error) { return EncodeStop(s.Job, s.Attempt) }

func decodeStop(b []byte) (stopRecord, error) {
	job, attempt, err := DecodeStop(b)
	return stopRecord{job, attempt}, err
}

func TestJobRecordsRoundTrip(t *testing.T) {
	check(t, testSpec(), EncodeSpec, DecodeSpec)
	check(t, api.JobSpec{ID: testID(1), Payer: testNode(2)}, EncodeSpec, DecodeSpec)
	check(t, testResult(), EncodeResult, DecodeResult)
	check(t, api.JobResult{ID: testID(1)}, EncodeResult, DecodeResult)
	check(t, []api.JobResult{testResult(), {}}, EncodeResults, DecodeResults)
	check(t, []api.Dispatch{{Spec: testSpec(), Attempt: 1, Escrow: testEscrow(1)}, {Spec: testSpec(), Attempt: 2}}, EncodeDispatch, DecodeDispatch)
	check(t, api.QuoteRequest{Module: testHash(1), Unit: "u", Method: "m", Limits: api.Limits{Gas: 1}}, EncodeQuoteRequest, DecodeQuoteRequest)
	check(t, api.WorkerQuote{Worker: testNode(1), Compute: 2, Workers: 3, Queue: 4, Warm: true, ValidTill: 5}, EncodeQuote, DecodeQuote)
	check(t, stopRecord{testID(1), 2}, encodeStop, decodeStop)
}

func TestJobBounds(t *testing.T) {
	s := testSpec()
	s.Params = make([]byte, api.MaxParams+1)
	if _, err := EncodeSpec(s); api.KindOf(err) != api.Invalid {
		t.Errorf("params beyond the bound: %v", err)
	}
	r := testResult()
	r.Message = string(make([]byte, MaxResultText+1))
	if _, err := EncodeResult(r); api.KindOf(err) != api.Invalid {
		t.Errorf("a message beyond the bound: %v", err)
	}
	if _, err := EncodeDispatch(nil); api.KindOf(err) != api.Invalid {
		t.Errorf("an empty dispatch: %v", err)
	}
	if _, err := DecodeSpec(make([]byte, 1<<20)); api.KindOf(err) != api.Exhausted {
		t.Errorf("a huge record: %v", err)
	}
}

// The largest params a caller may send travel in the largest dispatch.
func TestLargestDispatchFits(t *testing.T) {
	s := testSpec()
	s.Params = append([]byte(`"`), make([]byte, api.MaxParams-1)...)
	jobs := make([]api.Dispatch, MaxDispatch)
	for i := range jobs {
		jobs[i] = api.Dispatch{Spec: s, Attempt: 1, Escrow: testEscrow(1)}
	}
	b, err := EncodeDispatch(jobs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeDispatch(b); err != nil {
		t.Fatal(err)
	}
}

func TestJobIdentity(t *testing.T) {
	a, b := testSpec(), testSpec()
	b.ID, b.Batch, b.Payer, b.Limits, b.PriceCap = testID(50), testID(51), testNode(52), api.Limits{}, 0
	b.Deadline, b.Submitted, b.Node, b.OutputKey = 1, 2, api.NodeID{}, [32]byte{}
	if JobIdentity(a) != JobIdentity(b) {
		t.Error("the identity depends on who asks")
	}
	b.Unit, b.Method = "imagethumb", "nail"
	if JobIdentity(a) == JobIdentity(b) {
		t.Error("the identity confuses unit and method")
	}
	if EscrowID(testID(1), 1) == EscrowID(testID(1), 2) {
		t.Error("attempts share an escrow")
	}
}

func FuzzDecodeJob(f *testing.F) {
	spec, _ := EncodeSpec(testSpec())
	result, _ := EncodeResults([]api.JobResult{testResult()})
	one, _ := EncodeResult(testResult())
	dispatch, _ := EncodeDispatch([]api.Dispatch{{Spec: testSpec(), Attempt: 1, Escrow: testEscrow(1)}})
	quote, _ := EncodeQuote(api.WorkerQuote{Worker: testNode(1)})
	ask, _ := EncodeQuoteRequest(api.QuoteRequest{Module: testHash(1), Unit: "u"})
	stop, _ := EncodeStop(testID(1), 1)
	for _, b := range [][]byte{spec, result, one, dispatch, quote, ask, stop} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		refuzz(t, b, EncodeSpec, DecodeSpec)
		refuzz(t, b, EncodeResult, DecodeResult)
		refuzz(t, b, EncodeResults, DecodeResults)
		refuzz(t, b, EncodeDispatch, DecodeDispatch)
		refuzz(t, b, EncodeQuote, DecodeQuote)
		refuzz(t, b, EncodeQuoteRequest, DecodeQuoteRequest)
		refuzz(t, b, encodeStop, decodeStop)
	})
}

package wire

import (
	"sync"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// JobIdentity names what a job computes: BLAKE3 over the domain "inos job
// identity v1\0", Module, Unit, Method, Params, Input (root and key) and
// InputPath in canonical form. Ids, payer, limits, price and times are left
// out, so every run of the same call has the same identity: it derives the
// output's key and the guest's random seed, and makes results comparable.
func JobIdentity(s api.JobSpec) api.Hash {
	c := make(canonical, 0, 256+len(s.Params))
	c.fixed([]byte(identityDomain))
	c.fixed(s.Module[:])
	c.text(s.Unit)
	c.text(s.Method)
	c.bytes(s.Params)
	c.link(s.Input)
	c.text(s.InputPath)
	return sum(c)
}

// hashers keep the 10 KiB of a hasher off the stacks of short goroutines, which
// would have to grow for it.
var hashers = sync.Pool{New: func() any { return blake3.New() }}

func sum(b []byte) (h api.Hash) {
	k := hashers.Get().(*blake3.Hasher)
	defer hashers.Put(k)
	k.Reset()
	_, _ = k.Write(b) // a hasher takes everything
	k.Sum(h[:0])
	return h
}

// ProofOf returns the part of a result that the ledger needs and its signature.
func ProofOf(r api.JobResult) api.JobProof {
	return api.JobProof{
		Job: r.ID, Worker: r.Worker, Escrow: r.Escrow, Kind: r.Kind, Gas: r.Gas,
		Detail: resultDetail(r), Sig: r.Sig,
	}
}

// ResultSigning returns the bytes that JobResult.Worker signs, which are those
// of its proof: the other fields enter as Detail, a digest of the domain "inos
// job detail v1\0", Message, Output, OutputHash, OutputSize, MediaType, RunUS
// and Receipts.
func ResultSigning(r api.JobResult) []byte { return ProofSigning(ProofOf(r)) }

func resultDetail(r api.JobResult) api.Hash {
	c := make(canonical, 0, 256+len(r.Message)+len(r.Receipts)*184)
	c.fixed([]byte(detailDomain))
	c.text(r.Message)
	c.link(r.Output)
	c.fixed(r.OutputHash[:])
	c.u64(r.OutputSize)
	c.text(r.MediaType)
	c.u64(r.RunUS)
	c.u32(uint32(len(r.Receipts)))
	for i := range r.Receipts {
		p := &r.Receipts[i]
		c.fixed(p.Holder[:])
		c.fixed(p.Lease[:])
		c.fixed(p.Blocks[:])
		c.u32(p.Count)
		c.u64(p.Bytes)
		c.i64(p.Time)
		c.fixed(p.Sig[:])
	}
	return blake3.Sum256(c)
}

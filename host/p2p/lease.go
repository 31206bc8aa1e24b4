package p2p

import (
	"context"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Methods of the calls about blocks and leases. Their request is a
// wire.LeaseCall; has answers with one byte per address, lease with a receipt,
// the others with nothing.
const (
	methodHas     = "blocks.has"
	methodLease   = "blocks.lease"
	methodRename  = "blocks.rename"
	methodRelease = "blocks.release"
)

// Has asks peer to which of addrs, at most wire.MaxBatchBlocks, it has.
func (h *Host) Has(ctx context.Context, to api.NodeID, addrs []api.Address) ([]bool, error) {
	out, err := h.leaseCall(ctx, to, methodHas, wire.LeaseCall{Addrs: addrs})
	if err != nil {
		return nil, err
	}
	if len(out) != len(addrs) {
		return nil, api.Errorf("p2p.has", api.Invalid, "the answer of "+to.Short()+" has the wrong length")
	}
	has := make([]bool, len(out))
	for i, b := range out {
		has[i] = b == 1
	}
	return has, nil
}

// AddLease asks peer to to keep blocks that it has already, at most
// wire.MaxBatchBlocks, under lease, and returns its receipt, unverified.
// NotFound means that it lacks one of them.
func (h *Host) AddLease(ctx context.Context, to api.NodeID, lease api.LeaseID, addrs []api.Address) (api.Receipt, error) {
	out, err := h.leaseCall(ctx, to, methodLease, wire.LeaseCall{Lease: lease, Addrs: addrs})
	if err != nil {
		return api.Receipt{}, err
	}
	return wire.DecodeReceipt(out)
}

// RenameLease asks peer to to turn the lease old into lease.
func (h *Host) RenameLease(ctx context.Context, to api.NodeID, old, lease api.LeaseID) error {
	_, err := h.leaseCall(ctx, to, methodRename, wire.LeaseCall{From: old, Lease: lease})
	return err
}

// ReleaseLease asks peer to to drop a lease.
func (h *Host) ReleaseLease(ctx context.Context, to api.NodeID, lease api.LeaseID) error {
	_, err := h.leaseCall(ctx, to, methodRelease, wire.LeaseCall{Lease: lease})
	return err
}

func (h *Host) leaseCall(ctx context.Context, to api.NodeID, method string, c wire.LeaseCall) ([]byte, error) {
	req, err := wire.EncodeLeaseCall(c)
	if err != nil {
		return nil, err
	}
	return h.Call(ctx, to, method, req)
}

// registerLeaseCalls answers the calls from the backend.
func (h *Host) registerLeaseCalls() error {
	calls := map[string]func(context.Context, Backend, api.NodeID, wire.LeaseCall) ([]byte, error){
		methodHas: func(ctx context.Context, b Backend, from api.NodeID, c wire.LeaseCall) ([]byte, error) {
			has, err := b.Has(ctx, from, c.Addrs)
			out := make([]byte, len(has))
			for i, ok := range has {
				if ok {
					out[i] = 1
				}
			}
			return out, err
		},
		methodLease: func(ctx context.Context, b Backend, from api.NodeID, c wire.LeaseCall) ([]byte, error) {
			r, err := b.AddLease(ctx, from, c.Lease, c.Addrs)
			if err != nil {
				return nil, err
			}
			return wire.EncodeReceipt(r)
		},
		methodRename: func(ctx context.Context, b Backend, from api.NodeID, c wire.LeaseCall) ([]byte, error) {
			return nil, b.Rename(ctx, from, c.From, c.Lease)
		},
		methodRelease: func(ctx context.Context, b Backend, from api.NodeID, c wire.LeaseCall) ([]byte, error) {
			return nil, b.Release(ctx, from, c.Lease)
		},
	}
	for method, fn := range calls {
		err := h.Handle(method, HandleOptions{RequireMember: true}, func(ctx context.Context, from api.NodeID, req []byte) ([]byte, error) {
			c, err := wire.DecodeLeaseCall(req)
			if err != nil {
				return nil, err
			}
			b, err := h.blocksBackend()
			if err != nil {
				return nil, err
			}
			return fn(ctx, b, from, c)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

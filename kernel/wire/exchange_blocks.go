package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	meshv1 "inos/protocols/gen/go/mesh/v1"
)

// EncodeBlocksRequest writes a fetch or the header of a batch.
func EncodeBlocksRequest(r BlocksRequest) ([]byte, error) {
	const op = "wire.encodeblocksrequest"
	addrs := r.Fetch
	if r.Store != nil {
		addrs = r.Store.Addrs
		if err := checkBatch(op, addrs, r.Store.Sizes); err != nil {
			return nil, err
		}
	}
	if len(addrs) == 0 || len(addrs) > MaxBatchBlocks {
		return nil, api.Errorf(op, api.Invalid, "a request names 1 to 4096 blocks")
	}
	return exchangeMessage(op, 160+36*len(addrs), func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootBlocksRequest(seg)
		if err != nil {
			return err
		}
		if r.Store == nil {
			f, err := m.NewFetch()
			if err != nil {
				return err
			}
			return f.SetAddrs(joinAddrs(addrs))
		}
		s, err := m.NewStore()
		if err != nil {
			return err
		}
		s.SetSeq(r.Store.Seq)
		return firstError(s.SetLease(r.Store.Lease[:]), s.SetAddrs(joinAddrs(addrs)), setUint32s(s.NewSizes, r.Store.Sizes))
	})
}

// DecodeBlocksRequest reads what EncodeBlocksRequest writes.
func DecodeBlocksRequest(b []byte) (BlocksRequest, error) {
	const op = "wire.decodeblocksrequest"
	msg, err := openExchange(op, b, MaxBlocksFrame)
	if err != nil {
		return BlocksRequest{}, err
	}
	m, err := meshv1.ReadRootBlocksRequest(msg)
	if err != nil {
		return BlocksRequest{}, api.E(op, api.Invalid, err)
	}
	switch m.Which() {
	case meshv1.BlocksRequest_Which_fetch:
		return readFetch(op, m)
	case meshv1.BlocksRequest_Which_store:
		return readStore(op, m)
	}
	return BlocksRequest{}, api.Errorf(op, api.Invalid, "a request about blocks is a fetch or a store")
}

func readFetch(op string, m meshv1.BlocksRequest) (BlocksRequest, error) {
	f, err := m.Fetch()
	if err != nil {
		return BlocksRequest{}, api.E(op, api.Invalid, err)
	}
	raw, err := f.Addrs()
	if err != nil {
		return BlocksRequest{}, api.E(op, api.Invalid, err)
	}
	addrs, err := splitAddrs(op, raw, 1)
	return BlocksRequest{Fetch: addrs}, err
}

func readStore(op string, m meshv1.BlocksRequest) (BlocksRequest, error) {
	s, err := m.Store()
	if err != nil {
		return BlocksRequest{}, api.E(op, api.Invalid, err)
	}
	batch := StoreBatch{Seq: s.Seq()}
	lease, err1 := s.Lease()
	raw, err2 := s.Addrs()
	sizes, err3 := s.Sizes()
	if err := firstError(err1, err2, err3); err != nil {
		return BlocksRequest{}, api.E(op, api.Invalid, err)
	}
	if len(lease) != len(batch.Lease) {
		return BlocksRequest{}, api.Errorf(op, api.Invalid, "a lease id has 32 bytes")
	}
	copy(batch.Lease[:], lease)
	if batch.Addrs, err = splitAddrs(op, raw, 1); err != nil {
		return BlocksRequest{}, err
	}
	if batch.Sizes, err = readUint32s(op, sizes); err != nil {
		return BlocksRequest{}, err
	}
	if err := checkBatch(op, batch.Addrs, batch.Sizes); err != nil {
		return BlocksRequest{}, err
	}
	return BlocksRequest{Store: &batch}, nil
}

func checkBatch(op string, addrs []api.Address, sizes []uint32) error {
	if len(addrs) != len(sizes) {
		return api.Errorf(op, api.Invalid, "a batch names one size for each address")
	}
	var total uint64
	for _, n := range sizes {
		if n == 0 || n > api.MaxBlock {
			return api.Errorf(op, api.Invalid, "a block has 1 byte to 1 MiB and 16 bytes")
		}
		total += uint64(n)
	}
	if total > MaxBatchBytes {
		return api.Errorf(op, api.Invalid, "a batch carries at most 8 MiB")
	}
	return nil
}

// EncodeBlocksReply writes a group's header or the answer to a batch.
func EncodeBlocksReply(r BlocksReply) ([]byte, error) {
	const op = "wire.encodeblocksreply"
	switch {
	case r.Group != nil:
		return encodeGroup(op, r.Group)
	case r.Stored != nil:
		return encodeStored(op, r.Stored)
	}
	return nil, api.Errorf(op, api.Invalid, "a reply about blocks is a group or a receipt")
}

func encodeGroup(op string, g *Group) ([]byte, error) {
	if err := checkGroup(op, g); err != nil {
		return nil, err
	}
	return exchangeMessage(op, 128+5*len(g.Kinds), func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootBlocksReply(seg)
		if err != nil {
			return err
		}
		mg, err := m.NewGroup()
		if err != nil {
			return err
		}
		kinds := make([]byte, len(g.Kinds))
		for i, k := range g.Kinds {
			kinds[i] = byte(k)
		}
		return firstError(mg.SetKinds(kinds), setUint32s(mg.NewSizes, g.Sizes))
	})
}

func encodeStored(op string, st *Stored) ([]byte, error) {
	return exchangeMessage(op, 512+min(len(st.Message), MaxReason), func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootBlocksReply(seg)
		if err != nil {
			return err
		}
		ms, err := m.NewStored()
		if err != nil {
			return err
		}
		ms.SetSeq(st.Seq)
		ms.SetKind(uint8(st.Kind))
		ms.SetFailed(st.Failed)
		if st.Failed {
			return setReason(ms.SetReason, st.Message)
		}
		mr, err := ms.NewReceipt()
		if err != nil {
			return err
		}
		return writeReceipt(mr, st.Receipt)
	})
}

// DecodeBlocksReply reads what EncodeBlocksReply writes.
func DecodeBlocksReply(b []byte) (BlocksReply, error) {
	const op = "wire.decodeblocksreply"
	msg, err := openExchange(op, b, MaxBlocksFrame)
	if err != nil {
		return BlocksReply{}, err
	}
	m, err := meshv1.ReadRootBlocksReply(msg)
	if err != nil {
		return BlocksReply{}, api.E(op, api.Invalid, err)
	}
	switch m.Which() {
	case meshv1.BlocksReply_Which_group:
		return readGroup(op, m)
	case meshv1.BlocksReply_Which_stored:
		return readStored(op, m)
	}
	return BlocksReply{}, api.Errorf(op, api.Invalid, "a reply about blocks is a group or a receipt")
}

func readGroup(op string, m meshv1.BlocksReply) (BlocksReply, error) {
	mg, err := m.Group()
	if err != nil {
		return BlocksReply{}, api.E(op, api.Invalid, err)
	}
	kinds, err1 := mg.Kinds()
	list, err2 := mg.Sizes()
	if err := firstError(err1, err2); err != nil {
		return BlocksReply{}, api.E(op, api.Invalid, err)
	}
	g := Group{Kinds: make([]api.Kind, len(kinds))}
	for i, k := range kinds {
		if g.Kinds[i] = knownKind(k); k != 0 && g.Kinds[i] == 0 {
			g.Kinds[i] = api.Unavailable // a kind from a newer node still means: not served
		}
	}
	if g.Sizes, err = readUint32s(op, list); err != nil {
		return BlocksReply{}, err
	}
	if err := checkGroup(op, &g); err != nil {
		return BlocksReply{}, err
	}
	return BlocksReply{Group: &g}, nil
}

func checkGroup(op string, g *Group) error {
	if len(g.Kinds) == 0 || len(g.Kinds) > MaxBatchBlocks || len(g.Kinds) != len(g.Sizes) {
		return api.Errorf(op, api.Invalid, "a group has 1 to 4096 blocks and one size for each")
	}
	total := 0
	for i, n := range g.Sizes {
		total += int(min(n, api.MaxBlock))
		if served := g.Kinds[i] == 0; served == (n == 0) || n > api.MaxBlock {
			return api.Errorf(op, api.Invalid, "a served block has 1 byte to 1 MiB and 16 bytes, and others none")
		}
	}
	if total > MaxGroupBytes {
		return api.Errorf(op, api.Invalid, "a group carries at most one block and 64 KiB")
	}
	return nil
}

func readStored(op string, m meshv1.BlocksReply) (BlocksReply, error) {
	ms, err := m.Stored()
	if err != nil {
		return BlocksReply{}, api.E(op, api.Invalid, err)
	}
	st := Stored{Seq: ms.Seq(), Failed: ms.Failed(), Kind: knownKind(ms.Kind())}
	if st.Failed {
		text, err := ms.Reason()
		if err != nil || len(text) > MaxReason {
			return BlocksReply{}, api.Errorf(op, api.Invalid, "an error message is longer than 1 KiB or malformed")
		}
		st.Message = cleanText(text)
		return BlocksReply{Stored: &st}, nil
	}
	mr, err := ms.Receipt()
	if err != nil {
		return BlocksReply{}, api.E(op, api.Invalid, err)
	}
	if st.Receipt, err = readReceipt(op, mr); err != nil {
		return BlocksReply{}, err
	}
	return BlocksReply{Stored: &st}, nil
}

// EncodeReceipt writes a receipt with its signature, as calls carry it.
func EncodeReceipt(r api.Receipt) ([]byte, error) {
	return exchangeMessage("wire.encodereceipt", 320, func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootReceipt(seg)
		if err != nil {
			return err
		}
		return writeReceipt(m, r)
	})
}

// DecodeReceipt reads what EncodeReceipt writes. It does not verify the
// signature.
func DecodeReceipt(b []byte) (api.Receipt, error) {
	const op = "wire.decodereceipt"
	msg, err := openExchange(op, b, MaxCallFrame)
	if err != nil {
		return api.Receipt{}, err
	}
	m, err := meshv1.ReadRootReceipt(msg)
	if err != nil {
		return api.Receipt{}, api.E(op, api.Invalid, err)
	}
	return readReceipt(op, m)
}

func writeReceipt(m meshv1.Receipt, r api.Receipt) error {
	m.SetCount(r.Count)
	m.SetBytes(r.Bytes)
	m.SetTime(r.Time)
	return firstError(m.SetHolder(r.Holder[:]), m.SetLease(r.Lease[:]), m.SetBlocks(r.Blocks[:]), m.SetSig(r.Sig[:]))
}

func readReceipt(op string, m meshv1.Receipt) (api.Receipt, error) {
	r := api.Receipt{Count: m.Count(), Bytes: m.Bytes(), Time: m.Time()}
	holder, err1 := m.Holder()
	lease, err2 := m.Lease()
	blocks, err3 := m.Blocks()
	sig, err4 := m.Sig()
	if err := firstError(err1, err2, err3, err4); err != nil {
		return api.Receipt{}, api.E(op, api.Invalid, err)
	}
	if len(holder) != 32 || len(lease) != 32 || len(blocks) != 32 || len(sig) != 64 {
		return api.Receipt{}, api.Errorf(op, api.Invalid, "a receipt has fields of the wrong size")
	}
	copy(r.Holder[:], holder)
	copy(r.Lease[:], lease)
	copy(r.Blocks[:], blocks)
	copy(r.Sig[:], sig)
	return r, nil
}

// EncodeLeaseCall writes the body of a call about blocks and leases.
func EncodeLeaseCall(c LeaseCall) ([]byte, error) {
	const op = "wire.encodeleasecall"
	if len(c.Addrs) > MaxBatchBlocks {
		return nil, api.Errorf(op, api.Invalid, "a call names at most 4096 blocks")
	}
	return exchangeMessage(op, 192+32*len(c.Addrs), func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootLeaseCall(seg)
		if err != nil {
			return err
		}
		return firstError(m.SetLease(c.Lease[:]), m.SetFrom(c.From[:]), m.SetAddrs(joinAddrs(c.Addrs)))
	})
}

// DecodeLeaseCall reads what EncodeLeaseCall writes.
func DecodeLeaseCall(b []byte) (LeaseCall, error) {
	const op = "wire.decodeleasecall"
	var c LeaseCall
	msg, err := openExchange(op, b, MaxBlocksFrame)
	if err != nil {
		return c, err
	}
	m, err := meshv1.ReadRootLeaseCall(msg)
	if err != nil {
		return c, api.E(op, api.Invalid, err)
	}
	lease, err1 := m.Lease()
	from, err2 := m.From()
	raw, err3 := m.Addrs()
	if err := firstError(err1, err2, err3); err != nil {
		return c, api.E(op, api.Invalid, err)
	}
	if len(lease) != len(c.Lease) || len(from) != len(c.From) {
		return c, api.Errorf(op, api.Invalid, "a lease id has 32 bytes")
	}
	copy(c.Lease[:], lease)
	copy(c.From[:], from)
	c.Addrs, err = splitAddrs(op, raw, 0)
	return c, err
}

func joinAddrs(addrs []api.Address) []byte {
	b := make([]byte, 0, 32*len(addrs))
	for i := range addrs {
		b = append(b, addrs[i][:]...)
	}
	return b
}

func splitAddrs(op string, raw []byte, least int) ([]api.Address, error) {
	n := len(raw) / 32
	if len(raw)%32 != 0 || n < least || n > MaxBatchBlocks {
		return nil, api.Errorf(op, api.Invalid, "addresses have 32 bytes each, at most 4096 of them")
	}
	addrs := make([]api.Address, n)
	for i := range addrs {
		copy(addrs[i][:], raw[32*i:])
	}
	return addrs, nil
}

func setUint32s(alloc func(int32) (capnp.UInt32List, error), sizes []uint32) error {
	list, err := alloc(int32(len(sizes)))
	if err != nil {
		return err
	}
	for i, n := range sizes {
		list.Set(i, n)
	}
	return nil
}

func readUint32s(op string, list capnp.UInt32List) ([]uint32, error) {
	if list.Len() > MaxBatchBlocks {
		return nil, api.Errorf(op, api.Invalid, "a message lists at most 4096 sizes")
	}
	sizes := make([]uint32, list.Len())
	for i := range sizes {
		sizes[i] = list.At(i)
	}
	return sizes, nil
}

package p2p

import "inos/kernel/api"

// Methods by which hubs keep and find provider records for leaves, which are
// not in the DHT. The request of the first is a wire.ProviderPut and its answer
// empty; that of the second a wire.ProviderQuery, answered with node ids one after
// another.
const (
	methodProviderPut  = "providers.put"
	methodProviderFind = "providers.find"
)

func joinNodes(list []api.NodeID) []byte {
	out := make([]byte, 0, len(list)*len(api.NodeID{}))
	for _, n := range list {
		out = append(out, n[:]...)
	}
	return out
}

// splitNodes reads what joinNodes writes, at most max of them.
func splitNodes(b []byte, max int) ([]api.NodeID, bool) {
	const size = len(api.NodeID{})
	if len(b)%size != 0 || len(b)/size > max {
		return nil, false
	}
	out := make([]api.NodeID, len(b)/size)
	for i := range out {
		copy(out[i][:], b[i*size:])
	}
	return out, true
}

package mesh

import (
	"inos/kernel/api"
	"inos/kernel/identity"
)

// receiptMatches checks that a receipt, whose signature the host verified, is
// by the node that was asked, under the lease that was named, for exactly the
// blocks that were sent. A receipt for more or for fewer proves nothing here.
func receiptMatches(r *api.Receipt, s *send) bool {
	return r.Holder == s.to && r.Lease == s.lease && int(r.Count) == len(s.addrs) &&
		r.Blocks == identity.BatchDigest(s.addrs)
}

package wire

import (
	"reflect"
	"testing"

	"inos/kernel/api"
)

func TestLeaseTermsRoundTrip(t *testing.T) {
	for _, v := range []LeaseTerms{
		{Lease: api.Lease{Owner: api.NodeID{1}, Root: api.Address{2}, Copies: 3}},
		{From: api.LeaseID{9}, Lease: api.Lease{Owner: api.NodeID{1}, Root: api.Address{2}, Copies: 16, Until: 5}, Short: true},
	} {
		b, err := EncodeLeaseTerms(v)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeLeaseTerms(b); err != nil || back != v {
			t.Errorf("%+v came back as %+v, %v", v, back, err)
		}
	}
	b, _ := EncodeLeaseTerms(LeaseTerms{Lease: api.Lease{Owner: api.NodeID{1}, Root: api.Address{2}, Copies: 17}})
	if _, err := DecodeLeaseTerms(b); api.KindOf(err) != api.Invalid {
		t.Errorf("17 copies: %v", err)
	}
}

func TestNewsRoundTrip(t *testing.T) {
	v := News{
		Memberships: []api.Membership{{Mesh: api.NodeID{1}, Node: api.NodeID{2}, Roles: api.Hub, Name: "a", Issued: 1, Sig: [64]byte{1}}},
		Revocations: []api.Revocation{{Mesh: api.NodeID{1}, Node: api.NodeID{3}, Time: 4, Sig: [64]byte{2}}},
		Modules: []ModuleRecord{{Name: "m", Version: "1.0.0", Hash: api.Hash{1}, Root: api.Address{2}, Size: 3}, {
			Name: "s", Version: "1.0.0", Hash: api.Hash{4}, Root: api.Address{5}, Size: 6, Author: api.NodeID{7}, Content: api.Hash{8},
			Sig: [64]byte{9}, Withdrawal: [64]byte{10},
		}},
		ModuleNames: []ModuleName{{Name: "s", Author: api.NodeID{7}, Issued: 11, Sig: [64]byte{12}}},
	}
	b, err := EncodeNews(v)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := DecodeNews(b); err != nil || !reflect.DeepEqual(back, v) {
		t.Errorf("%+v came back as %+v, %v", v, back, err)
	}
}

func FuzzNews(f *testing.F) {
	b, _ := EncodeNews(News{Modules: []ModuleRecord{{Name: "m", Author: api.NodeID{1}}}, ModuleNames: []ModuleName{{Name: "m"}}})
	f.Add(b)
	l, _ := EncodeLeaseTerms(LeaseTerms{Lease: api.Lease{Owner: api.NodeID{1}, Root: api.Address{2}, Copies: 3}})
	f.Add(l)
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = DecodeNews(b)
		_, _ = DecodeLeaseTerms(b)
	})
}

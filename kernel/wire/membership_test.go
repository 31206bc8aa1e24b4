package wire

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"inos/kernel/api"
)

func memberNode(b byte) api.NodeID { return api.NodeID(bytes.Repeat([]byte{b}, 32)) }

func memberSig(b byte) [64]byte { return [64]byte(bytes.Repeat([]byte{b}, 64)) }

func testMembership() api.Membership {
	return api.Membership{Mesh: memberNode(1), Node: memberNode(2), Roles: api.Seed | api.Hub, Name: "node-1", Issued: 10, Expires: 20, Sig: memberSig(3)}
}

func testCapability() api.Capability {
	return api.Capability{
		Node: memberNode(2), Seq: 9, Roles: api.Hub, Name: "node-1", Domain: "rack-1", Region: "eu",
		Addrs: []string{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/4001/quic-v1"},
		Free:  1 << 40, Used: 7, Cores: 2, Queue: 3, Workers: 4,
		Prices: api.Prices{StorageGiBMonth: 1, ServeGiB: 2, ComputeGgas: 3}, Sig: memberSig(5),
	}
}

func testInvite() api.InviteToken {
	return api.InviteToken{
		ID: api.ID{1}, Mesh: memberNode(1), Seed: memberNode(2), Addrs: []string{"/ip4/10.0.0.1/tcp/1"},
		Roles: api.Hub, Name: "x", Expires: 30, Secret: memberNode(6), Sig: memberSig(7),
	}
}

func testJoin() api.JoinRequest {
	return api.JoinRequest{Invite: api.ID{1}, Node: memberNode(2), Roles: api.Hub, Name: "x", Proof: api.Hash(memberNode(4)), Sig: memberSig(5)}
}

func testResponse() api.JoinResponse {
	m := testMembership()
	return api.JoinResponse{
		Membership: m, Members: []api.Membership{m, m},
		Revocations: []api.Revocation{{Mesh: memberNode(1), Node: memberNode(3), Time: 5, Sig: memberSig(1)}},
	}
}

func recordRoundTrip[T any](t *testing.T, v T, encode func(T) ([]byte, error), decode func([]byte) (T, error)) {
	t.Helper()
	b, err := encode(v)
	if err != nil {
		t.Fatalf("%T: %v", v, err)
	}
	got, err := decode(b)
	if err != nil {
		t.Fatalf("%T: %v", v, err)
	}
	if !reflect.DeepEqual(got, v) {
		t.Errorf("%T: got %+v, want %+v", v, got, v)
	}
	for cut := range len(b) {
		if _, err := decode(b[:cut]); api.KindOf(err) != api.Invalid {
			t.Fatalf("%T cut at %d: %v", v, cut, err)
		}
	}
}

func TestMembershipRecordsRoundTrip(t *testing.T) {
	recordRoundTrip(t, testMembership(), EncodeMembership, DecodeMembership)
	recordRoundTrip(t, api.Revocation{Mesh: memberNode(1), Node: memberNode(2), Time: 3, Sig: memberSig(4)}, EncodeRevocation, DecodeRevocation)
	recordRoundTrip(t, testCapability(), EncodeCapability, DecodeCapability)
	recordRoundTrip(t, testInvite(), EncodeInvite, DecodeInvite)
	recordRoundTrip(t, testJoin(), EncodeJoinRequest, DecodeJoinRequest)
	recordRoundTrip(t, testResponse(), EncodeJoinResponse, DecodeJoinResponse)
}

func TestMembershipRecordsRefuse(t *testing.T) {
	m, c, i := testMembership(), testCapability(), testInvite()
	m.Name = "Not A Name"
	if _, err := EncodeMembership(m); api.KindOf(err) != api.Invalid {
		t.Errorf("a bad name: %v", err)
	}
	c.Domain = strings.Repeat("x", api.MaxLabel+1)
	if _, err := EncodeCapability(c); api.KindOf(err) != api.Invalid {
		t.Errorf("a long domain: %v", err)
	}
	c = testCapability()
	c.Prices.ServeGiB = -1
	b, err := EncodeCapability(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeCapability(b); api.KindOf(err) != api.Invalid {
		t.Errorf("a negative price: %v", err)
	}
	i.Addrs = make([]string, api.MaxAddrs+1)
	if _, err := EncodeInvite(i); api.KindOf(err) != api.Invalid {
		t.Errorf("too many addresses: %v", err)
	}
	i = testInvite()
	i.Addrs[0] = "a\x1b[2J"
	if _, err := EncodeInvite(i); api.KindOf(err) != api.Invalid {
		t.Errorf("an address that draws on the terminal: %v", err)
	}
	r := testResponse()
	r.Members = make([]api.Membership, api.MaxMembers+1)
	if _, err := EncodeJoinResponse(r); api.KindOf(err) != api.Exhausted {
		t.Errorf("too many members: %v", err)
	}
}

func TestLargestJoinResponseFits(t *testing.T) {
	m := testMembership()
	m.Name = strings.Repeat("n", api.MaxName)
	v := api.JoinResponse{Membership: m}
	for range api.MaxMembers {
		v.Members = append(v.Members, m)
		v.Revocations = append(v.Revocations, api.Revocation{Mesh: m.Mesh, Node: m.Node, Sig: m.Sig})
	}
	b, err := EncodeJoinResponse(v)
	if err != nil || len(b) > api.MaxJoinMessage {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if got, err := DecodeJoinResponse(b); err != nil || len(got.Members) != api.MaxMembers {
		t.Fatal(err)
	}
}

// FuzzMembershipRecords feeds every decoder and checks that what one accepts
// survives another round.
func FuzzMembershipRecords(f *testing.F) {
	for _, add := range []func() ([]byte, error){
		func() ([]byte, error) { return EncodeMembership(testMembership()) },
		func() ([]byte, error) { return EncodeCapability(testCapability()) },
		func() ([]byte, error) { return EncodeInvite(testInvite()) },
		func() ([]byte, error) { return EncodeJoinRequest(testJoin()) },
		func() ([]byte, error) { return EncodeJoinResponse(testResponse()) },
		func() ([]byte, error) { return EncodeRevocation(api.Revocation{}) },
	} {
		b, err := add()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		againRecord(t, b, EncodeMembership, DecodeMembership)
		againRecord(t, b, EncodeRevocation, DecodeRevocation)
		againRecord(t, b, EncodeCapability, DecodeCapability)
		againRecord(t, b, EncodeInvite, DecodeInvite)
		againRecord(t, b, EncodeJoinRequest, DecodeJoinRequest)
		againRecord(t, b, EncodeJoinResponse, DecodeJoinResponse)
	})
}

func againRecord[T any](t *testing.T, b []byte, encode func(T) ([]byte, error), decode func([]byte) (T, error)) {
	v, err := decode(b)
	if err != nil {
		if api.KindOf(err) != api.Invalid {
			t.Fatalf("%T: kind %v", v, err)
		}
		return
	}
	c, err := encode(v)
	if err != nil {
		t.Fatalf("%T was read but cannot be written: %v", v, err)
	}
	w, err := decode(c)
	if err != nil || !reflect.DeepEqual(v, w) {
		t.Fatalf("%T changed: %+v, %+v, %v", v, v, w, err)
	}
}

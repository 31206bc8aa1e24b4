package module

import (
	"errors"
	"slices"
	"testing"

	"inos/kernel/api"
)

func TestNamesAndWithdrawals(t *testing.T) {
	root := author(9)
	n := SignName(root, "parrot", author(1).ID(), 100)
	if err := CheckName(root.ID(), n); err != nil {
		t.Error(err)
	}
	for what, bend := range map[string]func(*Name){
		"name":   func(n *Name) { n.Name = "parrots" },
		"author": func(n *Name) { n.Author = author(2).ID() },
		"time":   func(n *Name) { n.Issued-- },
	} {
		bent := n
		bend(&bent)
		if err := CheckName(root.ID(), bent); !errors.Is(err, api.Unverified) {
			t.Errorf("another %s: %v", what, err)
		}
	}
	if err := CheckName(author(1).ID(), n); !errors.Is(err, api.Unverified) {
		t.Errorf("another mesh: %v", err)
	}
	later := SignName(root, "parrot", author(2).ID(), 101)
	if EarlierName(n, later) != n || EarlierName(later, n) != n {
		t.Error("the later name stands")
	}
	same := SignName(root, "parrot", author(2).ID(), 100)
	if EarlierName(n, same) != EarlierName(same, n) {
		t.Error("two names of one second: which stands depends on the order")
	}

	signed := sign(t, author(1), guestModule(t, sample()))
	s, err := Verify(signed)
	if err != nil {
		t.Fatal(err)
	}
	r := Record{Name: s.Name, Version: s.Version, Hash: HashOf(signed), Author: s.Author, Content: s.Content, Sig: s.Sig}
	if err := CheckRecord(&r); err != nil {
		t.Error(err)
	}
	r.Withdrawal = SignWithdrawal(author(1), r.Content)
	if err := CheckRecord(&r); err != nil || !r.Withdrawn() {
		t.Errorf("withdrawn by its author: %v", err)
	}
	r.Withdrawal = SignWithdrawal(author(2), r.Content)
	if err := CheckRecord(&r); !errors.Is(err, api.Unverified) {
		t.Errorf("withdrawn by another: %v", err)
	}
	r.Withdrawal, r.Name = [64]byte{}, "other"
	if err := CheckRecord(&r); !errors.Is(err, api.Unverified) {
		t.Errorf("under another name: %v", err)
	}
	if err := CheckRecord(&Record{Name: "x", Withdrawal: [64]byte{1}}); !errors.Is(err, api.Unverified) {
		t.Errorf("an unsigned module is withdrawn: %v", err)
	}
}

func TestParseRef(t *testing.T) {
	id := author(1).ID().String()
	tests := []struct {
		in   string
		want Ref
	}{
		{"parrot", Ref{Name: "parrot"}},
		{"parrot@1.0.0", Ref{Name: "parrot", Version: "1.0.0"}},
		{"parrot@1.0.0:" + id, Ref{Name: "parrot", Version: "1.0.0", Author: id}},
		{"parrot:12345678", Ref{Name: "parrot", Author: "12345678"}},
		{"deadbeef", Ref{Name: "deadbeef", Hash: "deadbeef"}},
		{"", Ref{}},
		{"Parrot", Ref{}},
		{"parrot@1", Ref{}},
		{"parrot:abc", Ref{}},
	}
	for _, tt := range tests {
		got, err := ParseRef(tt.in)
		if got != tt.want || (err != nil) != (tt.want == Ref{}) {
			t.Errorf("%q: %+v, %v", tt.in, got, err)
		}
	}
	r := Ref{Name: "parrot", Author: id[len(id)-8:]}
	if !r.ByName("parrot", "2.0.0", author(1).ID()) || r.ByName("parrot", "2.0.0", author(2).ID()) {
		t.Error("an author by the last characters")
	}
}

// TestCompareVersions walks the order that the specification gives.
func TestCompareVersions(t *testing.T) {
	order := []string{
		"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0",
		"1.2.0", "1.10.0", "2.0.0",
	}
	if !slices.IsSortedFunc(order, CompareVersions) {
		t.Error("the order is not kept")
	}
	for i := range order[1:] {
		if CompareVersions(order[i], order[i+1]) >= 0 || CompareVersions(order[i+1], order[i]) <= 0 {
			t.Errorf("%s and %s", order[i], order[i+1])
		}
	}
	if CompareVersions("1.0.0+a", "1.0.0+b") != 0 {
		t.Error("build metadata counts")
	}
}

package module

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/module/bin"
)

func author(b byte) identity.Identity { return identity.NewFromSeed([32]byte{b}) }

func sign(t testing.TB, by identity.Identity, wasm []byte) []byte {
	t.Helper()
	out, err := Sign(by, wasm)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSignAndVerify(t *testing.T) {
	plain := guestModule(t, sample())
	if _, err := Verify(plain); !errors.Is(err, api.NotFound) {
		t.Errorf("an unsigned module: %v", err)
	}
	signed := sign(t, author(1), plain)
	s, err := Verify(signed)
	if err != nil {
		t.Fatal(err)
	}
	if s.Author != author(1).ID() || s.Content != HashOf(plain) || s.Name != "compute" || s.Version != "1.0.0" {
		t.Errorf("%+v", s)
	}
	d, err := Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	if info := d.Info(); info.Author != author(1).ID() || !info.Verified || d.Hash != HashOf(signed) {
		t.Errorf("%+v", info)
	}
	again := sign(t, author(2), signed)
	if s, err := Verify(again); err != nil || s.Author != author(2).ID() || s.Content != HashOf(plain) {
		t.Errorf("signed by another: %+v, %v", s, err)
	}
	if !bytes.Equal(sign(t, author(1), again), signed) {
		t.Error("the first author's signature is not the same a second time")
	}
}

// TestSignatureGolden pins the bytes: every signature made before must hold.
func TestSignatureGolden(t *testing.T) {
	s := Signature{Author: author(7).ID(), Content: api.Hash{1, 2, 3}, Name: "parrot", Version: "1.2.3-rc.1"}
	s.Sig = author(7).Sign(DomainSignature, s.message())
	const message = "0102030000000000000000000000000000000000000000000000000000000000" +
		"00000006706172726f740000000a312e322e332d72632e31"
	if got := hex.EncodeToString(s.message()); got != message {
		t.Errorf("message %s", got)
	}
	const want = "0c00f671d2ce08857dfabbc2bb21217fcab7a4dcd884f2fa53e158276134fae574514446217cfe653b9fe89fbc5891bbd3611b36c526bd39b2c900fb2afc6205"
	if got := hex.EncodeToString(s.Sig[:]); got != want {
		t.Errorf("signature %s", got)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	s.Version = "1.2.3"
	if err := s.Check(); !errors.Is(err, api.Unverified) {
		t.Errorf("for another version: %v", err)
	}
}

func TestSignatureIsRefused(t *testing.T) {
	plain := guestModule(t, sample())
	signed := sign(t, author(1), plain)
	section := signed[len(plain):]
	edit := func(at int) []byte {
		b := bytes.Clone(signed)
		b[at] ^= 1
		return b
	}
	short := bin.AppendSection(bytes.Clone(plain), bin.Custom, append(bin.AppendName(nil, SignatureSection), 1, 2, 3))
	tests := []struct {
		name string
		wasm []byte
		kind api.Kind
	}{
		{"a changed body", edit(len(plain) - 20), api.Unverified},
		{"another author", edit(len(signed) - 70), api.Unverified},
		{"a changed signature", edit(len(signed) - 1), api.Unverified},
		{"a section of 3 bytes", short, api.Invalid},
		{"two signatures", append(bytes.Clone(signed), section...), api.Invalid},
		{"a section after it", bin.AppendSection(bytes.Clone(signed), bin.Custom, bin.AppendName(nil, "name")), api.Invalid},
		{"a small-order author", append(bytes.Clone(signed[:len(signed)-96]), make([]byte, 96)...), api.Unverified},
		{"not a module", []byte("no"), api.Invalid},
	}
	for _, tt := range tests {
		if _, err := Verify(tt.wasm); api.KindOf(err) != tt.kind {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.kind)
		}
		if _, err := Parse(tt.wasm); err == nil {
			t.Errorf("%s: parsed", tt.name)
		}
	}
	if _, err := Sign(author(1), []byte(bin.Header)); !errors.Is(err, api.Invalid) {
		t.Errorf("signing without a manifest: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	plain := guestModule(f, sample())
	f.Add(plain)
	f.Add(sign(f, author(1), plain))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		s, err := Verify(wasm)
		switch api.KindOf(err) {
		case api.Invalid, api.Unverified, api.NotFound:
			return
		}
		if err != nil {
			t.Fatalf("an error of kind %s: %v", api.KindOf(err), err)
		}
		resigned, err := Sign(author(3), wasm)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := Verify(resigned); err != nil || v.Content != s.Content || v.Author != author(3).ID() {
			t.Fatalf("%+v, %v", v, err)
		}
	})
}

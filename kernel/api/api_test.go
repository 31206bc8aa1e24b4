package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestErrorsKeepTheirKind(t *testing.T) {
	base := Errorf("disk.get", NotFound, "no block here")
	outer := E("node.get", Other, base)
	for _, err := range []error{base, outer, fmt.Errorf("wrapped: %w", outer)} {
		if !errors.Is(err, NotFound) || errors.Is(err, Denied) || KindOf(err) != NotFound {
			t.Errorf("%v lost its kind", err)
		}
	}
	if got := outer.Error(); got != "node.get: disk.get: no block here (not-found)" {
		t.Errorf("rendered %q", got)
	}
	var e *Error
	if !errors.As(outer, &e) || e.Message() != "no block here" {
		t.Errorf("message for people is %q", e.Message())
	}
	if KindOf(context.DeadlineExceeded) != Timeout || KindOf(context.Canceled) != Canceled {
		t.Error("context errors have kinds")
	}
	if ExitCode(nil) != 0 || ExitCode(errors.New("x")) != 1 || ExitCode(base) != 12 {
		t.Errorf("exit codes moved: not-found is %d", ExitCode(base))
	}
	for k := Kind(0); k < kindCount; k++ {
		if KindNamed(k.String()) != k {
			t.Errorf("kind %d has no way back from %q", k, k)
		}
	}
}

func TestAddressIsACIDv1(t *testing.T) {
	var a Address
	for i := range a {
		a[i] = byte(i)
	}
	const want = "bafkr4iaaaebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4"
	if a.String() != want {
		t.Fatalf("address %s, want %s", a, want)
	}
	for _, bad := range []string{"", "b", want[:58], want + "a", strings.ToUpper(want), "z" + want[1:], "bafkreiaaaebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4"} {
		if _, err := ParseAddress(bad); !errors.Is(err, Invalid) {
			t.Errorf("ParseAddress(%q) = %v, want invalid", bad, err)
		}
	}
}

// The vector is the Ed25519 example of the did:key method specification.
func TestNodeIDIsADidKey(t *testing.T) {
	const did = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
	n, err := ParseNodeID(did)
	if err != nil || n.String() != did {
		t.Fatalf("%v, %v", n, err)
	}
	for _, bad := range []string{"", did[:30], did + "1", "did:web:example.org", "did:key:z0OIl"} {
		if _, err := ParseNodeID(bad); !errors.Is(err, Invalid) {
			t.Errorf("ParseNodeID(%q) = %v, want invalid", bad, err)
		}
	}
}

func TestTextFormsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "bytes")
		v := struct {
			H Hash
			A Address
			N NodeID
			I ID
			L Link
		}{Hash(b), Address(b), NodeID(b), ID(b[:16]), Link{Root: Address(b), Key: [32]byte(b)}}
		if v.L.IsZero() {
			t.Skip("the zero link is the empty text")
		}
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		back := v
		back.H, back.A, back.N, back.I, back.L = Hash{}, Address{}, NodeID{}, ID{}, Link{}
		if err := json.Unmarshal(raw, &back); err != nil || back != v {
			t.Fatalf("%s came back as %+v, %v", raw, back, err)
		}
	})
}

func TestLinksSayWhatIsWrong(t *testing.T) {
	l := Link{Root: Address{1}, Key: [32]byte{2}}
	for text, says := range map[string]string{
		"":                             "starts with inos:",
		"http://x":                     "starts with inos:",
		"inos:":                        "starts with b",
		l.String()[:len(l.String())-3]: "cut off",
		l.String() + "x":               "cut off",
		l.String()[:70]:                "cut off",
		"inos:" + l.Root.String() + "#" + strings.Repeat("A", 43): "all zero",
	} {
		_, err := ParseLink(text)
		if !errors.Is(err, Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseLink(%q) = %v, want it to say %q", text, err, says)
		}
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add(Link{Root: Address{1}, Key: [32]byte{2}}.String())
	f.Add(Link{Root: Address{9}}.String())
	f.Add("inos:bafk#")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLink(s)
		if err == nil && l.String() != s {
			t.Fatalf("%q was accepted but prints as %q", s, l)
		}
	})
}

func TestCredits(t *testing.T) {
	for text, want := range map[string]Credits{"0": 0, "1": Credit, "-12.5": -12_500_000, "0.000001": 1, "9223372036854.775807": math.MaxInt64} {
		got, err := ParseCredits(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseCredits(%q) = %d (%s), %v", text, got, got, err)
		}
	}
	for _, bad := range []string{"", "-", ".", "1.2.3", "1e5", "+1", "--1", "1.0000001", "9223372036855"} {
		if _, err := ParseCredits(bad); !errors.Is(err, Invalid) {
			t.Errorf("ParseCredits(%q) = %v, want invalid", bad, err)
		}
	}
	if Credits(math.MinInt64).String() != "-9223372036854.775808" {
		t.Error(Credits(math.MinInt64).String())
	}
}

func TestPricesRoundUpAndNeverOverflow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := Credits(rapid.Int64Range(0, math.MaxInt64).Draw(t, "price"))
		n := rapid.Uint64().Draw(t, "n")
		d := rapid.Uint64Range(1, math.MaxUint64).Draw(t, "d")
		got, err := price.MulDiv(n, d)
		want := math.Ceil(float64(price) * float64(n) / float64(d))
		if err != nil {
			if want < math.MaxInt64*0.999 {
				t.Fatalf("refused %g: %v", want, err)
			}
			return
		}
		if diff := math.Abs(float64(got) - want); diff > 1+want*1e-12 {
			t.Fatalf("%d*%d/%d = %d, want about %g", price, n, d, got, want)
		}
	})
	p := Prices{ComputeGgas: Credit}
	if c, _ := p.Compute(1); c != 1 {
		t.Errorf("one unit of gas costs %d, want 1 by rounding up", c)
	}
}

func TestAccounts(t *testing.T) {
	for _, a := range []Account{{}, {Kind: NodeAccount, Node: NodeID{1}}, {Kind: EscrowAccount, ID: ID{2}}} {
		back, err := ParseAccount(a.String())
		if err != nil || back != a {
			t.Errorf("%v came back as %v, %v", a, back, err)
		}
	}
	var r Role
	if err := r.UnmarshalText([]byte("seed+hub")); err != nil || r != Seed|Hub || r.String() != "seed+hub" {
		t.Errorf("roles %v, %v", r, err)
	}
	if err := r.UnmarshalText([]byte("boss")); !errors.Is(err, Invalid) {
		t.Errorf("unknown role: %v", err)
	}
}

package shm

import (
	"errors"
	"strings"
	"testing"

	"inos/kernel/api"
	"inos/kernel/layout"
)

func TestRequestsAndAnswersSurviveTheWire(t *testing.T) {
	r := Request{Op: layout.OpRing, Role: RoleWrite, Cell: 2, Region: 3, End: 1, Size: 1 << 40, MaxMessage: 9, Name: "Grüße"}
	b, err := EncodeRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeRequest(b); err != nil || got != r {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = EncodeRequest(Request{Name: strings.Repeat("x", 97)})
	want(t, err, api.Invalid)
	b[layout.AttachRequestAtVersion]++
	_, err = DecodeRequest(b)
	want(t, err, api.Unsupported)

	a := Answer{Lease: 1, Owner: 2, Region: 3, Files: 1, Size: 5}
	if got, err := DecodeAnswer(EncodeAnswer(a)); err != nil || got != a {
		t.Fatalf("%+v, %v", got, err)
	}
	long := api.Errorf("x", api.Exhausted, strings.Repeat("ü", 200))
	got, err := DecodeAnswer(EncodeAnswer(Answer{Err: long}))
	if err != nil || !errors.Is(got.Err, api.Exhausted) || !strings.Contains(got.Err.Error(), strings.Repeat("ü", 96)) || strings.Contains(got.Err.Error(), "\ufffd") {
		t.Fatalf("%v, %v", got, err)
	}
}

func FuzzDecodeRequest(f *testing.F) {
	b, _ := EncodeRequest(Request{Op: 1, Name: "n"})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil {
			return
		}
		again, err := EncodeRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := DecodeRequest(again); err != nil || twice != r {
			t.Fatalf("%+v became %+v, %v", r, twice, err)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add(EncodeAnswer(Answer{Size: 7}))
	f.Add(EncodeAnswer(Answer{Err: api.Denied}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := DecodeAnswer(b); err == nil && a.Err == nil {
			if again, err := DecodeAnswer(EncodeAnswer(a)); err != nil || again != a {
				t.Fatalf("%+v became %+v, %v", a, again, err)
			}
		}
	})
}

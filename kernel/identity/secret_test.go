package identity

import (
	"errors"
	"strings"
	"testing"

	"inos/kernel/api"
)

func TestSecret(t *testing.T) {
	id := NewFromSeed([SeedSize]byte{1, 2, 3})
	const want = "inos-identity:AQECAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAASnmzqg"
	word := FormatSecret(id)
	if word != want {
		t.Errorf("the text form changed: %s", word)
	}
	for _, text := range []string{word, "  " + word + "\r\n\n", FormatSecretFile(id)} {
		if got, err := ParseSecret(text); err != nil || got.ID() != id.ID() {
			t.Errorf("%q: %v", text, err)
		}
	}
	if !strings.Contains(FormatSecretFile(id), id.ID().String()) {
		t.Error("the file does not say whose secret it is")
	}
	for text, kind := range map[string]api.Kind{
		"":                                       api.Invalid,
		"# only a comment":                       api.Invalid,
		word[:len(word)-1]:                       api.Invalid,
		word + "A":                               api.Invalid,
		word + "\n" + word:                       api.Invalid,
		strings.Replace(word, "ECAw", "ECAx", 1): api.Invalid,
		"inos-invite:" + word[14:]:               api.Invalid,
		"inos-identity:Ag":                       api.Unsupported,
		strings.Repeat(" ", 5000) + word:         api.Invalid,
		word[:20] + "\r" + word[20:]:             api.Invalid,
	} {
		if _, err := ParseSecret(text); !errors.Is(err, kind) {
			t.Errorf("%q: %v, want %v", text, err, kind)
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add(FormatSecret(NewFromSeed([SeedSize]byte{7})))
	f.Add("inos-identity:AQcAAAAAAAAAAA\r\r\r\rAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA997afQ")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseSecret(text)
		if err != nil {
			return
		}
		if again, err := ParseSecret(FormatSecret(id)); err != nil || again.ID() != id.ID() || !strings.Contains(text, FormatSecret(id)) {
			t.Fatalf("%q reads as another identity: %v", text, err)
		}
	})
}

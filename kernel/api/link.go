package api

import (
	"encoding/base64"
	"strings"
)

// LinkScheme begins every link.
const LinkScheme = "inos:"

// Link names an object and, for private objects, opens it:
// "inos:<root address>#<key>". The key is the 32-byte ChaCha20-Poly1305 key of
// the root manifest in unpadded base64url (43 characters). A public object has
// no key and its link no fragment. Whoever holds a link can read the object.
type Link struct {
	Root Address
	Key  [32]byte // zero for a public object
}

// Public reports whether the link carries no key.
func (l Link) Public() bool { return l.Key == [32]byte{} }

// IsZero reports whether l names nothing.
func (l Link) IsZero() bool { return l.Root.IsZero() }

// String returns the text form, key included: treat it as a secret.
func (l Link) String() string {
	if l.Public() {
		return LinkScheme + l.Root.String()
	}
	return LinkScheme + l.Root.String() + "#" + base64.RawURLEncoding.EncodeToString(l.Key[:])
}

// MarshalText returns the text form.
func (l Link) MarshalText() ([]byte, error) {
	if l.IsZero() {
		return nil, nil
	}
	return []byte(l.String()), nil
}

// UnmarshalText parses the text form; the empty text is the zero link.
func (l *Link) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*l = Link{}
		return nil
	}
	v, err := ParseLink(string(b))
	if err == nil {
		*l = v
	}
	return err
}

// keyText is the length of a key's text.
const keyText = 43

// ParseLink reads the text form and says what is wrong with a bad one.
func ParseLink(s string) (Link, error) {
	const op = "api.parselink"
	var l Link
	rest, ok := strings.CutPrefix(s, LinkScheme)
	if !ok {
		if _, err := ParseAddress(strings.TrimPrefix(s, "/ipfs/")); err == nil {
			return l, Errorf(op, Invalid, "this is an address without its key: the link of a private object is "+LinkScheme+"ADDRESS#KEY, of a public one "+LinkScheme+"ADDRESS")
		}
		return l, Errorf(op, Invalid, "a link starts with "+LinkScheme)
	}
	addr, key, hasKey := strings.Cut(rest, "#")
	root, err := ParseAddress(addr)
	if err != nil {
		return l, E(op, Invalid, err)
	}
	if hasKey {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(key)
		if err != nil || len(raw) != len(l.Key) || len(key) != keyText { // the decoder passes over line ends
			return Link{}, Errorf(op, Invalid, "the key after # has 43 characters; this link looks cut off")
		}
		copy(l.Key[:], raw)
		if l.Public() {
			return Link{}, Errorf(op, Invalid, "the key after # is all zero")
		}
	}
	l.Root = root
	return l, nil
}

package identity

import (
	"encoding/base64"
	"strings"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// SecretScheme begins the text form of every secret.
const SecretScheme = "inos-identity:"

// Sizes of the text form: a version, the seed, and a checksum that tells a line
// which was cut off or mistyped from another identity.
const (
	secretVersion = 1
	secretCheck   = 4
	secretBytes   = 1 + SeedSize + secretCheck
	maxSecretText = 4096 // with its comments
)

// SecretWarning is what whoever exports or imports a secret must know.
const SecretWarning = "Whoever has this secret is the node: it opens its private objects and spends its credits. " +
	"Run it in one place at a time: two nodes with one key take each other's messages and receipts."

// FormatSecret renders an identity as one word that ParseSecret reads, the same
// for native nodes and tabs: SecretScheme, then unpadded base64url of a version
// byte, the seed, and the first 4 bytes of the BLAKE3 of both.
func FormatSecret(i Identity) string {
	b := append([]byte{secretVersion}, i.seed[:]...)
	sum := blake3.Sum256(b)
	return SecretScheme + base64.RawURLEncoding.EncodeToString(append(b, sum[:secretCheck]...))
}

// FormatSecretFile is FormatSecret with lines of comment that say what the file
// is; ParseSecret reads it too.
func FormatSecretFile(i Identity) string {
	return "# The secret of the INOS node " + i.ID().String() + "\n# " + SecretWarning + "\n" + FormatSecret(i) + "\n"
}

// ParseSecret reads the text form. White space, empty lines and lines that begin
// with # around it are allowed.
//
// Errors: Invalid when the text is no secret, has several, or was cut off;
// Unsupported when a newer version wrote it.
func ParseSecret(text string) (Identity, error) {
	const op = "identity.parsesecret"
	word, err := oneSecret(text)
	if err != nil {
		return Identity{}, err
	}
	body, ok := strings.CutPrefix(word, SecretScheme)
	if !ok {
		return Identity{}, api.Errorf(op, api.Invalid, "an exported identity starts with "+SecretScheme)
	}
	raw, err := decodeWord(body)
	if err == nil && len(raw) > 0 && raw[0] > secretVersion {
		return Identity{}, api.Errorf(op, api.Unsupported, "a newer inos exported this identity; import it with that")
	}
	if err != nil || len(raw) != secretBytes || raw[0] != secretVersion {
		return Identity{}, secretCutOff(op)
	}
	b, check := raw[:1+SeedSize], raw[1+SeedSize:]
	if sum := blake3.Sum256(b); string(sum[:secretCheck]) != string(check) {
		return Identity{}, secretCutOff(op)
	}
	return NewFromSeed([SeedSize]byte(b[1:])), nil
}

// oneSecret returns the one line of text that is no comment.
func oneSecret(text string) (word string, err error) {
	const op = "identity.parsesecret"
	if len(text) > maxSecretText {
		return "", api.Errorf(op, api.Invalid, "an exported identity has at most 4096 characters")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if word != "" {
			return "", api.Errorf(op, api.Invalid, "an exported identity is one line; paste one alone")
		}
		word = line
	}
	return word, nil
}

// decodeWord reads unpadded base64url in its one spelling. The decoder alone
// passes over line ends inside the text.
func decodeWord(text string) ([]byte, error) {
	if at := strings.IndexAny(text, "\r\n"); at >= 0 {
		return nil, base64.CorruptInputError(at)
	}
	return base64.RawURLEncoding.Strict().DecodeString(text)
}

func secretCutOff(op string) error {
	return api.Errorf(op, api.Invalid, "the identity looks cut off or mistyped; copy the whole line again")
}

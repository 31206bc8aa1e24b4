package module

import (
	"cmp"
	"encoding/binary"
	"strconv"
	"strings"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/wire"
)

// The registry of a mesh has two kinds of records, both signed and so free to
// travel through anybody's hands: an author's word for a module, and the mesh
// root's word for a name. A name belongs to the author whose module the root saw
// first under it, for good; modules of other authors remain reachable by hash
// and with the author beside the name.

// The domains of the registry's signatures.
const (
	DomainName       = "inos/module-name/v1"
	DomainWithdrawal = "inos/module-withdrawal/v1"
)

// Record is where a signed or unsigned module is.
type Record = wire.ModuleRecord

// Name gives a name to an author.
type Name = wire.ModuleName

// SignName gives a name to an author at issued, Unix seconds.
func SignName(root identity.Identity, name string, author api.NodeID, issued int64) Name {
	n := Name{Name: name, Author: author, Issued: issued}
	n.Sig = root.Sign(DomainName, nameMessage(n))
	return n
}

// CheckName returns nil when the root of mesh signed n, else Unverified.
func CheckName(mesh api.NodeID, n Name) error {
	if !validName(n.Name) || !identity.Verify(mesh, DomainName, nameMessage(n), n.Sig) {
		return api.Errorf("module.name", api.Unverified, "the mesh gave nobody the name "+strconv.Quote(printable(n.Name))+" in this record")
	}
	return nil
}

// nameMessage is the author, the time in Unix seconds big-endian, the name.
func nameMessage(n Name) []byte {
	b := append([]byte(nil), n.Author[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(n.Issued))
	return append(b, n.Name...)
}

// EarlierName says which of two records of one name stands: the earlier, and
// at the same second the one with the smaller key, so that all agree.
func EarlierName(a, b Name) Name {
	if cmp.Or(cmp.Compare(a.Issued, b.Issued), strings.Compare(string(a.Author[:]), string(b.Author[:]))) <= 0 {
		return a
	}
	return b
}

// SignatureOf is the author's signature that a record carries, zero for none.
func SignatureOf(r *Record) Signature {
	return Signature{Author: r.Author, Content: r.Content, Name: r.Name, Version: r.Version, Sig: r.Sig}
}

// CheckRecord returns nil for a record whose signatures hold or that has none.
func CheckRecord(r *Record) error {
	if r.Author.IsZero() {
		if r.Withdrawn() {
			return api.Errorf("module.record", api.Unverified, "nobody signed the module, so nobody can withdraw it")
		}
		return nil
	}
	if err := SignatureOf(r).Check(); err != nil {
		return err
	}
	if r.Withdrawn() && !identity.Verify(r.Author, DomainWithdrawal, r.Content[:], r.Withdrawal) {
		return api.Errorf("module.record", api.Unverified, "the withdrawal is not signed by the module's author")
	}
	return nil
}

// SignWithdrawal withdraws the module with this content, for good.
func SignWithdrawal(author identity.Identity, content api.Hash) [64]byte {
	return author.Sign(DomainWithdrawal, content[:])
}

// Ref names a module: by hash, or by name with or without version and author.
type Ref struct {
	Hash    string // hex digits, 8 or more; the rest is empty when set
	Name    string
	Version string // "" for the highest
	Author  string // did:key or its last 8 or more characters; "" for the name's owner
}

// ParseRef reads NAME[@VERSION][:AUTHOR], or a hash's first 8 or more digits. A
// text that can be both is taken for both: Hash and Name are set.
func ParseRef(s string) (Ref, error) {
	var r Ref
	head, author, hasAuthor := strings.Cut(s, ":")
	name, version, hasVersion := strings.Cut(head, "@")
	if hexDigits(s) {
		r.Hash = s
	}
	if validName(name) && (!hasVersion || validVersion(version)) && (!hasAuthor || len(author) >= 8) {
		r.Name, r.Version, r.Author = name, version, author
	}
	if r == (Ref{}) {
		return r, api.Errorf("module.ref", api.Invalid, "a module is NAME, NAME@VERSION, NAME@VERSION:AUTHOR or 8 or more digits of its hash, not "+strconv.Quote(printable(s)))
	}
	return r, nil
}

func hexDigits(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) >= 8 && len(s) <= 64
}

// ByHash reports whether r names the module with this hash.
func (r Ref) ByHash(h api.Hash) bool { return r.Hash != "" && strings.HasPrefix(h.String(), r.Hash) }

// ByName reports whether name and version, and the author when r has one, are
// those that r asks for. Whose the name is, is not its business.
func (r Ref) ByName(name, version string, author api.NodeID) bool {
	return r.Name != "" && r.Name == name && (r.Version == "" || r.Version == version) &&
		(r.Author == "" || strings.HasSuffix(author.String(), r.Author))
}

// CompareVersions orders two valid semantic versions by precedence; build
// metadata does not count.
//
// Source: Semantic Versioning 2.0.0, section 11.
func CompareVersions(a, b string) int {
	a, _, _ = strings.Cut(a, "+")
	b, _, _ = strings.Cut(b, "+")
	coreA, preA, hasA := strings.Cut(a, "-")
	coreB, preB, hasB := strings.Cut(b, "-")
	if c := compareIdentifiers(coreA, coreB); c != 0 {
		return c
	}
	switch {
	case hasA && hasB:
		return compareIdentifiers(preA, preB)
	case hasA:
		return -1
	case hasB:
		return 1
	}
	return 0
}

// compareIdentifiers compares dotted identifiers: numbers by value and before
// texts, a shorter list before a longer one that begins with it.
func compareIdentifiers(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, y := as[i], bs[i]
		c := 0
		switch {
		case digits(x) && digits(y):
			c = cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)) // without leading zeros
		case digits(x):
			c = -1
		case digits(y):
			c = 1
		default:
			c = strings.Compare(x, y)
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(as), len(bs))
}

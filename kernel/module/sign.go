package module

import (
	"encoding/binary"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/module/bin"
	"inos/kernel/wire"
)

// SignatureSection is the custom section that holds an author's signature: the
// author's key, 32 bytes, and the Ed25519 signature, 64 bytes. It is the last
// section of the file.
const SignatureSection = "inos.signature"

// DomainSignature separates an author's signatures from all other uses of a key.
const DomainSignature = "inos/module/v1"

const signatureSize = 32 + 64

// Signature is an author's word for a module: this content bears this name and
// version. It can be checked without the file, which is how a registry keeps it.
type Signature struct {
	Author  api.NodeID // the public key, in the same form as a node's
	Content api.Hash   // BLAKE3 of the file without the signature's section
	Name    string     // of the manifest
	Version string     // of the manifest
	Sig     [64]byte
}

// message is what the author signs: the content's hash, then name and version,
// each behind its length as a uint32, big-endian.
func (s Signature) message() []byte {
	b := append([]byte(nil), s.Content[:]...)
	for _, text := range []string{s.Name, s.Version} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	return b
}

// Check returns nil when Author signed exactly this, else Unverified.
func (s Signature) Check() error {
	if !identity.Verify(s.Author, DomainSignature, s.message(), s.Sig) {
		return api.Errorf("module.verify", api.Unverified, "the module's signature does not hold: the file was changed after "+s.Author.Short()+" signed it, or somebody else did")
	}
	return nil
}

// IsZero reports whether there is no signature.
func (s Signature) IsZero() bool { return s.Author.IsZero() }

// Sign returns wasm with author's signature in place of any other. It needs a
// manifest whose name and version are valid and checks nothing else; it keeps
// nothing of wasm. The same author and file always give the same bytes.
//
// Errors: Invalid for a file without a usable manifest.
func Sign(author identity.Identity, wasm []byte) ([]byte, error) {
	content, _, err := splitSignature(wasm)
	if err != nil {
		return nil, err
	}
	s, err := unsigned(content)
	if err != nil {
		return nil, err
	}
	s.Author = author.ID()
	s.Sig = author.Sign(DomainSignature, s.message())
	body := bin.AppendName(nil, SignatureSection)
	body = append(append(body, s.Author[:]...), s.Sig[:]...)
	return bin.AppendSection(append([]byte(nil), content...), bin.Custom, body), nil
}

// Verify reads and checks the signature of a module file.
//
// Errors: NotFound when the file is not signed, Unverified when the signature
// does not hold, Invalid when the file or its section is malformed.
func Verify(wasm []byte) (Signature, error) {
	content, raw, err := splitSignature(wasm)
	if err != nil {
		return Signature{}, err
	}
	if raw == nil {
		return Signature{}, api.Errorf("module.verify", api.NotFound, "the module is not signed; inos module sign FILE signs it")
	}
	s, err := unsigned(content)
	if err != nil {
		return Signature{}, err
	}
	copy(s.Author[:], raw)
	copy(s.Sig[:], raw[len(s.Author):])
	if err := s.Check(); err != nil {
		return Signature{}, err
	}
	return s, nil
}

// unsigned is what an author of this content would sign.
func unsigned(content []byte) (Signature, error) {
	const op = "module.sign"
	sections, err := bin.Sections(content)
	if err != nil {
		return Signature{}, api.E(op, api.Invalid, err)
	}
	raw, err := manifestSection(sections)
	if err != nil {
		return Signature{}, err
	}
	m, err := wire.DecodeModuleManifest(raw)
	if err != nil {
		return Signature{}, api.E(op, api.Invalid, err)
	}
	if !validName(m.Name) || !validVersion(m.Version) {
		return Signature{}, api.Errorf(op, api.Invalid, "the manifest's name or version is malformed; see docs/abi.md")
	}
	return Signature{Content: blake3.Sum256(content), Name: m.Name, Version: m.Version}, nil
}

// splitSignature cuts the signature's section off. raw is nil when there is none.
// Both alias wasm.
func splitSignature(wasm []byte) (content, raw []byte, err error) {
	const op = "module.signature"
	sections, err := bin.Sections(wasm)
	if err != nil {
		return nil, nil, api.E(op, api.Invalid, err)
	}
	for i, s := range sections {
		if s.ID != bin.Custom || s.Name != SignatureSection {
			continue
		}
		if i != len(sections)-1 {
			return nil, nil, api.Errorf(op, api.Invalid, "the section "+SignatureSection+" is not the last one of the file; sign the module after every other step")
		}
		if len(s.Body) != signatureSize {
			return nil, nil, api.Errorf(op, api.Invalid, "the section "+SignatureSection+" does not have 96 bytes; sign the module again")
		}
		return wasm[:s.Start], s.Body, nil
	}
	return wasm, nil, nil
}

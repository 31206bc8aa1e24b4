package chunk

import (
	"github.com/zeebo/blake3"
	"golang.org/x/crypto/chacha20poly1305"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// sealNonce is all zero: a key seals exactly one plaintext, the one whose hash
// it was derived from, so no nonce ever repeats under a key with another text.
var sealNonce [chacha20poly1305.NonceSize]byte

// convergentKey derives the key of the plaintext that hashes to h:
// BLAKE3 keyed with the namespace key, over h. The zero namespace is public and
// has no keys.
func convergentKey(namespace [32]byte, h api.Hash) (key [32]byte) {
	if namespace == [32]byte{} {
		return key
	}
	hasher, err := blake3.NewKeyed(namespace[:])
	if err != nil {
		panic("chunk: a BLAKE3 key has 32 bytes") // a [32]byte always does
	}
	_, _ = hasher.Write(h[:]) // a hash never fails to write
	hasher.Sum(key[:0])
	return key
}

// seal encrypts plain in place and returns it with its tag. plain needs
// wire.SealOverhead bytes of spare capacity to avoid a copy. The zero key
// returns plain as it is.
func seal(key [32]byte, plain []byte) []byte {
	if key == [32]byte{} {
		return plain
	}
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic("chunk: a ChaCha20-Poly1305 key has 32 bytes")
	}
	return aead.Seal(plain[:0], sealNonce[:], plain, nil)
}

// unseal decrypts sealed in place. Corrupt if the tag does not match.
func unseal(key [32]byte, sealed []byte) ([]byte, error) {
	if key == [32]byte{} {
		return sealed, nil
	}
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic("chunk: a ChaCha20-Poly1305 key has 32 bytes")
	}
	plain, err := aead.Open(sealed[:0], sealNonce[:], sealed, nil)
	if err != nil {
		return nil, api.Errorf("chunk.unseal", api.Corrupt, "the key does not open this block")
	}
	return plain, nil
}

// encode makes the block of plain, whose hash is h, and takes ownership of
// plain. Where compressing does not pay, the block is plain itself sealed in
// place; otherwise it is a new slice and plain is handed back as spare.
func encode(namespace [32]byte, plain []byte, h api.Hash) (ref wire.Ref, block, spare []byte) {
	ref = wire.Ref{Key: convergentKey(namespace, h), Hash: h, Plain: uint32(len(plain))}
	body := compress(plain)
	if body == nil {
		body = plain
	} else {
		ref.Encoding, spare = wire.EncodingBrotli, plain
	}
	block = seal(ref.Key, body)
	ref.Wire = uint32(len(block))
	ref.Addr = blake3.Sum256(block)
	return ref, block, spare
}

// encodeRoot makes the block of a root manifest, which is never compressed:
// a link has no room to say how.
func encodeRoot(namespace [32]byte, plain []byte) (api.Link, api.Block) {
	key := convergentKey(namespace, blake3.Sum256(plain))
	block := seal(key, plain)
	addr := api.Address(blake3.Sum256(block))
	return api.Link{Root: addr, Key: key}, api.Block{Addr: addr, Data: block}
}

// decode opens the wire bytes of ref's block and verifies the plaintext. It
// overwrites block; the result is block's own memory or, for a compressed
// block, the front of scratch, which needs capacity for ref.Plain bytes.
func decode(ref *wire.Ref, block, scratch []byte) ([]byte, error) {
	const op = "chunk.decode"
	if len(block) != int(ref.Wire) {
		return nil, wrongSize(ref)
	}
	plain, err := unseal(ref.Key, block)
	if err != nil {
		return nil, api.E(op, api.Corrupt, err)
	}
	if ref.Encoding == wire.EncodingBrotli {
		if plain, err = decompress(scratch[:0], plain, int(ref.Plain)); err != nil {
			return nil, api.E(op, api.Corrupt, err)
		}
	}
	if len(plain) != int(ref.Plain) || blake3.Sum256(plain) != ref.Hash {
		return nil, api.Errorf(op, api.Corrupt, "the block "+ref.Addr.String()+" holds other content than its manifest states")
	}
	return plain, nil
}

func wrongSize(ref *wire.Ref) error {
	return api.Errorf("chunk.decode", api.Corrupt, "the block "+ref.Addr.String()+" does not have the size that its manifest states")
}

package ledger

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"iter"
	"slices"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// The state as rows of bytes, which a host stores and a snapshot consists of.
// Integers have 8 little-endian bytes; docs/economy.md lists the fields.
const (
	rowMeta    byte = 'm' // one row: version, mesh, supply, treasury, seq, now
	rowAccount byte = 'a' // node -> amount
	rowEscrow  byte = 'o' // escrow id -> job, payer, worker, amount, price, expires, seq
	rowCheque  byte = 'c' // payer, payee -> paid, bytes
	rowRecent  byte = 'r' // command id -> signer, digest, expires, time, first, count
)

// RowVersion is the version of the rows' format, the first byte of the meta row.
const RowVersion = 1

// RowPrefixes are the first bytes of all keys that Flush writes, in order. A
// host may use any other first byte for rows of its own.
var RowPrefixes = [...]byte{rowAccount, rowCheque, rowMeta, rowEscrow, rowRecent}

// rowKey names a row; ids of 16 bytes are widened with zeros.
type rowKey struct {
	kind byte
	a, b [32]byte
}

func widen(id api.ID) (out [32]byte) { copy(out[:], id[:]); return out }

func (k rowKey) id() api.ID { return api.ID(k.a[:16]) }

func (k rowKey) append(b []byte) []byte {
	b = append(b, k.kind)
	switch k.kind {
	case rowMeta:
		return b
	case rowAccount:
		return append(b, k.a[:]...)
	case rowCheque:
		return append(append(b, k.a[:]...), k.b[:]...)
	default:
		return append(b, k.a[:16]...)
	}
}

func put(b []byte, vs ...uint64) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// value appends a row's value; false means that the row does not exist.
func (m *Machine) value(k rowKey, b []byte) ([]byte, bool) {
	switch k.kind {
	case rowMeta:
		b = append(append(b, RowVersion), m.mesh[:]...)
		return put(b, uint64(m.supply), uint64(m.treasury), m.seq, uint64(m.now)), true
	case rowAccount:
		v, ok := m.accounts[k.a]
		return put(b, uint64(v)), ok
	case rowEscrow:
		e, ok := m.escrows[k.id()]
		b = append(append(append(b, e.Job[:]...), e.Payer[:]...), e.Worker[:]...)
		return put(b, uint64(e.Amount), uint64(e.Price), uint64(e.Expires), e.Seq), ok
	case rowCheque:
		c, ok := m.cheques[pair{k.a, k.b}]
		return put(b, uint64(c.paid), c.bytes), ok
	default:
		a, ok := m.recent[k.id()]
		b = append(append(b, a.signer[:]...), a.digest[:]...)
		return put(b, uint64(a.expires), uint64(a.time), a.first, uint64(a.count)), ok
	}
}

// Flush calls fn for every row that changed since the last Flush, with a nil
// value for one that is gone, and forgets the changes. key and value are valid
// until fn returns. When fn fails, Flush stops with its error, and the machine
// is ahead of what was stored: discard it and Restore.
func (m *Machine) Flush(fn func(key, value []byte) error) error {
	var key, value []byte
	for k := range m.dirty {
		key = k.append(key[:0])
		v, ok := m.value(k, value[:0])
		value = v
		if !ok {
			v = nil
		}
		if err := fn(key, v); err != nil {
			return err
		}
	}
	clear(m.dirty)
	return nil
}

// Rows yields every row of the state in no particular order: a snapshot. Both
// slices are valid until the next row.
func (m *Machine) Rows() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		var key, value []byte
		for k := range m.rowKeys() {
			key = k.append(key[:0])
			value, _ = m.value(k, value[:0])
			if !yield(key, value) {
				return
			}
		}
	}
}

func (m *Machine) rowKeys() iter.Seq[rowKey] {
	return func(yield func(rowKey) bool) {
		ok := yield(rowKey{kind: rowMeta})
		for n := range m.accounts {
			ok = ok && yield(rowKey{kind: rowAccount, a: n})
		}
		for id := range m.escrows {
			ok = ok && yield(rowKey{kind: rowEscrow, a: widen(id)})
		}
		for p := range m.cheques {
			ok = ok && yield(rowKey{kind: rowCheque, a: p.payer, b: p.payee})
		}
		for id := range m.recent {
			ok = ok && yield(rowKey{kind: rowRecent, a: widen(id)})
		}
	}
}

// Hash returns BLAKE3 over all rows in the order of their keys, each key and
// value preceded by its length. Equal states have equal hashes. It sorts the
// whole state; call it for checks, not per command.
func (m *Machine) Hash() api.Hash {
	type row struct{ key, value []byte }
	var rows []row
	for k, v := range m.Rows() {
		rows = append(rows, row{bytes.Clone(k), bytes.Clone(v)})
	}
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.key, b.key) })
	h := blake3.New()
	var lens []byte
	for _, r := range rows {
		lens = put(lens[:0], uint64(len(r.key)), uint64(len(r.value)))
		_, _ = h.Write(lens)
		_, _ = h.Write(r.key)
		_, _ = h.Write(r.value)
	}
	var out api.Hash
	h.Sum(out[:0])
	return out
}

// Restore builds the machine for mesh from the rows of Rows or Flush, in any
// order. No rows give an empty ledger. It returns Corrupt when a row is
// malformed or the accounts do not add up, Unsupported for a later version, and
// Denied when the rows belong to another mesh.
func Restore(mesh api.NodeID, rows iter.Seq2[[]byte, []byte]) (*Machine, error) {
	const op = "ledger.restore"
	m := New(mesh)
	for k, v := range rows {
		if err := m.load(k, v); err != nil {
			return nil, api.E(op, api.Other, err)
		}
	}
	heap.Init(&m.expiry)
	if m.treasury < 0 || m.nodes < 0 || m.escrowed < 0 || m.treasury+m.nodes+m.escrowed != m.supply {
		return nil, api.Errorf(op, api.Corrupt, "the accounts do not add up to the supply; restore the ledger from a copy")
	}
	return m, nil
}

var rowSizes = map[byte][2]int{ // kind -> bytes of key and value
	rowMeta: {1, 65}, rowAccount: {33, 8}, rowEscrow: {17, 112}, rowCheque: {65, 16}, rowRecent: {17, 96},
}

func (m *Machine) load(key, value []byte) error {
	const op = "ledger.load"
	if len(key) == 0 {
		return api.Errorf(op, api.Corrupt, "a row has no key")
	}
	if key[0] == rowMeta && len(value) > 0 && value[0] > RowVersion {
		return api.Errorf(op, api.Unsupported, "the ledger was written by a later version; update this node")
	}
	if size, ok := rowSizes[key[0]]; !ok || size != [2]int{len(key), len(value)} {
		return api.Errorf(op, api.Corrupt, "a row has the wrong size; restore the ledger from a copy")
	}
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(value[i:]) }
	switch key[0] {
	case rowMeta:
		if api.NodeID(value[1:33]) != m.mesh {
			return api.Errorf(op, api.Denied, "the ledger belongs to another mesh; choose another directory")
		}
		m.supply, m.treasury, m.seq, m.now = api.Credits(at(33)), api.Credits(at(41)), at(49), int64(at(57))
	case rowAccount:
		v := api.Credits(at(0))
		if v < 0 {
			return api.Errorf(op, api.Corrupt, "an account is negative; restore the ledger from a copy")
		}
		m.accounts[api.NodeID(key[1:])] = v
		m.nodes += v
	case rowEscrow:
		e := api.Escrow{
			ID: api.ID(key[1:]), Job: api.ID(value[:16]), Payer: api.NodeID(value[16:48]), Worker: api.NodeID(value[48:80]),
			Amount: api.Credits(at(80)), Price: api.Credits(at(88)), Expires: int64(at(96)), Seq: at(104),
		}
		if e.Amount <= 0 {
			return api.Errorf(op, api.Corrupt, "an escrow is not positive; restore the ledger from a copy")
		}
		m.escrows[e.ID] = e
		m.escrowed += e.Amount
	case rowCheque:
		m.cheques[pair{api.NodeID(key[1:33]), api.NodeID(key[33:])}] = cheque{paid: api.Credits(at(0)), bytes: at(8)}
	case rowRecent:
		m.loadRecent(api.ID(key[1:]), applied{
			signer: api.NodeID(value[:32]), digest: api.Hash(value[32:64]),
			expires: int64(at(64)), time: int64(at(72)), first: at(80), count: uint32(at(88)),
		})
	}
	return nil
}

func (m *Machine) loadRecent(id api.ID, a applied) {
	m.recent[id] = a
	m.signers[a.signer]++
	m.expiry = append(m.expiry, expiring{a.expires, id})
}

package consensus

import (
	"encoding/binary"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Keys beside the machine's rows. Sequence numbers are big-endian, so that keys
// are in their order; the numbers inside values are little-endian.
const (
	keyEntry   byte = 'e' // seq -> time, amount, cause, from, to, ref
	keyCommand byte = 'l' // number -> time, encoded command
	keyIndex   byte = 'x' // kind, node, seq -> nothing: an entry touches the account
)

func entryKey(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte{keyEntry}, seq) }

func commandKey(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{keyCommand}, n) }

func indexPrefix(a api.Account) []byte {
	b := make([]byte, 0, 1+1+32+8)
	return append(append(b, keyIndex, byte(a.Kind)), a.Node[:]...)
}

func indexKey(a api.Account, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(indexPrefix(a), seq)
}

// prefixEnd is the first key after all keys with this prefix, which does not
// consist of 0xff alone.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func commandValue(time int64, raw []byte) []byte {
	b := make([]byte, 0, 8+len(raw))
	return append(binary.LittleEndian.AppendUint64(b, uint64(time)), raw...)
}

func parseCommand(v []byte) (time int64, cmd api.Command, err error) {
	if len(v) < 8 {
		return 0, cmd, corrupt("a logged command is cut off")
	}
	cmd, err = wire.DecodeCommand(v[8:])
	if err != nil {
		return 0, cmd, api.E("consensus.command", api.Corrupt, err)
	}
	return int64(binary.LittleEndian.Uint64(v)), cmd, nil
}

func appendAccount(b []byte, a api.Account) []byte {
	b = append(b, byte(a.Kind))
	switch a.Kind {
	case api.NodeAccount:
		b = append(b, a.Node[:]...)
	case api.EscrowAccount:
		b = append(b, a.ID[:]...)
	}
	return b
}

func entryValue(e *api.Entry) []byte {
	b := make([]byte, 0, 8+8+1+33+33+len(e.Ref))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Time))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Amount))
	b = append(b, byte(e.Cause))
	b = appendAccount(appendAccount(b, e.From), e.To)
	return append(b, e.Ref...)
}

// parseEntry reads what entryValue writes. It checks the form and not the sense.
func parseEntry(seq uint64, v []byte) (api.Entry, error) {
	if len(v) < 17 {
		return api.Entry{}, corrupt("an entry is cut off")
	}
	e := api.Entry{
		Seq: seq, Time: int64(binary.LittleEndian.Uint64(v)),
		Amount: api.Credits(binary.LittleEndian.Uint64(v[8:])), Cause: api.Cause(v[16]),
	}
	rest, ok := parseAccount(v[17:], &e.From)
	if ok {
		rest, ok = parseAccount(rest, &e.To)
	}
	if !ok || len(rest) > wire.MaxRef || e.Cause > api.CauseTransfer {
		return api.Entry{}, corrupt("an entry is malformed")
	}
	e.Ref = string(rest)
	return e, nil
}

func parseAccount(b []byte, a *api.Account) ([]byte, bool) {
	if len(b) == 0 {
		return nil, false
	}
	a.Kind, b = api.AccountKind(b[0]), b[1:]
	var dst []byte
	switch a.Kind {
	case api.TreasuryAccount:
	case api.NodeAccount:
		dst = a.Node[:]
	case api.EscrowAccount:
		dst = a.ID[:]
	default:
		return nil, false
	}
	if len(b) < len(dst) {
		return nil, false
	}
	copy(dst, b)
	return b[len(dst):], true
}

func corrupt(msg string) error {
	return api.Errorf("consensus.read", api.Corrupt, msg+"; restore the ledger from a copy")
}

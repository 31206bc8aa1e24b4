package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	meshv1 "inos/protocols/gen/go/mesh/v1"
)

// ModuleMessage is a message from a module of the sending node, which the
// connection names, to one of the receiving node.
type ModuleMessage struct {
	From     api.Hash // the sending module, set by its node's kernel
	Module   string   // the receiving module, as its node knows it
	Sequence uint64
	SentMS   int64
	Data     []byte
}

// MessageReceipt says that a message lies in a mailbox, signed by its node.
type MessageReceipt struct {
	FromNode   api.NodeID
	FromModule api.Hash
	ToNode     api.NodeID
	ToModule   api.Hash
	Sequence   uint64
	Digest     api.Hash // BLAKE3 of the data
	AcceptedMS int64
	Sig        [64]byte
}

// MessageReply answers a message: a receipt, or, when Receipt is nil, the last
// sequence that was accepted, which is not below the message's.
type MessageReply struct {
	Receipt *MessageReceipt
	Behind  uint64
}

const messageDomain = "inos message receipt v1\x00"

// ReceiptSigning returns the bytes that ToNode signs.
func ReceiptSigning(r MessageReceipt) []byte {
	c := make(canonical, 0, 256)
	c.fixed([]byte(messageDomain))
	c.fixed(r.FromNode[:])
	c.fixed(r.FromModule[:])
	c.fixed(r.ToNode[:])
	c.fixed(r.ToModule[:])
	c.u64(r.Sequence)
	c.fixed(r.Digest[:])
	c.i64(r.AcceptedMS)
	return c
}

// EncodeModuleMessage writes a message.
func EncodeModuleMessage(v ModuleMessage) ([]byte, error) {
	const op = "wire.encodemodulemessage"
	if len(v.Data) > MaxModuleMessageIn {
		return nil, api.Errorf(op, api.Invalid, "a message has at most 64 KiB; store more and send its link")
	}
	return newRecord(op, func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootModuleMessage(seg)
		if err != nil {
			return err
		}
		m.SetSequence(v.Sequence)
		m.SetSentUnixMs(v.SentMS)
		return firstOf(m.SetFromModule(v.From[:]), m.SetModule(v.Module), m.SetData(v.Data))
	})
}

// DecodeModuleMessage reads what EncodeModuleMessage writes.
func DecodeModuleMessage(b []byte) (ModuleMessage, error) {
	const op = "wire.decodemodulemessage"
	var v ModuleMessage
	msg, err := openRecord(op, b, MaxModuleMessageIn+1024)
	if err != nil {
		return v, err
	}
	m, err := meshv1.ReadRootModuleMessage(msg)
	if err != nil {
		return v, api.E(op, api.Invalid, err)
	}
	r := &reader{}
	r.fixed(v.From[:], m.FromModule)
	v.Module = r.text(MaxModuleMedia, m.Module)
	v.Sequence, v.SentMS = m.Sequence(), m.SentUnixMs()
	v.Data = r.data(MaxModuleMessageIn, m.Data)
	if r.err != nil {
		return ModuleMessage{}, api.E(op, api.Invalid, r.err)
	}
	return v, nil
}

// EncodeMessageReceipt writes a receipt, as a guest gets it.
func EncodeMessageReceipt(v MessageReceipt) ([]byte, error) {
	return newRecord("wire.encodemessagereceipt", func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootMessageReceipt(seg)
		if err != nil {
			return err
		}
		return putReceipt(m, &v)
	})
}

// DecodeMessageReceipt reads what EncodeMessageReceipt writes. It does not check
// the signature.
func DecodeMessageReceipt(b []byte) (MessageReceipt, error) {
	const op = "wire.decodemessagereceipt"
	msg, err := openRecord(op, b, MaxReceiptRecord)
	if err != nil {
		return MessageReceipt{}, err
	}
	m, err := meshv1.ReadRootMessageReceipt(msg)
	if err != nil {
		return MessageReceipt{}, api.E(op, api.Invalid, err)
	}
	r := &reader{}
	v := messageReceipt(r, m)
	if r.err != nil {
		return MessageReceipt{}, api.E(op, api.Invalid, r.err)
	}
	return v, nil
}

// EncodeMessageReply writes the answer to a message.
func EncodeMessageReply(v MessageReply) ([]byte, error) {
	return newRecord("wire.encodemessagereply", func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootMessageReply(seg)
		if err != nil {
			return err
		}
		if v.Receipt == nil {
			m.SetBehind(v.Behind)
			return nil
		}
		p, err := m.NewReceipt()
		if err != nil {
			return err
		}
		return putReceipt(p, v.Receipt)
	})
}

// DecodeMessageReply reads what EncodeMessageReply writes.
func DecodeMessageReply(b []byte) (MessageReply, error) {
	const op = "wire.decodemessagereply"
	msg, err := openRecord(op, b, MaxReceiptRecord)
	if err != nil {
		return MessageReply{}, err
	}
	m, err := meshv1.ReadRootMessageReply(msg)
	if err != nil {
		return MessageReply{}, api.E(op, api.Invalid, err)
	}
	switch m.Which() {
	case meshv1.MessageReply_Which_behind:
		return MessageReply{Behind: m.Behind()}, nil
	case meshv1.MessageReply_Which_receipt:
	default:
		return MessageReply{}, api.Errorf(op, api.Invalid, "the reply is neither a receipt nor a sequence")
	}
	p, err := m.Receipt()
	r := &reader{err: err}
	v := messageReceipt(r, p)
	if r.err != nil {
		return MessageReply{}, api.E(op, api.Invalid, r.err)
	}
	return MessageReply{Receipt: &v}, nil
}

func putReceipt(m meshv1.MessageReceipt, v *MessageReceipt) error {
	m.SetSequence(v.Sequence)
	m.SetAcceptedUnixMs(v.AcceptedMS)
	return firstOf(
		m.SetFromNode(v.FromNode[:]), m.SetFromModule(v.FromModule[:]), m.SetToNode(v.ToNode[:]), m.SetToModule(v.ToModule[:]),
		m.SetDigest(v.Digest[:]), m.SetSignature(v.Sig[:]),
	)
}

func messageReceipt(r *reader, m meshv1.MessageReceipt) (v MessageReceipt) {
	r.fixed(v.FromNode[:], m.FromNode)
	r.fixed(v.FromModule[:], m.FromModule)
	r.fixed(v.ToNode[:], m.ToNode)
	r.fixed(v.ToModule[:], m.ToModule)
	r.fixed(v.Digest[:], m.Digest)
	r.fixed(v.Sig[:], m.Signature)
	v.Sequence, v.AcceptedMS = m.Sequence(), m.AcceptedUnixMs()
	return v
}

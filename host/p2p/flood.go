package p2p

import (
	"bufio"
	"crypto/ed25519"
	"encoding/binary"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"inos/kernel/api"
)

// Numbers of the fields of floodsub's messages, which are protocol buffers.
//
// Source: libp2p specs, pubsub/README, "The RPC".
const (
	rpcSubscriptions = 1
	rpcPublish       = 2

	subSubscribe = 1
	subTopic     = 2

	msgFrom      = 1
	msgData      = 2
	msgSeqno     = 3
	msgTopic     = 4
	msgSignature = 5
)

// floodSign is what an author signs in front of the message without its
// signature.
const floodSign = "libp2p-pubsub:"

const (
	maxFloodMessages = 64 // news in one message of floodsub; more is refused
	seqnoSize        = 8
)

// floodRPC is one message between two peers: topics to be sent, and news.
type floodRPC struct {
	topics   []string
	messages []floodMessage
}

// floodMessage is a piece of news.
type floodMessage struct {
	from  api.NodeID
	data  []byte
	seq   []byte // 8 bytes, unique for the author
	topic string
	sig   []byte
}

// body is the message without its signature, fields in ascending order, as
// every implementation marshals it.
func (m floodMessage) body() []byte {
	b := make([]byte, 0, len(m.data)+len(m.topic)+160)
	b = appendField(b, msgFrom, []byte(ed25519Prefix+string(m.from[:])))
	if m.data != nil { // absent and empty differ
		b = appendField(b, msgData, m.data)
	}
	b = appendField(b, msgSeqno, m.seq)
	return appendField(b, msgTopic, []byte(m.topic))
}

func appendField(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

// signFlood fills in the author and the signature.
func signFlood(key ed25519.PrivateKey, m floodMessage) floodMessage {
	m.from = api.NodeID(key.Public().(ed25519.PublicKey))
	m.sig = ed25519.Sign(key, append([]byte(floodSign), m.body()...))
	return m
}

func verifyFlood(m floodMessage) bool {
	return len(m.sig) == ed25519.SignatureSize && ed25519.Verify(m.from[:], append([]byte(floodSign), m.body()...), m.sig)
}

// encodeFlood encodes a message with its length in front.
func encodeFlood(r floodRPC) []byte {
	var b []byte
	for _, t := range r.topics {
		sub := protowire.AppendVarint(protowire.AppendTag(nil, subSubscribe, protowire.VarintType), 1)
		b = appendField(b, rpcSubscriptions, appendField(sub, subTopic, []byte(t)))
	}
	for _, m := range r.messages {
		b = appendField(b, rpcPublish, appendField(m.body(), msgSignature, m.sig))
	}
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
}

// readFlood reads one message, at most maxFloodRPC bytes.
func readFlood(br *bufio.Reader) ([]byte, error) {
	n, err := binary.ReadUvarint(br)
	if err != nil {
		return nil, err
	}
	if n > maxFloodRPC {
		return nil, badFlood()
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(br, b); err != nil {
		return nil, noEOF(err)
	}
	return b, nil
}

func badFlood() error {
	return api.Errorf("p2p.news", api.Invalid, "a message of news cannot be read")
}

// decodeFlood reads what concerns a leaf: news. Everything else in the message is
// skipped, control and the peer's own subscriptions too.
func decodeFlood(b []byte) (floodRPC, error) {
	var r floodRPC
	err := eachField(b, func(num protowire.Number, v []byte) error {
		if num != rpcPublish {
			return nil
		}
		if len(r.messages) >= maxFloodMessages {
			return badFlood()
		}
		m, ok, err := decodeMessage(v)
		if ok {
			r.messages = append(r.messages, m)
		}
		return err
	})
	return r, err
}

// decodeMessage reads one piece of news; ok is false for one that no node of a
// mesh can have written.
func decodeMessage(b []byte) (m floodMessage, ok bool, err error) {
	known := false
	err = eachField(b, func(num protowire.Number, v []byte) error {
		switch num {
		case msgFrom:
			m.from, known = nodeOfRaw(string(v))
		case msgData:
			m.data = v
		case msgSeqno:
			m.seq = v
		case msgTopic:
			m.topic = string(v[:min(len(v), topicMaxLen+1)])
		case msgSignature:
			m.sig = v
		}
		return nil
	})
	return m, known && len(m.seq) == seqnoSize && len(m.topic) <= topicMaxLen, err
}

// eachField calls fn for the fields of a message that hold bytes.
func eachField(b []byte, fn func(num protowire.Number, v []byte) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return badFlood()
		}
		b = b[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(num, kind, b); n < 0 {
				return badFlood()
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return badFlood()
		}
		if err := fn(num, v); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

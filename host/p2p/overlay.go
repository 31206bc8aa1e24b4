package p2p

import (
	"context"

	"inos/kernel/api"
)

// Bounds of the news.
const (
	MaxNews     = 64 << 10 // bytes of one message
	maxTopics   = 64       // topics of one host
	topicQueue  = 256      // messages waiting for one subscriber; later ones are dropped
	topicMaxLen = 128      // bytes of a topic's name
	newsRate    = 50       // messages a second of one author, on average; more is neither delivered nor forwarded
	newsBurst   = 500      // messages of one author at once
)

// Subscribe joins a topic once and calls fn for every valid message of others,
// one at a time and in the order of arrival; slow subscribers lose messages.
// validate, which may be nil, runs first and concurrently: what it rejects is
// neither delivered nor forwarded, and counts against its sender; what an author
// sends beyond 50 a second is dropped. from is the author, proven by signature; authors that are not members are rejected. data
// must not be changed.
func (h *Host) Subscribe(topic string, validate func(from api.NodeID, data []byte) bool, fn func(from api.NodeID, data []byte)) error {
	if topic == "" || len(topic) > topicMaxLen || fn == nil {
		return api.Errorf("p2p.subscribe", api.Invalid, "a subscription has a topic of 1 to 128 bytes and a function")
	}
	return h.over.subscribe(topic, validate, fn)
}

// Publish sends data, at most MaxNews bytes, to the subscribers of topic. It
// returns when the message is handed to the connections; there is no
// acknowledgement, and who is not connected now does not get it.
func (h *Host) Publish(ctx context.Context, topic string, data []byte) error {
	if len(data) > MaxNews {
		return api.Errorf("p2p.publish", api.Invalid, "news has at most 64 KiB")
	}
	return h.over.publish(ctx, topic, data)
}

// Bounds of the provider records.
const (
	maxFound     = 256 // providers returned by one search
	defaultFound = 20
)

// Provide announces that this node has root, so that FindProviders finds it. It
// returns when the nodes nearest to root were told. Records expire after two
// days; announce again daily. Alone in the mesh, the record stays here.
func (h *Host) Provide(ctx context.Context, root api.Address) error {
	return h.over.provide(ctx, root)
}

// FindProviders returns members that announced root, this node included, at
// most max of them (0 means a default of 20). NotFound means none.
func (h *Host) FindProviders(ctx context.Context, root api.Address, max int) ([]api.NodeID, error) {
	const op = "p2p.findproviders"
	if max <= 0 {
		max = defaultFound
	}
	found, err := h.over.findProviders(ctx, root, min(max, maxFound))
	if len(found) > 0 {
		return found, nil
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	return nil, api.Errorf(op, api.NotFound, "no member has announced "+root.Short())
}

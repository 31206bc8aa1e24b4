//go:build !js

package p2p

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"inos/kernel/api"
)

// newsBeat is how often gossipsub repairs its overlay. A publisher sends to
// every connected subscriber itself, so the beat only matters where members are
// not all connected to each other: news is not forwarded to a peer until the
// first beat after it connected. An idle beat costs about 20 microseconds.
const newsBeat = time.Second

// news is gossipsub and its topics.
type news struct {
	ps      *pubsub.PubSub
	authors paces // of what this node delivers and forwards
	mu      sync.Mutex
	t       map[string]*pubsub.Topic // guarded by mu; at most maxTopics
}

func newNews(u *hub) (*news, error) {
	h := u.owner
	params := pubsub.DefaultGossipSubParams()
	params.HeartbeatInterval = newsBeat
	params.HeartbeatInitialDelay = 100 * time.Millisecond
	quiet := slog.New(slog.DiscardHandler)
	ps, err := pubsub.NewGossipSub(h.ctx, u.gated,
		pubsub.WithGossipSubParams(params),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictSign),
		pubsub.WithMaxMessageSize(MaxNews+4<<10),
		pubsub.WithFloodPublish(true),
		pubsub.WithPeerOutboundQueueSize(64),
		pubsub.WithValidateQueueSize(256),
		pubsub.WithValidateWorkers(1),
		pubsub.WithLogger(quiet),
		pubsub.WithRPCLogger(quiet),
		pubsub.WithPeerFilter(func(p peer.ID, _ string) bool {
			n, ok := nodeOf(p)
			return ok && h.cfg.Member(n)
		}),
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(shortTopics{}, maxTopics)),
	)
	if err != nil {
		return nil, err
	}
	return &news{ps: ps, authors: paces{rate: newsRate, burst: newsBurst}, t: make(map[string]*pubsub.Topic)}, nil
}

func (u *hub) subscribe(topic string, validate func(from api.NodeID, data []byte) bool, fn func(from api.NodeID, data []byte)) error {
	const op = "p2p.subscribe"
	h := u.owner
	if err := u.news.ps.RegisterTopicValidator(topic, u.newsValidator(validate), pubsub.WithValidatorInline(true)); err != nil {
		return api.Errorf(op, api.Exists, "the topic "+topic+" has a subscriber already")
	}
	t, err := u.topic(op, topic)
	if err != nil {
		return err
	}
	sub, err := t.Subscribe(pubsub.WithBufferSize(topicQueue))
	if err != nil {
		return api.E(op, api.Other, err)
	}
	if !h.goWork(func() {
		defer sub.Cancel()
		for {
			m, err := sub.Next(h.ctx)
			if err != nil {
				return
			}
			if from, ok := nodeOf(m.GetFrom()); ok && from != h.id {
				fn(from, m.Data)
			}
		}
	}) {
		return closedError(op)
	}
	return nil
}

func (u *hub) newsValidator(validate func(api.NodeID, []byte) bool) pubsub.ValidatorEx {
	h := u.owner
	return func(_ context.Context, _ peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		from, ok := nodeOf(m.GetFrom())
		switch {
		case !ok || len(m.Data) > MaxNews:
			return pubsub.ValidationReject
		case from == h.id:
			return pubsub.ValidationAccept
		case !h.cfg.Member(from):
			return pubsub.ValidationIgnore // its forwarder may know a member that this node does not yet
		case !u.news.authors.take(from):
			return pubsub.ValidationIgnore // its forwarder may have another count
		case validate != nil && !validate(from, m.Data):
			return pubsub.ValidationReject
		}
		return pubsub.ValidationAccept
	}
}

func (u *hub) publish(ctx context.Context, topic string, data []byte) error {
	const op = "p2p.publish"
	t, err := u.topic(op, topic)
	if err != nil {
		return err
	}
	if err := t.Publish(ctx, data); err != nil {
		if errors.Is(err, pubsub.ErrTopicClosed) || u.owner.ctx.Err() != nil {
			return closedError(op)
		}
		return api.E(op, api.Other, err)
	}
	return nil
}

func (u *hub) topic(op, name string) (*pubsub.Topic, error) {
	n := u.news
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.t[name]; t != nil {
		return t, nil
	}
	if len(n.t) >= maxTopics {
		return nil, api.Errorf(op, api.Exhausted, "a node joins at most 64 topics")
	}
	t, err := n.ps.Join(name)
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	n.t[name] = t
	return t, nil
}

// shortTopics accepts every topic with a name of bounded length.
type shortTopics struct{}

// CanSubscribe reports whether the name is short enough.
func (shortTopics) CanSubscribe(topic string) bool {
	return topic != "" && len(topic) <= topicMaxLen
}

// FilterIncomingSubscriptions drops the others.
func (f shortTopics) FilterIncomingSubscriptions(_ peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	return pubsub.FilterSubscriptions(subs, f.CanSubscribe), nil
}

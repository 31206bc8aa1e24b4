package syscall

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/wire"
)

// Bounds of one call of a module.
const (
	maxStored = 64   // objects it stores
	maxGrants = 1024 // links and addresses found in its parameters

	storeSeconds = 30 * day // what stored bytes are priced for in budgets
	overhead     = 1 << 10  // bytes added to each message and host call in budgets
)

// messageOf is an error's text without operations.
func messageOf(err error) string {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Message()
	}
	return err.Error()
}

// spend charges a price to the budget, at least a microcredit; refund gives back
// what it did not cost after all.
func (s *Session) spend(price api.Credits, err error) (refund func(cost api.Credits), _ error) {
	if err != nil {
		return nil, &refusal{OverSpent, "this costs more than can be counted"}
	}
	price = max(price, 1)
	w, k := s.who(), s.k
	if r := k.table.spend(w, price, k.cfg.Now()); r != nil {
		return nil, r
	}
	return func(cost api.Credits) {
		if cost < price {
			k.table.refund(w, price-cost, k.cfg.Now())
		}
	}, nil
}

// fatal is an error of the guest itself: it ends its call.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// give hands a result to the guest.
func give(g module.Guest, b []byte) (wire.Span, error) {
	at, err := g.Give(b)
	if err != nil {
		return at, fatal{err}
	}
	return at, nil
}

// view returns a span's bytes, of at most most.
func view(g module.Guest, at wire.Span, most int) ([]byte, error) {
	if int64(at.Length) > int64(most) {
		return nil, &refusal{Malformed, "the data is longer than this system call takes"}
	}
	b, ok := g.View(at)
	if !ok {
		return nil, outside
	}
	return b, nil
}

// fetch serves fetchChunk.
func (s *Session) fetch(ctx context.Context, op wire.FetchChunk, g module.Guest) (r wire.FetchDone, _ error) {
	if no := fits(&op, g); no != nil {
		return r, no
	}
	q, no := s.fetchable(op)
	if no != nil {
		return r, no
	}
	price := s.k.cfg.Prices.Serve
	refund, err := s.spend(price(uint64(q.Length)))
	if err != nil {
		return r, err
	}
	data, size, err := s.k.cfg.Services.Fetch(ctx, &s.caller, q)
	if err != nil {
		refund(0)
		return r, err
	}
	if cost, err := price(uint64(len(data))); err == nil { // less may have been there than was set aside
		refund(cost)
	}
	at := wire.Span{Pointer: op.Into.Pointer, Length: uint32(len(data))}
	if op.Into.Length > 0 {
		g.Fill(at, data)
	} else if at, err = give(g, data); err != nil {
		return r, err
	}
	return wire.FetchDone{Data: at, Size: size}, nil
}

// fits bounds a fetch by the place that the guest names for it.
func fits(op *wire.FetchChunk, g module.Guest) *refusal {
	if op.Into.Length == 0 {
		return nil
	}
	last := uint64(op.Into.Pointer) + uint64(op.Into.Length) - 1
	if _, ok := g.View(wire.Span{Pointer: uint32(last), Length: 1}); !ok || last > math.MaxUint32 {
		return outside
	}
	if op.Length == 0 {
		op.Length = min(op.Into.Length, wire.MaxSyscallTransfer)
	}
	if op.Length > op.Into.Length {
		return &refusal{Malformed, "the fetch brings more than its place holds; ask for less, or name a larger one"}
	}
	return nil
}

var outside = &refusal{Malformed, "the data lies outside the module's memory"}

// fetchable turns a request into what to read, if the call was given it.
func (s *Session) fetchable(op wire.FetchChunk) (Fetch, *refusal) {
	q := Fetch{Address: op.Address, Path: op.Path, Offset: op.Offset, Length: op.Length}
	if q.Length == 0 {
		q.Length = wire.MaxSyscallTransfer
	}
	if q.Length > wire.MaxSyscallTransfer {
		return q, &refusal{Malformed, "a fetch brings at most 16 MiB; ask for a part"}
	}
	c := &s.caller
	switch {
	case !op.Address.IsZero():
		if q.Path != "" {
			return q, &refusal{Malformed, "a block has no files; leave the path empty"}
		}
		if !s.granted(op.Address) {
			return q, ungranted
		}
	case op.Link != "":
		link, err := api.ParseLink(op.Link)
		if err != nil {
			return q, &refusal{Malformed, "the link is not readable: " + messageOf(err)}
		}
		if !s.granted(link.Root) {
			return q, ungranted
		}
		q.Link = link
	case c.Input.IsZero():
		return q, &refusal{Malformed, "the call has no stored input to fetch from"}
	case c.InputPath != "" && q.Path != "":
		return q, &refusal{Malformed, "the input is one file; leave the path empty"}
	default:
		q.Link = c.Input
		if c.InputPath != "" {
			q.Path = c.InputPath
		}
	}
	return q, nil
}

var ungranted = &refusal{Ungranted, "the job names no such link or address in its input or parameters; name it there, or let the node's rule say fetch=any"}

// grants are the addresses that a call may fetch.
type grants struct{ roots map[api.Address]struct{} }

// granted reports whether the call was given an address: by a link or an address
// that is a string in its parameters, by its input, by storing it, or by the
// node's rule. The rule differs between nodes, so deterministic modules have no
// use of it.
func (s *Session) granted(a api.Address) bool {
	d := s.caller.Module
	if !d.Manifest.Deterministic && s.k.Rule(d).FetchAny {
		return true
	}
	_, ok := s.given().roots[a]
	return ok
}

// given is what the call was given, found once.
func (s *Session) given() *grants {
	if s.grants != nil {
		return s.grants
	}
	s.grants = &grants{roots: map[api.Address]struct{}{}}
	if !s.caller.Input.IsZero() && s.caller.InputPath == "" {
		s.grants.add(s.caller.Input.Root)
	}
	var params any
	if json.Unmarshal(s.caller.Params, &params) == nil {
		s.grants.collect(params)
	}
	return s.grants
}

func (g *grants) add(a api.Address) {
	if len(g.roots) < maxGrants+maxStored {
		g.roots[a] = struct{}{}
	}
}

// collect finds links and addresses among the strings of a JSON value.
func (g *grants) collect(v any) {
	switch v := v.(type) {
	case string:
		if link, err := api.ParseLink(v); err == nil {
			g.add(link.Root)
		} else if a, err := api.ParseAddress(v); err == nil {
			g.add(a)
		}
	case []any:
		for _, e := range v {
			g.collect(e)
		}
	case map[string]any:
		for _, e := range v {
			g.collect(e)
		}
	}
}

// store serves storeChunk.
func (s *Session) store(ctx context.Context, op wire.StoreChunk, g module.Guest) (r wire.StoreDone, _ error) {
	data, err := view(g, op.Data, wire.MaxSyscallTransfer)
	if err != nil {
		return r, err
	}
	if op.Block && (len(data) == 0 || len(data) > api.MaxBlock) {
		return r, &refusal{Malformed, "a block has 1 to 1,048,592 bytes; store more as an object"}
	}
	if !ValidName(op.Name) {
		return r, &refusal{Malformed, "an object's name is a text of 1 to 128 bytes without slashes"}
	}
	if no := s.caller.account.keep(uint64(len(data)), s.caller.Limits.OutputBytes); no != nil {
		return r, no
	}
	refund, err := s.spend(s.k.cfg.Prices.Storage(uint64(len(data))*s.k.cfg.Copies, storeSeconds))
	if err != nil {
		return r, err
	}
	link, err := s.k.cfg.Services.Store(ctx, &s.caller, Store{Name: op.Name, Public: op.Public, Block: op.Block, Data: data})
	if err != nil {
		refund(0)
		return r, err
	}
	s.given().add(link.Root) // it may read what it wrote
	return wire.StoreDone{Link: link.String(), Size: uint64(len(data)), Address: link.Root}, nil
}

// ValidName reports whether a module may give an object this name.
func ValidName(s string) bool {
	return s != "" && len(s) <= wire.MaxModuleMedia && !strings.ContainsAny(s, "/\\") && utf8.ValidString(s) &&
		strings.IndexFunc(s, unicode.IsControl) < 0
}

// send serves sendMessage.
func (s *Session) send(ctx context.Context, op wire.SendMessage, g module.Guest) (r wire.SendDone, _ error) {
	data, err := view(g, op.Data, wire.MaxModuleMessageIn)
	if err != nil {
		return r, err
	}
	var to api.NodeID
	if op.Node != "" {
		if to, err = api.ParseNodeID(op.Node); err != nil {
			return r, &refusal{Malformed, "the node is not readable: " + messageOf(err)}
		}
	}
	if op.Module == "" {
		return r, &refusal{Malformed, "a message goes to a module; name it"}
	}
	refund, err := s.spend(s.k.cfg.Prices.Serve(uint64(len(data)) + overhead))
	if err != nil {
		return r, err
	}
	receipt, err := s.k.cfg.Services.Send(ctx, &s.caller, to, op.Module, data)
	if err != nil {
		refund(0)
		return r, err
	}
	b, err := wire.EncodeMessageReceipt(receipt)
	if err != nil {
		return r, err
	}
	return wire.SendDone{Sequence: receipt.Sequence, Receipt: b}, nil
}

// host serves hostCall.
func (s *Session) host(ctx context.Context, op wire.HostCall, g module.Guest) (r wire.HostDone, _ error) {
	data, err := view(g, op.Data, wire.MaxHostData)
	if err != nil {
		return r, err
	}
	bytes := uint64(len(data)+len(op.Argument)) + overhead
	refund, err := s.spend(s.k.cfg.Prices.Storage(bytes, storeSeconds))
	if err != nil {
		return r, err
	}
	a, err := s.k.cfg.Services.Host(ctx, &s.caller, op.Service, op.Operation, op.Argument, data)
	if err != nil {
		refund(0)
		return r, err
	}
	at, err := give(g, a.Data)
	if err != nil {
		return r, err
	}
	return wire.HostDone{Code: a.Code, Detail: strings.ToValidUTF8(a.Detail[:min(len(a.Detail), wire.MaxSyscallText)], ""), Data: at}, nil
}

package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"

	"inos/kernel/api"
)

// Objects of this node, in the store's metadata:
//
//	obj/<root>          api.Object in JSON, its link included
//	new/<age><root>     the order of List: age is 2^64-1 minus the creation time
//	                    in milliseconds, so that the newest comes first; the value
//	                    is "output" for a job's output and empty for what was put
//	rel/<node><lease>   a holder that has not been told yet that a lease ended
//
// An object is put, paid and removed under its lock (lockObject). A put of what
// was removed takes back the releases that wait, so that they cannot end the
// new lease, which has the same id.
//
// The link is the owner's secret: the data folder has mode 0700.

func objectKey(root api.Address) string { return "obj/" + string(root[:]) }

func ageKey(created int64, root api.Address) string {
	return "new/" + string(binary.BigEndian.AppendUint64(nil, ^uint64(created))) + string(root[:])
}

// record makes an acknowledged object durable in the owner's list and pays its
// holders, unless it was stored and paid for before. The object's lock is held.
// What it keeps is kept: a payment that cannot be made fails no put.
func (n *Node) record(obj api.Object, lease api.LeaseID, paid map[api.NodeID]*kept) (api.Object, error) {
	root := obj.Link.Root
	old, err := n.object(root)
	known := err == nil
	if known {
		obj.Paid, obj.Created = old.Paid, old.Created
	}
	if !known || old.Until != obj.Until {
		// The payment lies in the log before the object, whose sync covers both.
		amount, err := n.payStorage(root, lease, obj.Until, paid)
		if err == nil {
			obj.Paid, err = obj.Paid.Add(amount)
		}
		if err != nil {
			n.metrics.paymentsFailed.Add(1)
			n.cfg.Log("paying those who keep %s: %v", root.Short(), err)
		}
	}
	if err := n.saveObject(obj); err != nil {
		return obj, err
	}
	n.emit("object:put:v1:done", root.String(), putEvent{obj.Name, obj.Bytes, obj.Blocks, obj.Acks})
	return obj, nil
}

type putEvent struct {
	Name   string `json:"name"`
	Bytes  uint64 `json:"bytes"`
	Blocks uint64 `json:"blocks"`
	Acks   uint8  `json:"acks"`
}

func (n *Node) saveObject(obj api.Object) error {
	b, err := json.Marshal(obj)
	if err != nil {
		return api.E("node.objects", api.Other, err)
	}
	// A job's output was put by its worker, and may have been removed before.
	if _, err := n.unrelease(leaseID(n.id.ID(), obj.Link.Root)); err != nil {
		return err
	}
	// The list first: an entry in it without its object is skipped.
	if err := n.meta.SetLazy(ageKey(obj.Created, obj.Link.Root), listMark(obj)); err != nil {
		return err
	}
	if _, err := n.object(obj.Link.Root); err != nil {
		n.metrics.objects.Add(1)
	}
	return n.meta.Set(objectKey(obj.Link.Root), b)
}

func (n *Node) object(root api.Address) (api.Object, error) {
	var obj api.Object
	b, err := n.meta.Get(objectKey(root))
	if err != nil {
		return obj, err
	}
	if err := json.Unmarshal(b, &obj); err != nil {
		return obj, api.E("node.objects", api.Corrupt, err)
	}
	return obj, nil
}

// outputMark is the value of an output's place in the list, so that a list
// without outputs reads none of them.
const outputMark = "output"

func listMark(obj api.Object) []byte {
	if obj.Method == "" {
		return nil
	}
	return []byte(outputMark)
}

// List pages through this node's objects, newest first.
func (n *Node) List(_ context.Context, req api.ListRequest) (api.ObjectPage, error) {
	after, err := listCursor(req.After)
	if err != nil {
		return api.ObjectPage{}, err
	}
	limit := pageLimit(req.Limit)
	var out api.ObjectPage
	var failed error
	var behind uint64 // outputs after a full page: the next page counts them, if there is one
	err = n.meta.IterateFrom("new/", after, func(key string, value []byte) bool {
		if len(key) != len("new/")+8+32 {
			return true
		}
		switch output := string(value) == outputMark; {
		case output && req.Outputs == api.WithoutOutputs:
			if len(out.Objects) < limit {
				out.Hidden++
			} else {
				behind++
			}
			return true
		case !output && req.Outputs == api.OnlyOutputs:
			return true
		}
		obj, err := n.object(api.Address([]byte(key[len(key)-32:])))
		if api.KindOf(err) == api.NotFound || err == nil && !found(req.Find, obj) {
			return true
		}
		if err != nil {
			failed = err
			return false
		}
		if len(out.Objects) == limit {
			last := out.Objects[limit-1]
			out.Next = fmt.Sprintf("%d:%s", last.Created, last.Link.Root)
			return false
		}
		out.Objects = append(out.Objects, obj)
		return true
	})
	if err == nil {
		err = failed
	}
	if out.Next == "" {
		out.Hidden += behind
	}
	return out, err
}

// found reports whether an object is one that the caller looks for.
func found(find string, obj api.Object) bool {
	return find == "" || find == obj.Name || find == obj.Link.Root.String()
}

// listCursor is the key after that of the last object of the page before.
func listCursor(after string) (string, error) {
	if after == "" {
		return "new/", nil
	}
	created, root, ok := strings.Cut(after, ":")
	addr, err := api.ParseAddress(root)
	ms, scan := strconv.ParseInt(created, 10, 64)
	if !ok || err != nil || scan != nil {
		return "", api.Errorf("node.list", api.Invalid, "the cursor is not one this node gave out")
	}
	return ageKey(ms, addr) + "\x00", nil
}

// putOutput stores a job's output in the payer's lease and returns the receipts
// that the payer will pay.
func (n *Node) putOutput(ctx context.Context, payer api.NodeID, key [32]byte, req content, output []byte) (api.Object, []api.Receipt, error) {
	return n.putAs(ctx, payer, key, req, bytes.NewReader(output), func(api.Progress) {})
}

// announce names a root that is kept here in the DHT, where providers finds it
// when placement does not lead to it.
func (n *Node) announce(root api.Address) {
	if has, err := n.store.Has(n.ctx, []api.Address{root}); err != nil || !has[0] {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, callTimeout)
	defer cancel()
	if err := n.net.Provide(ctx, root); err != nil && n.ctx.Err() == nil && n.coordinatorPeers() > 0 {
		n.cfg.Log("announcing %s: %v", root.Short(), err)
	}
}

// mediaTypes are the ones this node names without asking the system, so that
// every node tells a module the same.
var mediaTypes = map[string]string{
	".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif",
	".txt": "text/plain", ".md": "text/markdown", ".csv": "text/csv", ".json": "application/json",
	".html": "text/html", ".pdf": "application/pdf", ".wasm": "application/wasm",
	".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".mp4": "video/mp4",
}

// mediaType guesses by the name's ending; "" for a folder or an unknown one.
func mediaType(name string, folder bool) string {
	if folder {
		return ""
	}
	return mediaTypes[strings.ToLower(path.Ext(name))]
}

// outputName names a job's output after its input.
func outputName(input, unit, method, media string) string {
	base := strings.TrimSuffix(path.Base("/"+input), path.Ext(input))
	if base == "" || base == "/" {
		base = unit
	}
	mt, _, _ := strings.Cut(media, ";") // parameters name no other ending
	mt = strings.ToLower(strings.TrimSpace(mt))
	ext := ""
	for e, m := range mediaTypes {
		if m == mt && e != ".jpeg" {
			ext = e
		}
	}
	name := base + "." + method + ext
	return name[:min(len(name), api.MaxObjName)]
}

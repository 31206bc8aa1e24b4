package node

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"slices"
	"strings"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/wire"
)

// Modules lists what this node can run, by name. Of a module whose file was never
// read here it tells what the member that added it said.
func (n *Node) Modules(ctx context.Context) ([]api.ModuleInfo, error) {
	var out []api.ModuleInfo
	for _, name := range n.modules.builtinNames() {
		d, err := n.modules.builtin(ctx, name)
		if err != nil {
			return nil, err
		}
		info := d.Info()
		info.BuiltIn = true
		info.Ref = name
		out = append(out, info)
	}
	s := n.modules
	s.mu.Lock()
	for _, it := range s.items {
		if !it.Hidden && !it.Record.Withdrawn() {
			out = append(out, s.info(it))
		}
	}
	s.mu.Unlock()
	slices.SortFunc(out, func(a, b api.ModuleInfo) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
	return out, nil
}

// info is an item as surfaces show it, with mu held.
func (s *moduleShelf) info(it *shelfItem) api.ModuleInfo {
	r := it.Record
	info := api.ModuleInfo{
		Name: r.Name, Version: r.Version, Hash: r.Hash, Size: r.Size, Link: api.Link{Root: r.Root}, Author: r.Author, Verified: !r.Author.IsZero(), Content: r.Content,
	}
	if it.Info != nil {
		info = *it.Info
	}
	info.Ref = s.ref(it)
	return info
}

// ref is the shortest stable reference that means the item, with mu held.
func (s *moduleShelf) ref(it *shelfItem) string {
	r := it.Record
	owner, owned := s.names[r.Name]
	switch {
	case r.Author.IsZero() && (owned || !it.Local), s.isBuiltin(r.Name) && r.Author.IsZero():
		return r.Hash.String()
	case owned && owner.Author != r.Author || s.isBuiltin(r.Name):
		return r.Name + "@" + r.Version + ":" + r.Author.Short()
	}
	return r.Name + "@" + r.Version
}

// Module finds one module.
func (n *Node) Module(ctx context.Context, ref string) (api.ModuleInfo, error) {
	d, link, err := n.modules.find(ctx, ref)
	if err != nil {
		return api.ModuleInfo{}, err
	}
	info := d.Info()
	info.Link, info.BuiltIn, info.Ref = link, link.IsZero(), d.Manifest.Name
	s := n.modules
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := s.items[d.Hash]; it != nil {
		info.Ref = s.ref(it)
	}
	return info, nil
}

// ModuleAdd validates a module file, stores it as a public object and tells
// every member.
func (n *Node) ModuleAdd(ctx context.Context, r io.Reader) (api.ModuleInfo, error) {
	const op = "node.moduleadd"
	wasm, err := io.ReadAll(io.LimitReader(r, api.MaxModule+1))
	if err != nil {
		return api.ModuleInfo{}, api.E(op, api.Invalid, err)
	}
	if len(wasm) > api.MaxModule {
		return api.ModuleInfo{}, api.Errorf(op, api.Invalid, "a module has at most 64 MiB")
	}
	d, err := module.Parse(wasm)
	if err != nil {
		return api.ModuleInfo{}, err
	}
	if err := n.modules.room(d); err != nil {
		return api.ModuleInfo{}, err
	}
	if !d.Manifest.Resident { // one is checked in full when it is started
		if _, err := n.worker.engine.Load(ctx, d.Hash, wasm); err != nil {
			return api.ModuleInfo{}, err
		}
	}
	obj, err := n.Put(ctx, api.PutRequest{Name: d.Manifest.Name + ".wasm", Size: uint64(len(wasm)), Policy: api.Policy{Public: true}}, bytes.NewReader(wasm), func(api.Progress) {})
	if err != nil {
		return api.ModuleInfo{}, err
	}
	info := d.Info()
	info.Link = obj.Link
	it := &shelfItem{Record: recordOf(d, obj.Link.Root), Info: &info, Local: true, desc: d}
	news := wire.News{Modules: []module.Record{it.Record}}
	if err := n.modules.add(it); err != nil {
		return info, err
	}
	if name, ok := n.modules.giveName(news.Modules[0]); ok {
		news.ModuleNames = append(news.ModuleNames, name)
	}
	n.publishNews(news)
	n.emit("module:add:v1:done", d.Hash.String(), map[string]string{"name": d.Manifest.Name})
	return n.Module(ctx, d.Hash.String())
}

// ModuleRemove takes a module off this node's shelf and gives up its object if
// this node owns it. With the author's withdrawal (module.SignWithdrawal) every
// member does the same, for good.
func (n *Node) ModuleRemove(ctx context.Context, ref string, withdrawal [64]byte) error {
	const op = "node.modulerm"
	s := n.modules
	r, err := module.ParseRef(ref)
	if err != nil {
		return err
	}
	found, err := s.search(r)
	if err != nil {
		if s.isBuiltin(r.Name) {
			err = api.Errorf(op, api.Invalid, "the module "+r.Name+" is part of inos and cannot be removed")
		}
		return err
	}
	var news wire.News
	var info api.ModuleInfo
	for _, c := range found {
		record := c.record
		record.Withdrawal = withdrawal
		if err := module.CheckRecord(&record); err != nil {
			return err
		}
		s.mu.Lock()
		info = s.info(c.item)
		c.item.Record.Withdrawal, c.item.Hidden, c.item.Local = withdrawal, true, false
		s.mu.Unlock()
		if err := s.save(c.item); err != nil {
			return err
		}
		n.syscalls.forget(record.Hash)
		if record.Withdrawn() {
			news.Modules = append(news.Modules, record)
		}
		if err := n.Remove(ctx, api.Link{Root: record.Root}); err != nil && api.KindOf(err) != api.NotFound {
			return err
		}
	}
	if len(news.Modules) > 0 {
		n.publishNews(news)
	}
	n.emit("module:remove:v1:done", info.Hash.String(), map[string]string{"name": info.Name})
	return nil
}

package node

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/wire"
)

// moduleShelf knows the modules of this node: those built in, those added here,
// and those that other members told of. Files are read when first needed.
//
// Invariants:
//   - items and names have at most wire.MaxNewsModules entries each.
//   - The signatures of every record and name hold.
//   - A record whose file was read says what the file's manifest says.
//   - A name never changes hands, except to an earlier record of the mesh's root.
//
// Keys in the store's metadata: mod/<hash>, a shelfItem in JSON, and
// modname/<name>, a module.Name in JSON.
type moduleShelf struct {
	n  *Node
	mu sync.Mutex
	// guarded by mu
	items    map[api.Hash]*shelfItem
	names    map[string]module.Name
	builtins map[string]*module.Description // by name, once parsed
}

// shelfItem is an added module.
type shelfItem struct {
	Record wire.ModuleRecord `json:"record"`           // guarded by moduleShelf.mu
	Info   *api.ModuleInfo   `json:"info,omitempty"`   // guarded by moduleShelf.mu, not changed once set; nil until the file was read here
	Local  bool              `json:"local,omitempty"`  // guarded by moduleShelf.mu; added on this node, where its name counts without a signature
	Hidden bool              `json:"hidden,omitempty"` // guarded by moduleShelf.mu; removed on this node, kept so that news does not bring it back

	desc *module.Description // guarded by moduleShelf.mu; nil until the file was read since the start
}

func openShelf(n *Node) (*moduleShelf, error) {
	s := &moduleShelf{n: n, items: map[api.Hash]*shelfItem{}, names: map[string]module.Name{}, builtins: map[string]*module.Description{}}
	err := n.meta.Iterate("mod/", func(_ string, value []byte) bool {
		var it shelfItem
		if json.Unmarshal(value, &it) == nil {
			s.items[it.Record.Hash] = &it
		}
		return len(s.items) < wire.MaxNewsModules
	})
	if err != nil {
		return nil, err
	}
	err = n.meta.Iterate("modname/", func(_ string, value []byte) bool {
		var name module.Name
		if json.Unmarshal(value, &name) == nil {
			s.names[name.Name] = name
		}
		return len(s.names) < wire.MaxNewsModules
	})
	return s, err
}

func (s *moduleShelf) save(it *shelfItem) error {
	s.mu.Lock()
	at := *it
	s.mu.Unlock()
	b, err := json.Marshal(at)
	if err != nil {
		return api.E("node.modules", api.Other, err)
	}
	return s.n.meta.Set("mod/"+string(at.Record.Hash[:]), b)
}

// add puts a module on the shelf, or fails as room does.
func (s *moduleShelf) add(it *shelfItem) error {
	s.mu.Lock()
	err := s.admits(it.Record)
	if err == nil {
		s.items[it.Record.Hash] = it
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.save(it)
}

// room returns nil when d can be added: the shelf is not full, its author has
// not withdrawn it, and nothing else of the author has its name and version.
func (s *moduleShelf) room(d *module.Description) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admits(recordOf(d, api.Address{}))
}

// admits is room with mu held.
func (s *moduleShelf) admits(r module.Record) error {
	const op = "node.moduleadd"
	it, known := s.items[r.Hash]
	if known && it.Record.Withdrawn() {
		return api.Errorf(op, api.Conflict, "this module was withdrawn by its author; publish a new version")
	}
	if !known && len(s.items) >= wire.MaxNewsModules {
		return api.Errorf(op, api.Exhausted, "this node knows 1024 added modules and takes no more")
	}
	if r.Author.IsZero() {
		return nil
	}
	for hash, other := range s.items {
		o := other.Record
		if hash != r.Hash && o.Author == r.Author && o.Name == r.Name && o.Version == r.Version && o.Content != r.Content {
			return api.Errorf(op, api.Exists, "you have published another "+r.Name+"@"+r.Version+"; give this one a new version")
		}
	}
	return nil
}

// news lists the added modules and the names for other members, as many as news
// may hold. What was removed here alone is still told to others.
func (s *moduleShelf) news() (records []module.Record, names []module.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records = make([]module.Record, 0, len(s.items))
	for _, it := range s.items {
		if len(records) == wire.MaxNewsModules {
			break
		}
		records = append(records, it.Record)
	}
	return records, slices.Collect(maps.Values(s.names))
}

// learn notes modules that another member added and names that the mesh gave.
// What a record claims of its file is checked when the file is read.
func (s *moduleShelf) learn(records []module.Record, names []module.Name) {
	for _, name := range names {
		if err := s.learnName(name); err != nil {
			s.n.cfg.Log("module name %q: %v", name.Name, err)
		}
	}
	var given []module.Name
	for _, r := range records {
		if err := s.learnRecord(r); err != nil {
			s.n.cfg.Log("module %q: %v", r.Name, err)
			continue
		}
		if name, ok := s.giveName(r); ok {
			given = append(given, name)
		}
	}
	if len(given) > 0 {
		s.n.publishNews(wire.News{ModuleNames: given})
	}
}

// learnRecord keeps a record that is new, or newly withdrawn; a full shelf drops it.
func (s *moduleShelf) learnRecord(r module.Record) error {
	if err := module.CheckRecord(&r); err != nil {
		return err
	}
	s.mu.Lock()
	it, known := s.items[r.Hash]
	changed := false
	switch {
	case !known && len(s.items) < wire.MaxNewsModules:
		it = &shelfItem{Record: r}
		s.items[r.Hash] = it
		changed = true
	case known && r.Withdrawn() && !it.Record.Withdrawn() && it.Record.Author == r.Author && it.Record.Content == r.Content:
		it.Record.Withdrawal = r.Withdrawal
		changed = true
	}
	s.mu.Unlock()
	if !changed {
		return nil
	}
	if r.Withdrawn() {
		s.n.syscalls.forget(r.Hash)
	}
	return s.save(it)
}

// learnName keeps a name of this mesh that is new or stands before the known one.
func (s *moduleShelf) learnName(name module.Name) error {
	if err := module.CheckName(s.n.member.Mesh, name); err != nil {
		return err
	}
	s.mu.Lock()
	old, known := s.names[name.Name]
	changed := !known && len(s.names) < wire.MaxNewsModules || known && name != old && module.EarlierName(old, name) == name
	if changed {
		s.names[name.Name] = name
	}
	s.mu.Unlock()
	if !changed {
		return nil
	}
	b, err := json.Marshal(name)
	if err != nil {
		return api.E("node.modules", api.Other, err)
	}
	return s.n.meta.Set("modname/"+name.Name, b)
}

// giveName gives a signed module's name to its author if nobody has it and this
// node holds the mesh's root key. The names of built-in modules are nobody's.
func (s *moduleShelf) giveName(r module.Record) (module.Name, bool) {
	if s.n.root.IsZero() || r.Author.IsZero() || r.Withdrawn() || s.isBuiltin(r.Name) {
		return module.Name{}, false
	}
	s.mu.Lock()
	_, taken := s.names[r.Name]
	full := len(s.names) >= wire.MaxNewsModules
	s.mu.Unlock()
	if taken || full {
		return module.Name{}, false
	}
	name := module.SignName(s.n.root, r.Name, r.Author, time.Now().Unix())
	if err := s.learnName(name); err != nil {
		s.n.cfg.Log("module name %q: %v", r.Name, err)
		return module.Name{}, false
	}
	return name, true
}

// isBuiltin reports whether a name is that of a built-in module.
func (s *moduleShelf) isBuiltin(name string) bool {
	return slices.Contains(s.builtinNames(), name)
}

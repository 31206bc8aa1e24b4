package node

import (
	"inos/host/browser"
	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/epoch"
)

// arenaRegion is the kernel's image of the arena, and what mirrors it to the
// tab's other threads where the page shares memory.
type arenaRegion struct {
	image  []byte
	mirror *browser.Mirror
}

// arenaLender lends to other processes: a tab has none.
type arenaLender struct{}

func openRegion(size uint64) (*arenaRegion, error) {
	shared, err := browser.OpenShared()
	switch {
	case api.KindOf(err) == api.Unsupported && err != nil:
		shared = nil
	case err != nil:
		return nil, err
	case shared.Size() != size:
		return nil, api.Errorf("node.arena", api.Invalid, "the page made an arena of another size than the kernel's")
	}
	image := browser.Image(size)
	return &arenaRegion{image: image, mirror: browser.NewMirror(image, shared)}, nil
}

// Bytes is the image.
func (r *arenaRegion) Bytes() []byte { return r.image }

// Close ends the mirror.
func (r *arenaRegion) Close() error {
	r.mirror.Close()
	return nil
}

// discard does nothing: no engine of a tab lends arena memory to guests.
func (*arenaRegion) discard(arena.Span) {}

// waker is told of every advance and copies what changed to the other threads.
func (r *arenaRegion) waker() epoch.Futex { return r.mirror }

func (n *Node) lendArena() {}

func (m *memory) stopLending() error { return nil }

func (m *memory) leaseMetrics(func(name, kind string, value any)) {}

func (m *memory) describeLeases(*api.ArenaMap, map[arena.Owner]string) {}

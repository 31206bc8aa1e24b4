//go:build js

package browser

import "syscall/js"

// Sensors is what the tab's sensors sample, out of their rings in the arena
// (frontend/src/bridge/kernelsensors.ts).
type Sensors struct{ source js.Value }

// OpenSensors returns the tab's sensors. A page that gave the kernel none has none
// that are on.
func OpenSensors() *Sensors { return &Sensors{source: js.Global().Get("inosHost").Get("sensors")} }

// On returns the names of the sensors that are on.
func (s *Sensors) On() []string {
	if s.source.IsUndefined() {
		return nil
	}
	list := s.source.Call("on")
	names := make([]string, list.Length())
	for i := range names {
		names[i] = list.Index(i).String()
	}
	return names
}

// Drain returns the samples of a sensor since the last Drain as JSON, the newest
// that fit most bytes; false when it is off.
func (s *Sensors) Drain(name string, most int) ([]byte, bool) {
	if s.source.IsUndefined() {
		return nil, false
	}
	text := s.source.Call("drain", name, most)
	if text.IsUndefined() {
		return nil, false
	}
	return []byte(text.String()), true
}

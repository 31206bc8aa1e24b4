//go:build !js

package node

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"inos/kernel/api"
)

// tray is sensors that a test fills.
type tray struct {
	mu   sync.Mutex
	held map[string][]string
}

func (s *tray) On() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var on []string
	for name := range s.held {
		on = append(on, name)
	}
	return on
}

func (s *tray) Drain(name string, most int) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, ok := s.held[name]
	s.held[name] = nil
	return []byte("[" + strings.Join(list, ",") + "]"), ok
}

// A guest reads a sensor that is on, once each sample; one that is off is refused,
// and the owner learns who read.
func TestGuestsReadSensorsThatAreOn(t *testing.T) {
	sensors := &tray{held: map[string][]string{"microphone": {`{"time":1,"values":[-40,-20]}`, `{"time":2,"values":[-41,-19]}`}, "gamepad": nil}}
	n := start(t, Config{Dir: t.TempDir(), Name: "tab", Sensors: sensors})
	if got := output(t, n, ask("host", `{"service":"sensor","operation":"list","key":""}`)); got != "gamepad\nmicrophone" {
		t.Fatalf("list: %q", got)
	}
	var samples []struct{ Values []float64 }
	got := output(t, n, ask("host", `{"service":"sensor","operation":"read","key":"microphone"}`))
	if err := json.Unmarshal([]byte(got), &samples); err != nil || len(samples) != 2 || samples[1].Values[0] != -41 {
		t.Fatalf("read: %q, %v", got, err)
	}
	if got := output(t, n, ask("host", `{"service":"sensor","operation":"read","key":"microphone"}`)); got != "[]" {
		t.Fatalf("read again: %q", got)
	}
	if got := output(t, n, ask("host", `{"service":"sensor","operation":"read","key":"camera"}`)); !strings.Contains(got, "not-found") || !strings.Contains(got, "not on") {
		t.Fatalf("a sensor that is off: %q", got)
	}
	reads, enough := 0, errors.New("enough")
	n.emit("test:end:v1:ok", "", nil)
	err := n.Events(t.Context(), 0, func(e api.Event) error {
		if e.Type == "sensor:read:v1:done" {
			reads++
		}
		if e.Type == "test:end:v1:ok" {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || reads != 1 { // two readings within the time of one notice
		t.Fatalf("%d notices of reading, %v", reads, err)
	}
}

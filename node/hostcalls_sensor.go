package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/syscall"
)

// Sensors is what the machine's sensors sample while their owner has them on.
// host/browser has one for tabs. Its methods are safe for concurrent use.
type Sensors interface {
	// On returns the names of the sensors that are on.
	On() []string

	// Drain returns what a sensor sampled since the last Drain as a JSON array,
	// oldest first, each {"time": Unix microseconds, "values": [numbers or null],
	// "frame": base64 or absent, "dropped": count}: the newest samples that fit most
	// bytes. ok is false when the sensor is off.
	Drain(name string, most int) (samples []byte, ok bool)
}

// Bounds of the service.
const (
	maxSensorAnswer = 128 << 10
	sensorNotice    = 10 * time.Second // a payer's readings of a sensor are announced once in this time
	maxSensorNotes  = 256              // pairs of sensor and payer that are remembered
)

// sensorService is the service hostCall:sensor: what this machine's sensors sample,
// for modules whose calls name it. A sensor gives nothing unless the person at the
// machine switched it on, and each reader is announced by an event.
type sensorService struct {
	n      *Node
	source Sensors

	mu    sync.Mutex
	noted map[string]time.Time // guarded by mu; when sensor and payer were announced last
}

func openSensors(n *Node, source Sensors) *sensorService {
	return &sensorService{n: n, source: source, noted: map[string]time.Time{}}
}

func (s *sensorService) serve(_ context.Context, c *syscall.Caller, operation, name string, _ []byte) (syscall.HostAnswer, error) {
	const op = "node.sensor"
	switch operation {
	case "list":
		on := slices.Sorted(slices.Values(s.source.On()))
		return syscall.HostAnswer{Code: uint32(len(on)), Data: []byte(strings.Join(on, "\n"))}, nil
	case "read":
		samples, ok := s.source.Drain(name, maxSensorAnswer)
		if !ok {
			return syscall.HostAnswer{}, api.Errorf(op, api.NotFound, fmt.Sprintf("the sensor %q is not on: whoever sits at the node switches it on, on the page under Node, This tab", name))
		}
		s.announce(c, name)
		return syscall.HostAnswer{Detail: "application/json", Data: samples}, nil
	}
	return syscall.HostAnswer{}, api.Errorf(op, api.Unsupported, "sensor has the operations list and read")
}

// announce tells the owner who reads.
func (s *sensorService) announce(c *syscall.Caller, name string) {
	key, now := name+string(c.Owner[:]), time.Now()
	s.mu.Lock()
	if now.Sub(s.noted[key]) < sensorNotice {
		s.mu.Unlock()
		return
	}
	if len(s.noted) >= maxSensorNotes {
		clear(s.noted)
	}
	s.noted[key] = now
	s.mu.Unlock()
	s.n.emit("sensor:read:v1:done", name, map[string]string{
		"payer": c.Owner.String(), "module": c.Module.Manifest.Name, "job": c.Job.String(),
	})
}

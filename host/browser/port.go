//go:build js

package browser

import (
	"context"
	"fmt"
	"sync"
	"syscall/js"

	"inos/host/internal/promise"
	"inos/kernel/api"
)

// MaxMessage bounds one message: a block with room for what is said about it. It
// is MAX_MESSAGE of frontend/src/bridge/port.ts.
const MaxMessage = 1<<20 + 64<<10

// Port is one end of a bounded, ordered channel of whole messages to another
// thread of the tab. Send and Receive may run at the same time, each in several
// goroutines.
type Port struct {
	port    js.Value // what frontend/src/bridge/kernelport.ts makes of a bridge's port
	in, out js.Value // its staging buffers

	sending sync.Mutex    // held for one Send
	room    chan struct{} // capacity 1: there may be room again

	receiving sync.Mutex    // held for one Receive
	arrived   chan struct{} // capacity 1: a message may be there
	buf       []byte        // guarded by receiving; the message last received

	closed  chan struct{}
	once    sync.Once
	release []js.Func
}

// Open returns the port that the thread was given under a name. NotFound when
// there is none; each port is opened once.
func Open(name string) (*Port, error) {
	host := js.Global().Get("inosHost")
	if host.IsUndefined() {
		return nil, api.Errorf("browser.port", api.Unsupported, "the kernel was not started by a page of INOS")
	}
	v := host.Get("ports").Get(name)
	if v.IsUndefined() {
		return nil, api.Errorf("browser.port", api.NotFound, "the page gave the kernel no port called "+name)
	}
	return NewPort(v), nil
}

// Dial asks the page for a fresh port of a name, with a fresh thread at its other
// end; one that comes after ctx ended is closed. Unavailable when the page cannot make one, and the context's error.
func Dial(ctx context.Context, name string) (*Port, error) {
	const op = "browser.dial"
	host := js.Global().Get("inosHost")
	if host.IsUndefined() || host.Get("dial").IsUndefined() {
		return nil, api.Errorf(op, api.Unsupported, "the page makes no threads for the kernel")
	}
	v, err := Call(host, "dial", name)
	if err == nil {
		v, err = promise.Await(ctx, v, func(port js.Value) { port.Call("close") })
	}
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("the page cannot start a thread (%w); close what needs memory, and reload it", err)
		}
		return nil, api.E(op, api.Unavailable, err)
	}
	return NewPort(v), nil
}

// NewPort takes over a port that JavaScript made.
func NewPort(v js.Value) *Port {
	p := &Port{port: v, in: v.Get("in"), out: v.Get("out"), room: make(chan struct{}, 1), arrived: make(chan struct{}, 1), closed: make(chan struct{})}
	tell := func(c chan struct{}) js.Func {
		f := js.FuncOf(func(js.Value, []js.Value) any {
			select {
			case c <- struct{}{}:
			default:
			}
			return nil
		})
		p.release = append(p.release, f)
		return f
	}
	ended := js.FuncOf(func(js.Value, []js.Value) any { p.end(); return nil })
	p.release = append(p.release, ended)
	v.Call("wire", tell(p.arrived), tell(p.room), ended)
	return p
}

var errClosed = api.Errorf("browser.port", api.Closed, "the other thread of the tab has ended")

// Send queues one message of 1 to MaxMessage bytes, the parts one after another,
// and waits while the other side is slow. The parts are copied. Errors: Invalid
// for another size, Closed, and the context's.
func (p *Port) Send(ctx context.Context, parts ...[]byte) error {
	n := 0
	for _, part := range parts {
		n += len(part)
	}
	if n == 0 || n > MaxMessage {
		return api.Errorf("browser.port", api.Invalid, "a message between threads has 1 byte to 1088 KiB")
	}
	p.sending.Lock()
	defer p.sending.Unlock()
	for {
		select {
		case <-p.closed:
			return errClosed
		default:
		}
		at, stage := 0, p.out
		for _, part := range parts {
			if at > 0 {
				stage = p.port.Call("outFrom", at)
			}
			at += js.CopyBytesToJS(stage, part)
		}
		if p.port.Call("commit", n).Bool() {
			return nil
		}
		select {
		case <-p.room:
		case <-p.closed:
			return errClosed
		case <-ctx.Done():
			return api.E("browser.port", api.Other, ctx.Err())
		}
	}
}

// Receive waits for the next message, which is the caller's until it calls
// Receive again. Errors: Closed, and the context's.
func (p *Port) Receive(ctx context.Context) ([]byte, error) {
	p.receiving.Lock()
	defer p.receiving.Unlock()
	for {
		n := p.port.Call("take").Int()
		if n > 0 {
			if cap(p.buf) < n {
				p.buf = make([]byte, max(n, 4096))
			}
			p.buf = p.buf[:n]
			js.CopyBytesToGo(p.buf, p.in)
			return p.buf, nil
		}
		if n < 0 {
			p.end()
			return nil, errClosed
		}
		select {
		case <-p.arrived:
		case <-p.closed:
			return nil, errClosed
		case <-ctx.Done():
			return nil, api.E("browser.port", api.Other, ctx.Err())
		}
	}
}

// Close ends the port for both sides. A second Close does nothing.
func (p *Port) Close() {
	p.end()
}

func (p *Port) end() {
	p.once.Do(func() {
		close(p.closed)
		p.port.Call("close")
		for _, f := range p.release {
			f.Release()
		}
	})
}

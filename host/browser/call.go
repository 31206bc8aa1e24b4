//go:build js

package browser

import (
	"syscall/js"

	"inos/host/internal/promise"
)

// Call calls a method that may throw: for want of memory, or because a thread
// cannot be made or a message not be cloned. What is thrown is the error.
// syscall/js would make a panic of it and end the kernel.
func Call(v js.Value, method string, args ...any) (out js.Value, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case js.Error:
			err = promise.Thrown(p.Value)
		default:
			panic(p) // a mistake of ours
		}
	}()
	return v.Call(method, args...), nil
}

//go:build js

package browser

import (
	"errors"
	"syscall/js"
)

// Call calls a method that may throw: for want of memory, or because a thread
// cannot be made or a message not be cloned. What is thrown is the error.
// syscall/js would make a panic of it and end the kernel.
func Call(v js.Value, method string, args ...any) (out js.Value, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case js.Error:
			err = Thrown(p.Value)
		default:
			panic(p) // a mistake of ours
		}
	}()
	return v.Call(method, args...), nil
}

// Thrown is what JavaScript threw, or rejected a promise with, as an error.
// js.Error cannot say all that is thrown: it panics for what is no object, and
// some browsers throw a mere text when memory is short.
func Thrown(v js.Value) error {
	if v.Type() == js.TypeObject {
		if text := v.Get("message"); text.Type() == js.TypeString {
			return errors.New(text.String())
		}
	}
	return errors.New(v.String())
}

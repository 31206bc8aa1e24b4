package promise

import (
	"context"
	"errors"
	"syscall/js"
)

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

// Await waits for a promise. When ctx ends first the promise is left to itself; a
// value that it yields afterwards is given to late, unless that is nil.
func Await(ctx context.Context, promise js.Value, late func(js.Value)) (js.Value, error) {
	type outcome struct {
		value js.Value
		err   error
	}
	out := make(chan outcome, 1) // capacity 1: the callback never blocks
	var done, failed js.Func
	done = js.FuncOf(func(_ js.Value, args []js.Value) any {
		out <- outcome{value: first(args)}
		done.Release()
		failed.Release()
		return nil
	})
	failed = js.FuncOf(func(_ js.Value, args []js.Value) any {
		out <- outcome{err: Thrown(first(args))}
		done.Release()
		failed.Release()
		return nil
	})
	promise.Call("then", done, failed)
	select {
	case o := <-out:
		return o.value, o.err
	case <-ctx.Done():
		if late != nil {
			go func() {
				if o := <-out; o.err == nil {
					late(o.value)
				}
			}()
		}
		return js.Undefined(), ctx.Err()
	}
}

func first(args []js.Value) js.Value {
	if len(args) == 0 {
		return js.Undefined()
	}
	return args[0]
}

// Package inos is the SDK for modules written in Go, built with the standard
// toolchain: GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared.
//
// A module is a table of units, a unit a table of methods, and a method a struct
// of parameters that knows how to run:
//
//	// Repeat says the input again.
//	type Repeat struct {
//		Times int `json:"times" doc:"How often." default:"2" min:"1" max:"100"`
//	}
//
//	func (p Repeat) Run(call *inos.Call) error {
//		for range p.Times {
//			if _, err := call.Write(call.Input()); err != nil {
//				return err
//			}
//		}
//		return nil
//	}
//
//	var module = inos.Module{
//		Name: "parrot", Version: "1.0.0", Doc: "Says it again.",
//		Units: []inos.Unit{{Name: "text", Methods: []inos.Method{
//			inos.MethodOf[Repeat]("repeat", "Repeats the input.", inos.Writes("text/plain")),
//		}}},
//	}
//
//	func init() { inos.Serve(&module) }
//	func main() { inos.Main() }
//
// `inos module build` compiles it, asks the same code, built for this machine,
// for its manifest, and joins the two. Module.Run calls a method in go test.
//
// Invariants:
//   - A method's output depends on its parameters, the input, the job's seed and
//     the job's submit time. The node fixes clock and randomness, so time.Now and
//     crypto/rand are safe to use; iterating over a map is not.
//   - A call leaves nothing behind: the node restores the memory after it.
//
// It imports the standard library alone and no fmt, so that modules stay small.
// docs/abi.md specifies the exchange with the node.
package inos

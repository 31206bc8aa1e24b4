// Package demo tells what INOS does with real node processes on this machine:
// files go in on one node, are kept by three, are worked on by WebAssembly
// across the nodes, one node is killed, everything comes back verified, a new
// node takes the lost one's place, and the credits add up.
//
// Nothing in it is special to the demonstration: it starts the same binary that
// runs everywhere and talks to it through the public client.
package demo

// Package tab serves the page of a browser tab whose kernel is a node: what
// package server is to a native node over HTTP, over a port between two threads.
//
// A message is a kind (1 byte), the number of a call (4 bytes, little-endian) and
// a payload. The page numbers its calls; the kernel answers each with any number
// of items and bytes and, last, one result or error.
//
//	page to kernel                        kernel to page
//	1 call    {"method","args"}           6 result  JSON
//	2 bytes   of the call's body          7 failure {"kind","message"}
//	3 end     of the body                 8 item    JSON: progress, a job, an event
//	4 cancel                              9 bytes   of the call's output
//	5 taken   u32: output bytes read     10 taken   u32: body bytes read
//
// Invariants:
//   - At most maxCalls calls run; a further one fails with Exhausted.
//   - Of each call at most Window bytes are under way in each direction: who sends
//     waits for taken. A page that sends more loses the call.
//   - The goroutine that receives waits for nobody, so that a cancel is always
//     heard; only a page that leaves maxCalls refusals unread is not heard further.
//   - After a result or a failure nothing more of a call is sent, and what the page
//     still says about it is ignored.
package tab

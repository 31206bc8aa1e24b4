// Package promise is what the hosts of a tab share of JavaScript's ways to answer:
// what a promise yields, and what is thrown. It knows no host.
package promise

// Package deployment holds what puts nodes into service: nginx's site file, an
// image, a compose file and a systemd unit. docs/deploy.md explains them. The
// package's tests run the real nginx before real nodes.
package deployment

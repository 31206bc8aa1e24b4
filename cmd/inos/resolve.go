package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"inos/client"
	"inos/kernel/api"
)

// resolve reads what a command line calls an object: LINK, or in its place the
// name or root address of an object that this node owns, with /PATH inside it
// after any of them. Only a link says everything by itself; the others are
// looked up in the node's list.
func resolve(ctx context.Context, c *client.Client, arg string) (api.Link, string, error) {
	if strings.HasPrefix(arg, api.LinkScheme) {
		return parseLinkPath(arg)
	}
	name, inside, err := splitPath(arg)
	if err != nil {
		return api.Link{}, "", err
	}
	link, err := lookup(ctx, c, name)
	return link, inside, err
}

// lookup finds an owned object by name or root address. An address that this
// node does not own may still be a public object's.
func lookup(ctx context.Context, c *client.Client, name string) (api.Link, error) {
	const op = "cli.link"
	root, notAddress := api.ParseAddress(name)
	if len(name) > api.MaxObjName || name == "" {
		return api.Link{}, api.Errorf(op, api.Invalid, "a link starts with "+api.LinkScheme)
	}
	page, err := c.List(ctx, api.ListRequest{Find: name, Limit: 3})
	if err != nil {
		return api.Link{}, err
	}
	switch n := len(page.Objects); {
	case n == 1, n > 0 && notAddress == nil:
		return page.Objects[0].Link, nil
	case n > 1:
		return api.Link{}, api.Errorf(op, api.Conflict, fmt.Sprintf("several objects are called %q; use the link of one: inos ls --all", name))
	case notAddress == nil:
		return api.Link{Root: root}, nil
	}
	msg := fmt.Sprintf("this node put no object called %q; names count on the node that put the object, elsewhere use its link (%s...)", name, api.LinkScheme)
	if _, err := os.Stat(name); err == nil {
		msg += fmt.Sprintf("; %s is also a file or folder here: inos put %s stores it", name, shellWord(name))
	}
	return api.Link{}, api.Errorf(op, api.NotFound, msg)
}

// parseLinkPath splits LINK/PATH. Neither an address nor a key holds a slash.
func parseLinkPath(s string) (api.Link, string, error) {
	head, inside, err := splitPath(s)
	if err != nil {
		return api.Link{}, "", err
	}
	link, err := api.ParseLink(head)
	return link, inside, err
}

// splitPath cuts an object's name from the path inside it.
func splitPath(s string) (head, inside string, err error) {
	head, inside, _ = strings.Cut(s, "/")
	inside = strings.TrimSuffix(inside, "/")
	if inside != "" {
		if _, ok := localName(inside); !ok {
			return "", "", api.Errorf("cli.link", api.Invalid, "the path inside an object is relative, without . or .. or empty parts")
		}
	}
	return head, inside, nil
}

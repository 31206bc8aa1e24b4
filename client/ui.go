package client

import (
	"context"

	"inos/kernel/api"
)

// SignIn makes a one-time link that opens the node's page in a browser. It
// fails with api.Unsupported when the node serves none.
func (c *Client) SignIn(ctx context.Context) (v api.SignIn, err error) {
	err = c.call(ctx, request{op: "client.signin", method: "POST", path: "/v1/signin"}, nil, &v)
	return v, err
}
